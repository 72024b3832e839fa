//! The customers: how they behave, which senders they blocked, when they last wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::{address, types::Behaviour};

/// How long after a customer's message free text may be sent.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone)]
pub(crate) struct Customer {
    /// Absent where only the business-scoped user id is known.
    pub(crate) phone_number: Option<String>,
    pub(crate) external_user_id: Option<String>,
    pub(crate) phone_number_hidden: bool,
    pub(crate) profile_name: String,
    pub(crate) reads: bool,
    pub(crate) on_whatsapp: bool,
    pub(crate) in_experiment: bool,
    pub(crate) reachable: bool,
    pub(crate) fails_with: Option<i64>,
    /// Senders' phone numbers; `*` is every sender.
    blocked: BTreeSet<String>,
    /// Senders' phone numbers and messaging services' SIDs.
    opted_out: BTreeSet<String>,
    /// When the customer last wrote, by the sender's phone number.
    wrote: BTreeMap<String, Timestamp>,
}

impl Default for Customer {
    fn default() -> Self {
        Self {
            phone_number: None,
            external_user_id: None,
            phone_number_hidden: false,
            profile_name: "Ava".to_owned(),
            reads: false,
            on_whatsapp: true,
            in_experiment: false,
            reachable: true,
            fails_with: None,
            blocked: BTreeSet::new(),
            opted_out: BTreeSet::new(),
            wrote: BTreeMap::new(),
        }
    }
}

impl Customer {
    pub(crate) fn has_blocked(&self, sender: &str) -> bool {
        self.blocked.contains("*") || self.blocked.contains(sender)
    }

    /// Blocks a sender's phone number, or every sender (`*`).
    pub(crate) fn block(&mut self, sender: &str, undo: bool) {
        if undo {
            self.blocked.remove(sender);
        } else {
            self.blocked.insert(sender.to_owned());
        }
    }

    pub(crate) fn has_opted_out(&self, of: &str) -> bool {
        self.opted_out.contains(of)
    }

    pub(crate) fn opt(&mut self, out: bool, of: &str) {
        if out {
            self.opted_out.insert(of.to_owned());
        } else {
            self.opted_out.remove(of);
        }
    }

    pub(crate) fn writes_to(&mut self, sender: &str, now: Timestamp) {
        self.wrote.insert(sender.to_owned(), now);
    }

    fn behave(&mut self, change: Behaviour) {
        let Behaviour {
            reads,
            on_whatsapp,
            fails_with,
            in_experiment,
            reachable,
            external_user_id,
            phone_number_hidden,
            profile_name,
        } = change;
        self.reads = reads.unwrap_or(self.reads);
        self.on_whatsapp = on_whatsapp.unwrap_or(self.on_whatsapp);
        self.in_experiment = in_experiment.unwrap_or(self.in_experiment);
        self.reachable = reachable.unwrap_or(self.reachable);
        self.phone_number_hidden = phone_number_hidden.unwrap_or(self.phone_number_hidden);
        if let Some(code) = fails_with {
            self.fails_with = (code != 0).then_some(code);
        }
        if let Some(id) = external_user_id {
            self.external_user_id = Some(address::bare(&id).to_owned());
        }
        if let Some(name) = profile_name {
            self.profile_name = name;
        }
    }
}

/// All customers. A customer who was never named behaves like `*`.
#[derive(Debug, Default)]
pub(crate) struct Customers {
    known: HashMap<String, Customer>,
    /// The phone numbers behind business-scoped user ids.
    numbers: HashMap<String, String>,
    anybody: Customer,
}

impl Customers {
    fn key<'k>(&'k self, address: &'k str) -> &'k str {
        let bare = address::bare(address);
        self.numbers.get(bare).map_or(bare, String::as_str)
    }

    pub(crate) fn of(&self, address: &str) -> &Customer {
        self.known.get(self.key(address)).unwrap_or(&self.anybody)
    }

    pub(crate) fn of_mut(&mut self, address: &str) -> &mut Customer {
        let key = self.key(address).to_owned();
        let anybody = &self.anybody;
        self.known.entry(key).or_insert_with_key(|key| Customer {
            phone_number: address::is_phone_number(key).then(|| key.clone()),
            external_user_id: address::is_user_id(key).then(|| key.clone()).or(anybody.external_user_id.clone()),
            ..anybody.clone()
        })
    }

    /// Changes how one customer behaves, or (`*`) every customer not named so far.
    pub(crate) fn behave(&mut self, address: &str, change: Behaviour) {
        if address == "*" {
            self.anybody.behave(change);
            return;
        }
        let customer = self.of_mut(address);
        customer.behave(change);
        if let (Some(number), Some(id)) = (customer.phone_number.clone(), customer.external_user_id.clone()) {
            self.numbers.insert(id, number);
        }
    }

    /// Whether the customer wrote to the sender within the last 24 hours.
    pub(crate) fn window_open(&self, customer: &str, sender: &str, now: Timestamp) -> bool {
        self.of(customer).wrote.get(address::bare(sender)).is_some_and(|at| now.duration_since(*at) < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_for_24_hours_with_that_sender_alone() {
        let mut customers = Customers::default();
        let start = Timestamp::UNIX_EPOCH;
        customers.of_mut("whatsapp:+447700900123").writes_to("+14155238886", start);
        let open = |sender: &str, after: SignedDuration| customers.window_open("+447700900123", sender, start + after);
        assert!(open("whatsapp:+14155238886", WINDOW - SignedDuration::from_secs(1)));
        assert!(!open("whatsapp:+14155238886", WINDOW));
        assert!(!open("whatsapp:+15005550006", SignedDuration::ZERO));
    }

    #[test]
    fn a_phone_number_and_a_business_scoped_id_are_one_customer() {
        let mut customers = Customers::default();
        let change = Behaviour { external_user_id: Some("US.42".to_owned()), ..Behaviour::default() };
        customers.behave("+447700900123", change);
        customers.of_mut("whatsapp:US.42").writes_to("+14155238886", Timestamp::UNIX_EPOCH);
        assert!(customers.window_open("+447700900123", "+14155238886", Timestamp::UNIX_EPOCH));
    }
}
