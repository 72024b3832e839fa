//! Annotations and finalizers: the names that tenants and the operator agree on.

/// `"true"`: the operator changes nothing at the provider for this object, until the annotation is removed. Its status
/// is still reported. On a sender, the data plane also sends nothing while the annotation is set.
pub const PAUSED: &str = "whatsapp-operator.dev/paused";

/// A new value (a time is customary) requests a reconcile now. The operator answers with the same value in
/// `status.lastHandledReconcileAt`.
pub const RECONCILE_REQUESTED_AT: &str = "whatsapp-operator.dev/reconcile-requested-at";

/// `"true"` on a template: what it adopted is deleted like what it created, once nothing uses it or when the object is
/// deleted with the policy `Delete`. Without it, what the operator did not create is never deleted.
pub const DELETE_ADOPTED: &str = "whatsapp-operator.dev/delete-adopted";

/// Delays an object's deletion until it is cleaned up at the provider and in the data plane's config.
pub const FINALIZER: &str = "whatsapp-operator.dev/finalizer";
