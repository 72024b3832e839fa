//! Annotations and finalizers: the names that tenants and the operator agree on.

/// `"true"`: the operator changes nothing at the provider for this object, until the annotation is gone. Its status is
/// still reported. On a sender, the data plane also sends nothing while it is there.
pub const PAUSED: &str = "whatsapp-operator.dev/paused";

/// Set it to anything new (a time is customary) to have the object looked at now; answered by
/// `status.lastHandledReconcileAt` with the same value.
pub const RECONCILE_REQUESTED_AT: &str = "whatsapp-operator.dev/reconcile-requested-at";

/// Holds an object back from deletion until its part at the provider, and in the data plane's config, is dealt with.
pub const FINALIZER: &str = "whatsapp-operator.dev/finalizer";
