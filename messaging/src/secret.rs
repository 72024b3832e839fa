//! A secret that logs do not show and the tenant config can still carry.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A credential. `Debug` prints `[redacted]`; the memory is wiped when dropped.
///
/// It serialises in clear, because the compiled tenant config must carry it. So a serialised
/// [`crate::config::TenantConfig`] is a secret itself: a Kubernetes Secret, or a file of mode 0600.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// White space around the value is left out: a file's last line break is not part of a secret.
    pub fn new(value: impl Into<String>) -> Self {
        let value: String = value.into();
        Self(SecretString::from(value.trim()))
    }

    /// The value in clear. Call it only where the value leaves the process.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Equality for change detection only. It does not take constant time, so never authenticate with it.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}
impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
