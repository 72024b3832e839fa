//! Twilio's state: plain values by SID, and the queries that span several of them.

pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod approvals;
pub(crate) mod contents;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod phone_numbers;
pub(crate) mod reviews;
pub(crate) mod senders;
pub(crate) mod services;
pub(crate) mod streams;
pub(crate) mod try_out;
pub(crate) mod verifications;

use std::collections::{BTreeMap, VecDeque};

use self::{
    accounts::Account,
    alerts::Alert,
    contents::Content,
    messages::Messages,
    phone_numbers::PhoneNumber,
    reviews::Reviews,
    senders::Sender,
    services::{Member, Service},
    streams::Streams,
    verifications::Verification,
};
use crate::{address, timetable::Timetable};

/// Something that happens by itself when it is due, to the resource with this SID.
#[derive(Debug)]
pub(crate) enum Step {
    /// A message gets its next status.
    Advance(String),
    /// A submitted content gets its next state.
    Review(String),
    /// A sender is created, changed or verified.
    SenderSettles(String),
}

/// All of Twilio's state, by SID.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) messages: Messages,
    pub(crate) contents: BTreeMap<String, Content>,
    pub(crate) reviews: Reviews,
    pub(crate) senders: BTreeMap<String, Sender>,
    pub(crate) phone_numbers: BTreeMap<String, PhoneNumber>,
    /// By number.
    pub(crate) verifications: BTreeMap<String, Verification>,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) streams: Streams,
    /// Oldest first.
    pub(crate) alerts: VecDeque<Alert>,
    pub(crate) steps: Timetable<Step>,
}

impl State {
    /// The account that a user name belongs to, regardless of the password.
    pub(crate) fn account_of(&self, username: &str) -> Option<String> {
        if self.accounts.contains_key(username) {
            return Some(username.to_owned());
        }
        let has_key = |account: &&Account| account.keys.iter().any(|key| key.sid == username);
        self.accounts.values().find(has_key).map(|account| account.sid.clone())
    }

    /// The account's sender with this address.
    pub(crate) fn sender_at(&self, account: &str, address: &str) -> Option<&Sender> {
        self.senders.values().find(|sender| sender.account == account && sender.address == address)
    }

    pub(crate) fn sender_at_mut(&mut self, account: &str, address: &str) -> Option<&mut Sender> {
        self.senders.values_mut().find(|sender| sender.account == account && sender.address == address)
    }

    /// The service that a sender is in.
    pub(crate) fn service_of(&self, sender_sid: &str) -> Option<&Service> {
        self.services.values().find(|service| service.senders.iter().any(|member| member.sid == sender_sid))
    }

    /// The address from which the service would send a message to `to`.
    pub(crate) fn choose_sender(&self, service: &Service, to: &str) -> Option<String> {
        if address::is_whatsapp(to) {
            let online = |member: &&Member| self.senders.get(&member.sid).is_some_and(|sender| sender.is_online());
            service.senders.iter().find(online).map(|member| self.senders[&member.sid].address.clone())
        } else {
            let of_sender = service.senders.iter().filter_map(|member| self.senders.get(&member.sid));
            let of_sender = of_sender.map(|sender| address::bare(&sender.address).to_owned());
            let numbers = service.numbers.iter().filter_map(|member| self.phone_numbers.get(&member.sid));
            numbers.map(|number| number.number.clone()).chain(of_sender).next()
        }
    }
}
