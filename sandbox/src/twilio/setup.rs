//! Setting up accounts, from a seed or through the control API.

use serde_json::Value;

use super::{
    content_types,
    desk::Desk,
    state::{
        accounts::Account,
        approvals::Approval,
        contents::Content,
        phone_numbers::PhoneNumber,
        senders::Sender,
        services::{Member, Service},
        try_out::{self, TryOut},
    },
    types::{CreatedAccount, CreatedSender, NewAccount, NewApproval, NewContent, NewService, NewTryOut},
};
use crate::{address, ids};

/// Why an account cannot be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("{name} must be {prefix} and 32 hexadecimal digits, not '{got}'")]
    Sid { name: &'static str, prefix: &'static str, got: String },
    #[error("the {what} {which} already exists")]
    Exists { what: &'static str, which: String },
    #[error("senders: '{0}' is not a phone number such as +14155238886")]
    PhoneNumber(String),
    #[error("sandbox.joinCode: '{0}' is empty, or another account's")]
    JoinCode(String),
    #[error("services: the account has no sender {0}")]
    NoSuchSender(String),
    #[error("contents[{index}]: {why}")]
    Content { index: usize, why: String },
}

/// Creates an account with senders that are online and services that contain them, and contents: all of it or nothing.
pub(crate) fn create_account(desk: &mut Desk<'_>, new: NewAccount) -> Result<CreatedAccount, SetupError> {
    let now = desk.world.now();
    let sid = own_or_new(desk, "accountSid", "AC", new.account_sid)?;
    if desk.state.accounts.contains_key(&sid) {
        return Err(SetupError::Exists { what: "account", which: sid });
    }
    let token = new.auth_token.unwrap_or_else(|| ids::auth_token(&mut desk.world.rng));
    let name = new.friendly_name.unwrap_or_else(|| "Sandbox".to_owned());
    let mut account = Account::new(sid.clone(), token, name, now);
    account.opt_out_handling = new.opt_out_handling.unwrap_or(true);
    let mut created = CreatedAccount {
        account_sid: sid.clone(),
        auth_token: account.auth_token.clone(),
        senders: Vec::new(),
        services: Vec::new(),
        contents: Vec::new(),
    };

    let mut senders = Vec::new();
    for new in new.senders {
        let number = address::bare(&new.phone_number).to_owned();
        if !address::is_phone_number(&number) {
            return Err(SetupError::PhoneNumber(number));
        }
        let address = format!("{}{number}", address::WHATSAPP);
        let known = desk.state.senders.values().chain(senders.iter().map(|(sender, _)| sender));
        if known.filter(|known| known.try_out.is_none()).any(|known| known.address == address) {
            return Err(SetupError::Exists { what: "sender", which: number });
        }
        let mut sender = Sender::online(own_or_new(desk, "senders[].sid", "XE", new.sid)?, sid.clone(), &number);
        sender.set_webhook("callback_url", new.callback_url.as_deref());
        sender.set_webhook("status_callback_url", new.status_callback_url.as_deref());
        let phone_number = PhoneNumber::new(ids::sid(&mut desk.world.rng, "PN"), &sid, &number, now);
        created.senders.push(CreatedSender {
            sid: sender.sid.clone(),
            phone_number: number,
            phone_number_sid: phone_number.sid.clone(),
        });
        senders.push((sender, phone_number));
    }

    let try_out = new.sandbox.map(|new| new_try_out(desk, &sid, new)).transpose()?;

    let mut services = Vec::new();
    for new in new.services {
        let service = new_service(desk, &sid, new, &created.senders)?;
        created.services.push(service.sid.clone());
        services.push(service);
    }

    let mut contents = Vec::new();
    for (index, new) in new.contents.into_iter().enumerate() {
        let content = new_content(desk, &sid, index, new)?;
        created.contents.push(content.sid.clone());
        contents.push(content);
    }

    desk.state.accounts.insert(sid, account);
    desk.state.contents.extend(contents.into_iter().map(|content| (content.sid.clone(), content)));
    if let Some(sender) = try_out {
        desk.state.contents.extend(try_out::contents(now).map(|content| (content.sid.clone(), content)));
        desk.state.senders.insert(sender.sid.clone(), sender);
    }
    for (sender, phone_number) in senders {
        desk.state.phone_numbers.insert(phone_number.sid.clone(), phone_number);
        desk.state.senders.insert(sender.sid.clone(), sender);
    }
    desk.state.services.extend(services.into_iter().map(|service| (service.sid.clone(), service)));
    Ok(created)
}

