//! The base of the end-to-end tests and the demo: a real Kubernetes API server, the real binaries as processes, the
//! sandbox in place of the provider, and a small application as a tenant's.
//!
//! [`world::World`] puts them together. Everything is real except the provider: the operator and the data plane run as
//! the same processes as in a cluster, under the ServiceAccounts and RBAC rules that the chart installs.

pub mod api;
pub mod app;
pub mod balancer;
pub mod chart;
pub mod cluster;
pub mod eventually;
pub mod metrics;
pub mod process;
pub mod replica;
pub mod world;

/// Installs the TLS implementation of this process's clients. Calling it again is harmless.
pub fn install_crypto() {
    // An error means that it is already installed.
    drop(rustls::crypto::ring::default_provider().install_default());
}
