//! The labels of metrics and their values.

use listener::Closed;

/// A label's values, as a type.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

label!(
    /// What a webhook is about.
    WebhookLabel { Inbound => "inbound", Status => "status", Mixed => "mixed", Event => "event" }
);
label!(
    /// What became of a webhook.
    WebhookResult {
        /// Committed; answered with a 2xx.
        Accepted => "accepted",
        /// Committed before; answered with a 2xx, without effect.
        Duplicate => "duplicate",
        /// Not signed by the provider; answered with 403, and not stored.
        RejectedSignature => "rejected_signature",
        /// For a tenant or a sender that is not configured; answered with 403, and not stored.
        UnknownEndpoint => "unknown_endpoint",
        /// Signed but not understood; kept, without effect.
        Unreadable => "unreadable",
        /// Signed, and about a message of another channel, such as SMS; kept, without effect.
        OtherChannel => "other_channel",
        /// Signed, but a part is not for any configured sender; kept outside every tenant.
        Unaddressed => "unaddressed",
        /// Not recorded because too many were waiting; the provider is asked to try again.
        Overload => "overload",
        /// Signed, but the operator could not be told; the provider is asked to try again.
        NotPassedOn => "not_passed_on",
    }
);
label!(
    /// What became of one attempt to hand a message to a provider.
    AttemptOutcome {
        Accepted => "accepted",
        /// Nothing was sent; another attempt follows.
        Retry => "retry",
        /// It may or may not have been sent.
        Unconfirmed => "unconfirmed",
        /// The provider does not know the recipient, or may no longer write to it.
        Suppressed => "suppressed",
        /// The provider refused, and would refuse again.
        Rejected => "rejected",
        /// Nothing was sent, and the message's validity ends before it could be tried again.
        Expired => "expired",
        /// The sender cannot send; it is stopped, and the message waits.
        SenderStopped => "sender_stopped",
        /// The attempt ended after its claim had passed to another replica, so its result was discarded.
        LeaseLost => "lease_lost",
    }
);
label!(
    /// Why due messages were passed over.
    DeferReason {
        /// The sender's rate.
        Rate => "rate",
        /// The rate of all senders of its account.
        AccountRate => "account_rate",
        /// How often a sender may write to one recipient.
        PairRate => "pair_rate",
        Concurrency => "concurrency",
        Paused => "paused",
        SenderStopped => "sender_stopped",
        TemplateStopped => "template_stopped",
        /// The sender rests from starting conversations, because its limit on them is used up.
        ConversationsStopped => "conversations_stopped",
        /// The provider does not answer this replica.
        ProviderAway => "provider_away",
        NoConfig => "no_config",
    }
);
label!(
    /// What settled a message whose outcome was unknown, or repaired one that no webhook settled.
    Repair {
        /// The provider's message log has exactly one match.
        FoundInLog => "found_in_log",
        /// The provider's message log has no match, long after the attempt.
        AbsentFromLog => "absent_from_log",
        /// Nothing settled it before its deadline.
        DeadlinePassed => "deadline_passed",
        /// The outcome stayed unknown, and the tenant prefers a message sent twice to one not sent.
        SentAgain => "sent_again",
        /// An inbound message that no webhook brought was found in the provider's message log.
        InboundRecovered => "inbound_recovered",
    }
);
label!(
    /// What became of one request that carried an event to a tenant's application.
    PublishResult {
        Delivered => "delivered",
        /// Not answered with a 2xx; another request follows.
        Retry => "retry",
        /// The schedule is used up, or the sink answered 410; the event is kept as a dead letter.
        Dead => "dead",
        /// The sink's address is private, and private addresses are not allowed.
        PrivateAddress => "private_address",
        /// The sink is no longer in the tenant's config, so the event has nowhere to go.
        SinkRemoved => "sink_removed",
    }
);
label!(
    /// What became of a tenant config that was read.
    ConfigResult {
        Applied => "applied",
        Unchanged => "unchanged",
        Removed => "removed",
        /// It is broken; the last good one keeps running.
        Refused => "refused",
    }
);
label!(
    /// A step of work that a tenant config makes.
    ConfigStep { Parsed => "parsed", KeyIndexed => "key_indexed" }
);
label!(
    /// How a caller authenticated.
    AuthMethod { ApiKey => "api_key", ServiceAccount => "service_account", None => "none" }
);
label!(
    /// What became of a caller's authentication.
    AuthResult { Accepted => "accepted", Unauthenticated => "unauthenticated", Forbidden => "forbidden", Unavailable => "unavailable" }
);
label!(
    /// What became of the question whether a ServiceAccount may send from a sender.
    AccessResult { Allowed => "allowed", Denied => "denied", Unavailable => "unavailable" }
);

label!(
    /// Whose listener it is.
    ListenerLabel { Webhooks => "webhooks", Api => "api", Admin => "admin" }
);
label!(
    /// Why a listener closed a connection that its client may still have wanted.
    ClosedLabel {
        Full => "full",
        PeerLimit => "peer_limit",
        MadeRoom => "made_room",
        Slow => "slow",
        Idle => "idle",
    }
);

impl From<Closed> for ClosedLabel {
    fn from(why: Closed) -> Self {
        match why {
            Closed::Full => Self::Full,
            Closed::PeerLimit => Self::PeerLimit,
            Closed::MadeRoom => Self::MadeRoom,
            Closed::Slow => Self::Slow,
            Closed::Idle => Self::Idle,
        }
    }
}