fn new_try_out(desk: &mut Desk<'_>, account: &str, new: NewTryOut) -> Result<Sender, SetupError> {
    let NewTryOut { join_code, inbound_url, status_url } = new;
    let mut others = desk.state.senders.values().filter_map(|sender| sender.try_out.as_ref());
    if join_code.is_empty() || others.any(|other| other.is_joined_by(&format!("join {join_code}"))) {
        return Err(SetupError::JoinCode(join_code));
    }
    let sid = ids::sid(&mut desk.world.rng, "XE");
    let mut sender = Sender::online(sid, account.to_owned(), try_out::NUMBER);
    sender.set_webhook("callback_url", inbound_url.as_deref());
    sender.set_webhook("status_callback_url", status_url.as_deref());
    sender.try_out = Some(TryOut::new(join_code));
    Ok(sender)
}

fn new_service(
    desk: &mut Desk<'_>,
    account: &str,
    new: NewService,
    senders: &[CreatedSender],
) -> Result<Service, SetupError> {
    let now = desk.world.now();
    let sid = own_or_new(desk, "services[].sid", "MG", new.sid)?;
    if desk.state.services.contains_key(&sid) {
        return Err(SetupError::Exists { what: "messaging service", which: sid });
    }
    let name = new.friendly_name.unwrap_or_else(|| "Sandbox".to_owned());
    let mut service = Service::new(sid, account.to_owned(), name, now);
    service.inbound_request_url = new.inbound_request_url;
    service.status_callback = new.status_callback;
    service.use_webhook_on_number(new.use_inbound_webhook_on_number);
    let wanted = new.senders.unwrap_or_else(|| senders.iter().map(|sender| sender.phone_number.clone()).collect());
    for number in wanted {
        let found = senders.iter().find(|sender| sender.phone_number == address::bare(&number));
        let sid = found.ok_or(SetupError::NoSuchSender(number))?.sid.clone();
        service.senders.push(Member { sid, since: now });
    }
    Ok(service)
}

/// `index` is its place in the request.
fn new_content(desk: &mut Desk<'_>, account: &str, index: usize, new: NewContent) -> Result<Content, SetupError> {
    let NewContent { sid, friendly_name, language, variables, types, approval } = new;
    let now = desk.world.now();
    let sid = own_or_new(desk, "contents[].sid", "HX", sid)?;
    if desk.state.contents.contains_key(&sid) {
        return Err(SetupError::Exists { what: "content", which: sid });
    }
    let types = content_types::check(Some(&Value::Object(types)))
        .map_err(|error| SetupError::Content { index, why: error.message })?;
    let first = types.keys().next().cloned().unwrap_or_default();
    let approval = approval.map(|NewApproval { status, category, reason, content_type }| Approval {
        name: friendly_name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
        category,
        content_type: content_type.unwrap_or(first),
        status,
        rejection_reason: reason,
        allow_category_change: true,
        verdict: None,
    });
    let number = desk.state.contents.values().map(|content| content.number + 1).max().unwrap_or(0) + index;
    let account = account.to_owned();
    Ok(Content {
        sid,
        account,
        friendly_name,
        language,
        variables,
        types,
        approval,
        created: now,
        updated: now,
        number,
    })
}

fn own_or_new(
    desk: &mut Desk<'_>,
    name: &'static str,
    prefix: &'static str,
    own: Option<String>,
) -> Result<String, SetupError> {
    match own {
        None => Ok(ids::sid(&mut desk.world.rng, prefix)),
        Some(own) if ids::is_sid(&own, prefix) => Ok(own),
        Some(got) => Err(SetupError::Sid { name, prefix, got }),
    }
}
