//! The TLS implementation of outgoing requests.

/// Installs it, unless the process already has one.
pub(crate) fn install() {
    // An error only means that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
