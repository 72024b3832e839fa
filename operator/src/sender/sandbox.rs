//! A sender that is the provider's sandbox: a shared number for trying things out, of which no call can read or change
//! anything. So nothing is observed, and a person does what the operator does elsewhere.

use std::collections::BTreeMap;

use crds::SandboxStatus;
use messaging::address::PhoneNumber;
use messaging::id::TemplateName;
use messaging::provider::admin::WebhookTargets;
use messaging::template::{
    AccountTemplate, Approval, LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig,
};

/// The word that the provider's sandbox is joined with, where the spec has no code.
const CODE: &str = "<the code in Twilio's console>";

/// What people must know to use the sandbox.
pub fn status(number: &PhoneNumber, join_code: Option<&str>, targets: &WebhookTargets) -> SandboxStatus {
    let code = join_code.unwrap_or(CODE);
    let url = |url: &Option<String>| url.clone().unwrap_or_default();
    SandboxStatus {
        join: format!("send \"join {code}\" to {number} on WhatsApp; this holds for 3 days"),
        inbound_url: url(&targets.inbound),
        status_url: url(&targets.status),
    }
}

/// The templates that the sandbox sends without a review of their own, by the name under which the data plane offers
/// them.
///
/// Twilio's console shows these three content SIDs to every account, in its examples for the sandbox. No call lists
/// them.
pub fn canned(account: &str) -> BTreeMap<TemplateName, TemplateConfig> {
    CANNED
        .iter()
        .filter_map(|canned| {
            let handle = AccountTemplate { handle: canned.handle.into(), approval: Approval::Approved };
            let content =
                LocalizedContent { body: canned.body.to_owned(), header: None, footer: None, buttons: vec![] };
            let localization = LocalizationConfig { content, accounts: [(account.to_owned(), handle.into())].into() };
            let template = TemplateConfig {
                category: canned.category,
                variables: canned.variables.iter().map(|&key| key.to_owned()).collect(),
                fallback_language: LANGUAGE.to_owned(),
                localizations: BTreeMap::from([(LANGUAGE.to_owned(), localization.into())]).into(),
            };
            Some((canned.name.parse().ok()?, template))
        })
        .collect()
}

const LANGUAGE: &str = "en";

struct Canned {
    name: &'static str,
    handle: &'static str,
    category: TemplateCategory,
    variables: &'static [&'static str],
    body: &'static str,
}

const CANNED: [Canned; 3] = [
    Canned {
        name: "sandbox-appointment",
        handle: "HXb5b62575e6e4ff6129ad7c8efe1f983e",
        category: TemplateCategory::Utility,
        variables: &["1", "2"],
        body: "Your appointment is coming up on {{1}} at {{2}}. If you need to change it, please reply back and let us know.",
    },
    Canned {
        name: "sandbox-delivery",
        handle: "HX350d429d32e64a552466cafecbe95f3c",
        category: TemplateCategory::Utility,
        variables: &["1", "2"],
        body: "Thank you for your order. Your delivery is scheduled for {{1}} at {{2}}. If you need to change it, please reply back and let us know.",
    },
    Canned {
        name: "sandbox-code",
        handle: "HX229f5a04fd0510ce1b071852155d3e75",
        category: TemplateCategory::Authentication,
        variables: &["1"],
        body: "{{1}} is your verification code. For your security, do not share this code.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_templates_are_whole_and_each_has_its_variables() {
        let templates = canned("AC1");
        assert_eq!(
            templates.keys().map(TemplateName::as_str).collect::<Vec<_>>(),
            ["sandbox-appointment", "sandbox-code", "sandbox-delivery"]
        );
        for (name, template) in templates {
            let localization = &template.localizations[&template.fallback_language];
            assert!(localization.accounts["AC1"].handle.starts_with("HX"), "{name}");
            for key in 1..=3 {
                let key = key.to_string();
                let has_it = localization.content.body.contains(&format!("{{{{{key}}}}}"));
                assert_eq!(has_it, template.variables.contains(&key), "{name}: {key}");
            }
        }
    }

    #[test]
    fn who_reads_the_status_knows_what_to_send_and_what_to_paste() {
        let number = "+14155238886".parse().unwrap();
        let targets = WebhookTargets { inbound: Some("https://h/in".into()), status: Some("https://h/st".into()) };
        let told = status(&number, Some("plenty-tiger"), &targets);
        assert_eq!(told.join, "send \"join plenty-tiger\" to +14155238886 on WhatsApp; this holds for 3 days");
        assert_eq!((told.inbound_url.as_str(), told.status_url.as_str()), ("https://h/in", "https://h/st"));
        assert!(status(&number, None, &targets).join.contains("the code in Twilio's console"));
    }
}
