//! The templates of a tenant: submitted to the provider, approved, and named in the tenant's config.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use messaging::template::Approval;
use messaging::template::{AccountTemplate, LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig};
use reqwest::Client as Http;
use sandbox::Client;
use sandbox::twilio::types::{CreatedAccount, Decision};
use serde_json::{Value, json};

const LANGUAGE: &str = "en";
/// Templates of different priority.
const TEMPLATES: [(&str, TemplateCategory, &str); 2] = [
    ("order-shipped", TemplateCategory::Utility, "Your order {{1}} has left our warehouse and is on its way"),
    ("spring-offer", TemplateCategory::Marketing, "Say {{1}} in our shop this spring and get two for one"),
];

#[derive(Debug, Clone)]
pub struct Template {
    pub name: &'static str,
    /// The provider's handle.
    pub handle: String,
    category: TemplateCategory,
    body: &'static str,
}

impl Template {
    /// Creates every template in an account, approved.
    pub async fn create_all(account: &CreatedAccount, provider: &str, control: &Client) -> Result<Vec<Self>> {
        let http = Http::new();
        let post = async |path: String, body: Value| -> Result<Value> {
            let request = http.post(format!("{provider}{path}")).json(&body);
            let answer = request.basic_auth(&account.account_sid, Some(&account.auth_token)).send().await?;
            let (status, body) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "POST {path}: {status} {body}");
            Ok(serde_json::from_str(&body)?)
        };
        let mut templates = Vec::new();
        for (name, category, body) in TEMPLATES {
            let friendly_name = name.replace('-', "_");
            let types = json!({"twilio/text": {"body": body}});
            let content = json!({
                "friendly_name": friendly_name, "language": LANGUAGE, "variables": {"1": "tenant-0-1"}, "types": types,
            });
            let created = post("/v1/Content".to_owned(), content).await?;
            let handle = created["sid"].as_str().context("a content has a sid")?.to_owned();
            let submission = json!({"name": friendly_name, "category": category.to_string()});
            post(format!("/v1/Content/{handle}/ApprovalRequests/whatsapp"), submission).await?;
            control.decide(&handle, &Decision { status: "approved".to_owned(), ..Decision::default() }).await?;
            templates.push(Self { name, handle, category, body });
        }
        Ok(templates)
    }

    /// The text that the recipient reads.
    pub fn text(&self, value: &str) -> String {
        self.body.replace("{{1}}", value)
    }

    /// The template in a tenant's config.
    pub fn config(&self, account: &str) -> TemplateConfig {
        let Self { name: _, handle, category, body } = self;
        let content = LocalizedContent { body: (*body).to_owned(), header: None, footer: None, buttons: Vec::new() };
        let at_provider = AccountTemplate { handle: handle.clone(), approval: Approval::Approved };
        let accounts = BTreeMap::from([(account.to_owned(), at_provider.into())]);
        TemplateConfig {
            category: *category,
            variables: vec!["1".to_owned()],
            fallback_language: LANGUAGE.to_owned(),
            localizations: BTreeMap::from([(LANGUAGE.to_owned(), LocalizationConfig { content, accounts }.into())])
                .into(),
        }
    }
}
