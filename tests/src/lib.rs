//! What the end-to-end tests and the demo stand on: a real Kubernetes API server, the real binaries as processes, the
//! sandbox in the provider's place, and a small application in a tenant's.
//!
//! [`world::World`] puts them together. Everything is real but the provider: the operator and the data plane run as
//! the processes that a cluster would run, under the ServiceAccounts and RBAC rules that the chart installs.

pub mod api;
pub mod app;
pub mod balancer;
pub mod chart;
pub mod cluster;
pub mod eventually;
pub mod process;
pub mod replica;
pub mod world;

/// Chooses the TLS implementation for this process's own clients. To call it again is harmless.
pub fn install_crypto() {
    // An error means that it is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
