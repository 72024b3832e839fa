//! Opens the database that a URL names, and bears it while it is starting or failing over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::settings::StoreUrl;
use crate::store::{PostgresUrl, Store, StoreError, Writers};

/// How often, and with which pause, each step of a start tries to reach the database.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Opens the database that a URL names. `authorities` is a PEM file of the certificate authorities to trust.
pub async fn open_store(url: &StoreUrl, authorities: Option<&Path>) -> anyhow::Result<(Store, Writers)> {
    match url {
        StoreUrl::Sqlite(file) => {
            Store::sqlite(file).await.with_context(|| format!("opening the database {}", file.display()))
        }
        StoreUrl::Postgres(url) => {
            let url = PostgresUrl::clone(url).with_tls(Arc::new(tls(authorities)?));
            let opened = patiently("opening the database", async || Store::postgres(&url).await).await;
            opened.with_context(|| format!("opening the database on {url}"))
        }
    }
}

/// Takes a step of a start again until the database answers, within a bound: it may still be starting or failing over.
pub(super) async fn patiently<T>(
    what: &'static str,
    mut step: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        match step().await {
            Err(error @ (StoreError::Failed(_) | StoreError::Unanswered(_))) if tries < TRIES => {
                tries += 1;
                tracing::warn!(what, %error, "the database does not answer yet; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Trusts the authorities in a file, or the system's.
fn tls(authorities: Option<&Path>) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    match authorities {
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file);
            for certificate in certificates.with_context(|| format!("reading {}", file.display()))? {
                roots.add(certificate.with_context(|| format!("reading {}", file.display()))?)?;
            }
        }
        None => {
            // A system without any is not an error here: only a connection with TLS fails, and says so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
