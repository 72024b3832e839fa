//! The TLS implementation of outgoing requests.

/// Chooses it, unless the process has one.
pub(crate) fn install() {
    // An error only says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
