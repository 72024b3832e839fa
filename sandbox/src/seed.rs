//! What exists when a sandbox starts: the control API's types in one YAML or JSON file.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    twilio::types::{NewAccount, NewService, ReviewRule},
    types::{Behaviour, FaultRules},
};

/// The contents of a seed file. Every field is optional.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Seed {
    /// Twilio's accounts.
    pub accounts: Vec<NewAccount>,
    pub customers: Vec<SeedCustomer>,
    /// How contents submitted through Twilio are reviewed.
    pub reviews: Vec<ReviewRule>,
    pub faults: FaultRules,
}

/// A customer who does not have the default behaviour.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedCustomer {
    pub address: String,
    #[serde(flatten)]
    pub behaviour: Behaviour,
}

/// The account that documentation and examples use.
pub const EXAMPLE_ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
/// The auth token of [`EXAMPLE_ACCOUNT_SID`]. Only a sandbox accepts it.
pub const EXAMPLE_AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The messaging service of [`EXAMPLE_ACCOUNT_SID`].
pub const EXAMPLE_SERVICE_SID: &str = "MG0123456789abcdef0123456789abcdef";
/// The sender of [`EXAMPLE_ACCOUNT_SID`], which is in its messaging service.
pub const EXAMPLE_SENDER: &str = "+14155238886";

impl Seed {
    /// One account with one sender that is in one messaging service, under well-known ids. Inbound messages go to the
    /// sender's own webhook.
    pub fn example() -> Self {
        Self::one_account(EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, &[EXAMPLE_SENDER.to_owned()])
    }

    /// One account; its senders are all in one messaging service.
    pub fn one_account(account_sid: &str, auth_token: &str, senders: &[String]) -> Self {
        let service = NewService {
            sid: Some(EXAMPLE_SERVICE_SID.to_owned()),
            use_inbound_webhook_on_number: true,
            ..NewService::default()
        };
        let account = NewAccount {
            account_sid: Some(account_sid.to_owned()),
            auth_token: Some(auth_token.to_owned()),
            senders: senders.iter().map(|number| number.as_str().into()).collect(),
            services: vec![service],
            ..NewAccount::default()
        };
        Self { accounts: vec![account], ..Self::default() }
    }

    /// Reads a file; JSON is valid YAML.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("the seed file {}", path.display()))?;
        serde_yaml::from_str(&text).with_context(|| format!("the seed file {}", path.display()))
    }
}
