//! The operations: the path of each, the access it needs, and its handler.
//!
//! Paths are written as in the official OpenAPI documents.

use super::{
    accounts, alerts, approval, auth::Access, call::Call, channel_senders, content, keys, media, messages, senders,
    services, sinks, subscriptions,
};
use crate::twilio::{desk::Desk, errors::Outcome};

pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) act: fn(&mut Desk<'_>, &Call<'_>) -> Outcome,
}

/// A route, and the values of the path's variables.
pub(crate) struct Found<'r> {
    pub(crate) route: &'static Route,
    pub(crate) account: Option<&'r str>,
    pub(crate) ids: Vec<&'r str>,
}

pub(crate) enum Search<'r> {
    Found(Found<'r>),
    OtherMethod,
    Nothing,
}

/// Finds the route for a path's segments.
pub(crate) fn find<'r>(method: &str, segments: &'r [String]) -> Search<'r> {
    let mut path_exists = false;
    for route in ROUTES {
        let Some(captures) = captures(route.path, segments) else { continue };
        path_exists = true;
        if route.method == method {
            let names_account = route.path.contains("/Accounts/{");
            let (account, ids) = match captures.split_first() {
                Some((first, rest)) if names_account => (Some(*first), rest.to_vec()),
                _ => (None, captures),
            };
            return Search::Found(Found { route, account, ids });
        }
    }
    if path_exists { Search::OtherMethod } else { Search::Nothing }
}

/// The values of the pattern's variables in `segments`, if it matches.
fn captures<'r>(pattern: &'static str, segments: &'r [String]) -> Option<Vec<&'r str>> {
    let mut found = Vec::new();
    let mut places = pattern[1..].split('/');
    for segment in segments {
        let place = places.next()?;
        match place.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            None if place == segment => {}
            None => return None,
            Some((_, suffix)) => {
                let value = segment.strip_suffix(suffix)?;
                // Without this, `{Sid}` would swallow `SM….json` and media would be mistaken for their description.
                if value.is_empty() || value.contains('.') {
                    return None;
                }
                found.push(value);
            }
        }
    }
    places.next().is_none().then_some(found)
}

macro_rules! routes {
    ($($method:ident $path:literal $kind:ident $(($permission:literal))? => $act:path;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            access: Access::$kind $(($permission))?,
            act: $act,
        }),*]
    };
}

