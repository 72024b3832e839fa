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

/// On a sender that declares `credentialRotation`: a new value (a time is customary) begins a rotation now.
pub const ROTATE_REQUESTED_AT: &str = "whatsapp-operator.dev/rotate-requested-at";

/// The same in an emergency: the old credentials end as soon as every replica uses the new ones, without an overlap.
pub const ROTATE_IMMEDIATELY_REQUESTED_AT: &str = "whatsapp-operator.dev/rotate-immediately-requested-at";

/// Delays an object's deletion until it is cleaned up at the provider and in the data plane's config.
pub const FINALIZER: &str = "whatsapp-operator.dev/finalizer";
