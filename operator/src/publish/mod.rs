//! Publishing: one compiled config per tenant, in one Secret in the data plane's namespace.
//!
//! Controllers contribute parts ([`parts`]), [`compile`] puts them together, [`publisher`] writes the Secret, and
//! [`data_plane`] knows which replicas run which of it.

pub mod api_keys;
pub mod compile;
pub mod data_plane;
pub mod parts;
pub mod precedence;
pub mod publisher;
pub mod replicas;

pub use data_plane::DataPlane;
pub use parts::{Contributions, Parts};
pub use publisher::publish_forever;
