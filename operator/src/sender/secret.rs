//! A Secret that a sender names, once it is read.

use std::collections::BTreeMap;

use messaging::secret::Secret;

/// The contents of a Secret, as text. Values that are not text are left out.
pub type Contents = BTreeMap<String, Secret>;