#[rustfmt::skip]
pub(crate) const ROUTES: &[Route] = routes! {
    POST "/2010-04-01/Accounts/{AccountSid}/Messages.json" Resource("/twilio/messaging/messages/create") => messages::create;
    GET "/2010-04-01/Accounts/{AccountSid}/Messages.json" Resource("/twilio/messaging/messages/list") => messages::list;
    GET "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" Resource("/twilio/messaging/messages/read") => messages::fetch;
    POST "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" Resource("/twilio/messaging/messages/update") => messages::update;
    DELETE "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json" Resource("/twilio/messaging/messages/delete") => messages::delete;
    POST "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Feedback.json" Resource("/twilio/messaging/messages.feedback/create") => messages::feedback;
    GET "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media.json" Resource("/twilio/messaging/messages.media/read") => media::list;
    GET "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}.json" Resource("/twilio/messaging/messages.media/read") => media::fetch;
    DELETE "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}.json" Resource("/twilio/messaging/messages.media/delete") => media::delete;
    GET "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}" Resource("/twilio/messaging/messages.media/read") => media::download;

    GET "/2010-04-01/Accounts.json" Management("/twilio/iam/accounts/list") => accounts::list;
    POST "/2010-04-01/Accounts.json" Management("/twilio/iam/accounts/create") => accounts::create;
    GET "/2010-04-01/Accounts/{Sid}.json" Management("/twilio/iam/accounts/read") => accounts::fetch;
    POST "/2010-04-01/Accounts/{Sid}.json" Management("/twilio/iam/accounts/update") => accounts::update;
    POST "/2010-04-01/Accounts/{AccountSid}/Keys.json" Management("/twilio/iam/api-keys/create") => keys::create;
    GET "/2010-04-01/Accounts/{AccountSid}/Keys.json" Management("/twilio/iam/api-keys/list") => keys::list;
    GET "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}.json" Management("/twilio/iam/api-keys/read") => keys::fetch;
    POST "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}.json" Management("/twilio/iam/api-keys/update") => keys::update;
    DELETE "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}.json" Management("/twilio/iam/api-keys/delete") => keys::delete;
    POST "/2010-04-01/Accounts/{AccountSid}/SigningKeys.json" Management("/twilio/iam/api-keys/create") => keys::create;
    GET "/2010-04-01/Accounts/{AccountSid}/SigningKeys.json" Management("/twilio/iam/api-keys/list") => keys::list;
    GET "/2010-04-01/Accounts/{AccountSid}/SigningKeys/{Sid}.json" Management("/twilio/iam/api-keys/read") => keys::fetch;
    POST "/2010-04-01/Accounts/{AccountSid}/SigningKeys/{Sid}.json" Management("/twilio/iam/api-keys/update") => keys::update;
    DELETE "/2010-04-01/Accounts/{AccountSid}/SigningKeys/{Sid}.json" Management("/twilio/iam/api-keys/delete") => keys::delete;
    POST "/v1/Keys" Management("/twilio/iam/api-keys/create") => keys::create_in_iam;
    GET "/v1/Keys" Management("/twilio/iam/api-keys/list") => keys::list_in_iam;
    GET "/v1/Keys/{Sid}" Management("/twilio/iam/api-keys/read") => keys::fetch_in_iam;
    POST "/v1/Keys/{Sid}" Management("/twilio/iam/api-keys/update") => keys::update_in_iam;
    DELETE "/v1/Keys/{Sid}" Management("/twilio/iam/api-keys/delete") => keys::delete;
    POST "/v1/AuthTokens/Secondary" AuthToken => accounts::create_secondary_token;
    DELETE "/v1/AuthTokens/Secondary" AuthToken => accounts::delete_secondary_token;
    POST "/v1/AuthTokens/Promote" AuthToken => accounts::promote_token;

    POST "/v1/Content" Resource("/twilio/messaging/content-templates/create") => content::create;
    GET "/v1/Content" Resource("/twilio/messaging/content-templates/list") => content::list;
    GET "/v1/ContentAndApprovals" Resource("/twilio/messaging/content-templates/list") => content::list_with_approvals;
    GET "/v1/LegacyContent" Resource("/twilio/messaging/content-templates/list") => content::list_legacy;
    GET "/v2/Content" Resource("/twilio/messaging/content-templates/list") => content::list;
    GET "/v2/ContentAndApprovals" Resource("/twilio/messaging/content-templates/list") => content::list_with_approvals;
    GET "/v1/Content/{Sid}" Resource("/twilio/messaging/content-templates/read") => content::fetch;
    PUT "/v1/Content/{Sid}" Resource("/twilio/messaging/content-templates/update") => content::update;
    DELETE "/v1/Content/{Sid}" Resource("/twilio/messaging/content-templates/delete") => content::delete;
    POST "/v1/Content/{ContentSid}/ApprovalRequests/whatsapp" Resource("/twilio/messaging/content-templates/create") => approval::submit;
    GET "/v1/Content/{Sid}/ApprovalRequests" Resource("/twilio/messaging/content-templates/read") => approval::fetch;

    POST "/v1/Services" Resource("/twilio/messaging/services/create") => services::create;
    GET "/v1/Services" Resource("/twilio/messaging/services/list") => services::list;
    GET "/v1/Services/{Sid}" Resource("/twilio/messaging/services/read") => services::fetch;
    POST "/v1/Services/{Sid}" Resource("/twilio/messaging/services/update") => services::update;
    DELETE "/v1/Services/{Sid}" Resource("/twilio/messaging/services/delete") => services::delete;
    POST "/v1/Services/{MessagingServiceSid}/ChannelSenders" Resource("/twilio/messaging/services.channelsenders/create") => channel_senders::add;
    GET "/v1/Services/{MessagingServiceSid}/ChannelSenders" Resource("/twilio/messaging/services.channelsenders/list") => channel_senders::list;
    GET "/v1/Services/{MessagingServiceSid}/ChannelSenders/{Sid}" Resource("/twilio/messaging/services.channelsenders/read") => channel_senders::fetch;
    DELETE "/v1/Services/{MessagingServiceSid}/ChannelSenders/{Sid}" Resource("/twilio/messaging/services.channelsenders/delete") => channel_senders::remove;
    POST "/v1/Services/{ServiceSid}/PhoneNumbers" Resource("/twilio/messaging/services.phonenumbers/create") => channel_senders::add_number;
    GET "/v1/Services/{ServiceSid}/PhoneNumbers" Resource("/twilio/messaging/services.phonenumbers/list") => channel_senders::list_numbers;
    GET "/v1/Services/{ServiceSid}/PhoneNumbers/{Sid}" Resource("/twilio/messaging/services.phonenumbers/read") => channel_senders::fetch_number;
    DELETE "/v1/Services/{ServiceSid}/PhoneNumbers/{Sid}" Resource("/twilio/messaging/services.phonenumbers/delete") => channel_senders::remove_number;

    POST "/v1/Sinks" Resource("/twilio/events/sinks/create") => sinks::create;
    GET "/v1/Sinks" Resource("/twilio/events/sinks/list") => sinks::list;
    GET "/v1/Sinks/{Sid}" Resource("/twilio/events/sinks/read") => sinks::fetch;
    POST "/v1/Sinks/{Sid}" Resource("/twilio/events/sinks/update") => sinks::update;
    DELETE "/v1/Sinks/{Sid}" Resource("/twilio/events/sinks/delete") => sinks::delete;
    POST "/v1/Sinks/{Sid}/Test" Resource("/twilio/events/sinks/update") => sinks::test;
    POST "/v1/Sinks/{Sid}/Validate" Resource("/twilio/events/sinks/update") => sinks::validate;
    POST "/v1/Subscriptions" Resource("/twilio/events/subscriptions/create") => subscriptions::create;
    GET "/v1/Subscriptions" Resource("/twilio/events/subscriptions/list") => subscriptions::list;
    GET "/v1/Subscriptions/{Sid}" Resource("/twilio/events/subscriptions/read") => subscriptions::fetch;
    POST "/v1/Subscriptions/{Sid}" Resource("/twilio/events/subscriptions/update") => subscriptions::update;
    DELETE "/v1/Subscriptions/{Sid}" Resource("/twilio/events/subscriptions/delete") => subscriptions::delete;
    GET "/v1/Subscriptions/{SubscriptionSid}/SubscribedEvents" Resource("/twilio/events/subscriptions/read") => subscriptions::list_types;

    GET "/v1/Alerts" Resource("/twilio/monitor/alerts/list") => alerts::list;
    GET "/v1/Alerts/{Sid}" Resource("/twilio/monitor/alerts/read") => alerts::fetch;

    POST "/v2/Channels/Senders" Resource("/twilio/messaging/whatsapp-senders/create") => senders::create;
    GET "/v2/Channels/Senders" Resource("/twilio/messaging/whatsapp-senders/list") => senders::list;
    GET "/v2/Channels/Senders/{Sid}" Resource("/twilio/messaging/whatsapp-senders/read") => senders::fetch;
    POST "/v2/Channels/Senders/{Sid}" Resource("/twilio/messaging/whatsapp-senders/update") => senders::update;
    DELETE "/v2/Channels/Senders/{Sid}" Resource("/twilio/messaging/whatsapp-senders/delete") => senders::delete;
    POST "/v2/Indicators/Typing.json" Resource("/twilio/messaging/messages/update") => messages::typing;
};
