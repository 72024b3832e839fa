//! One tenant: an account and a sender at the provider, an application, customers, and a config file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use messaging::config::{
    ApiKeyConfig, ConsentConfig, FORMAT, HttpSink, Limits, OptOutConfig, ProviderAccount, Retention, SenderConfig,
    SinkConfig, TenantConfig, TwilioAccount, Validity,
};
use messaging::id::{SenderName, TemplateName, TenantId};
use messaging::secret::Secret;
use sandbox::Client;
use sandbox::twilio::types::{CreatedAccount, NewAccount, NewSender};
use sha2::{Digest, Sha256};
use tests::app::{App, SIGNING_SECRET};

use crate::template::Template;

/// The one sender of every tenant.
pub const SENDER: &str = "support";
/// More customers than one client writes to in a minute, so that no message exceeds the rate to one recipient.
const CUSTOMERS: usize = 40;

/// A customer who keeps opting out and in again.
#[derive(Debug, Clone)]
pub struct Fickle {
    /// Every number that reaches them, which clients write to. The first stands for the person.
    pub numbers: Vec<String>,
    /// By which the provider knows them while it hides their number.
    pub user_id: Option<String>,
}

impl Fickle {
    fn all_of(tenant: usize) -> Vec<Self> {
        let plain = |customer: usize| Self { numbers: vec![ordinary(tenant, customer)], user_id: None };
        let hidden = Self { user_id: Some(format!("GB.{tenant}2b3c")), ..plain(2) };
        // A subscriber in Minas Gerais: as they are dialled, and as WhatsApp reports them.
        let spelled = [format!("+553198{tenant:02}00001"), format!("+55318{tenant:02}00001")];
        vec![plain(0), plain(1), hidden, Self { numbers: spelled.into(), user_id: None }]
    }

    pub fn name(&self) -> &str {
        &self.numbers[0]
    }
}

/// The number of a customer who has only one.
fn ordinary(tenant: usize, customer: usize) -> String {
    format!("+4477{tenant:02}9{customer:05}")
}

#[derive(Debug)]
pub struct Tenant {
    pub name: String,
    pub account: CreatedAccount,
    pub number: String,
    pub api_key: String,
    pub app: App,
    /// The numbers of the customers that the sandbox simulates.
    pub customers: Vec<String>,
    /// Those among them who keep opting out and in again.
    pub fickle: Vec<Fickle>,
    pub templates: Vec<Template>,
}

impl Tenant {
    pub async fn create(index: usize, control: &Client, provider: &str, public_url: &str) -> Result<Self> {
        let name = format!("tenant-{index}");
        let number = format!("+1415523{:04}", 8000 + index);
        let callback = format!("{public_url}/webhooks/{name}/{SENDER}/twilio/inbound#rc=5&rp=all");
        let sender = NewSender { phone_number: number.clone(), callback_url: Some(callback), ..NewSender::default() };
        // The provider's own checks are off, because a message that they stop proves nothing about the data plane.
        let account = NewAccount { senders: vec![sender], opt_out_handling: Some(false), ..NewAccount::default() };
        let account = control.create_account(&account).await?;
        let fickle = Fickle::all_of(index);
        let of_fickle = fickle.iter().flat_map(|fickle| fickle.numbers.clone());
        let customers = of_fickle.chain((fickle.len()..CUSTOMERS).map(|n| ordinary(index, n))).collect();
        let api_key = format!("key-of-{name}");
        let templates = Template::create_all(&account, provider, control).await?;
        Ok(Self { name, account, number, api_key, app: App::start().await?, customers, fickle, templates })
    }

    /// Who is behind a number.
    pub fn person<'a>(&'a self, number: &'a str) -> &'a str {
        let fickle = self.fickle.iter().find(|fickle| fickle.numbers.iter().any(|own| own == number));
        fickle.map_or(number, Fickle::name)
    }

    /// Writes its config where the replicas read it.
    pub fn write_config(&self, folder: &Path, public_url: &str, provider: &str) -> Result<()> {
        let path = folder.join(format!("{}.json", self.name));
        std::fs::write(&path, self.config(public_url, provider)?.to_json())
            .with_context(|| format!("writing {}", path.display()))
    }

    fn config(&self, public_url: &str, provider: &str) -> Result<TenantConfig> {
        let CreatedAccount { account_sid, auth_token, .. } = &self.account;
        let twilio = TwilioAccount {
            account_sid: account_sid.clone(),
            username: account_sid.clone(),
            password: Secret::new(auth_token),
            webhook_keys: vec![Secret::new(auth_token)],
            messaging_service_sid: None,
            base_url: Some(provider.parse()?),
        };
        let sink =
            HttpSink { name: None, url: self.app.url().parse()?, signing_secrets: vec![Secret::new(SIGNING_SECRET)] };
        let sender = SenderConfig {
            phone_number: self.number.parse()?,
            provider: ProviderAccount::Twilio(twilio),
            limits: Limits::default(),
            opt_out: OptOutConfig::default(),
            consent: ConsentConfig::default(),
            retention: Retention::default(),
            validity: Validity::default(),
            events: vec![SinkConfig::Http(sink)],
            paused: false,
        };
        let templates =
            self.templates.iter().map(|template| Ok((TemplateName::new(template.name)?, template.config(account_sid))));
        let templates = templates.collect::<Result<_>>()?;
        let key = ApiKeyConfig { name: "client".to_owned(), sha256: hex::encode(Sha256::digest(&self.api_key)) };
        Ok(TenantConfig {
            format: FORMAT,
            tenant: TenantId::new(self.name.as_str())?,
            cell: None,
            public_base_url: public_url.parse()?,
            senders: BTreeMap::from([(SenderName::new(SENDER)?, sender)]),
            templates,
            policies: BTreeMap::new(),
            default_policy: None,
            pools: BTreeMap::new(),
            api_keys: vec![key],
        })
    }
}
