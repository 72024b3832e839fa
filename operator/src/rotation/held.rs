//! Why a rotation waits for a person, and what that person can do.

/// Nothing that is in use is touched while a rotation is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    #[error(
        "the replica {0} has not renewed its Lease and may still run with the credentials before; if it is gone, delete its Lease"
    )]
    SilentReplica(String),
    #[error(
        "{MOST} keys wait for their revocation or may have been lost, so no more are minted; see the messages before this one",
        MOST = super::record::MOST
    )]
    TooManyKeys,
    #[error(
        "the auth token can't be rotated while {0} has it from another Secret, because the promotion ends the old token there, too; let both name one Secret, or turn spec.credentialRotation.authToken off"
    )]
    TokenElsewhere(String),
    #[error(
        "the secret has a secondaryAuthToken that was not created by this rotation; promote it and move it to authToken, or remove it there and at the provider"
    )]
    SecondaryInUse,
    #[error(
        "another tool wrote the secret back, so that the next auth token is missing in it; have that tool take it from the cluster (PushSecret of External Secrets), or turn spec.credentialRotation.authToken off"
    )]
    SecretReverted,
    #[error(
        "the operator may not write the secret {secret:?}; grant it: kubectl -n {namespace} create role whatsapp-rotation --verb=get,patch --resource=secrets --resource-name={secret} && kubectl -n {namespace} create rolebinding whatsapp-rotation --role=whatsapp-rotation --serviceaccount={operator}"
    )]
    NotGranted { namespace: String, secret: String, operator: String },
    #[error(
        "the provider does not let these credentials mint keys ({0}); Twilio lets only the account's auth token and its main keys do that, and says so as if the credentials were wrong; put the account's own authToken into the secret"
    )]
    MayNotMint(String),
    #[error("the provider refused to {what}: {why}")]
    Refused { what: &'static str, why: String },
    #[error(
        "the promoted auth token is not the one that this rotation created; put the account's current authToken into the secret"
    )]
    AnotherToken,
}

impl Held {
    /// One word for the column.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SilentReplica(_) => "SilentReplica",
            Self::TooManyKeys => "TooManyKeys",
            Self::TokenElsewhere(_) => "TokenElsewhere",
            Self::SecondaryInUse => "SecondaryInUse",
            Self::SecretReverted => "SecretReverted",
            Self::NotGranted { .. } => "NotGranted",
            Self::MayNotMint(_) => "MayNotMint",
            Self::Refused { .. } => "Refused",
            Self::AnotherToken => "AnotherToken",
        }
    }
}
