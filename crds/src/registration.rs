//! Registering a number with WhatsApp: what a sender's spec says about it, and what its status remembers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the operator registers a number that the account does not have yet. WhatsApp counts attempts, and locks a number
/// out for days after too many, so the operator registers a number at most 3 times, and passes on at most 5 codes, in
/// 72 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// What customers see of the business. It is told when the number is registered, and not kept afterwards: a later
    /// change is made in the provider's console.
    pub profile: BusinessProfile,
    /// The id of the WhatsApp Business Account that gets the number. Absent: the one that the Twilio account is
    /// connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{5,32}$')")
        .message("must be the id of a WhatsApp Business Account: 5 to 32 digits"))]
    pub waba_id: Option<String>,
    /// How WhatsApp tells the code that proves who owns the number. Twilio receives the code itself for a number of its
    /// own that takes SMS.
    #[serde(default)]
    pub verification_method: VerificationMethod,
    /// Where a person puts that code. Each code is passed on once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_code_secret_ref: Option<CodeSecretRef>,
}

/// How WhatsApp tells a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerificationMethod {
    /// By a text message.
    #[default]
    Sms,
    /// By an automated call.
    Voice,
}

/// The key of a Secret in the same namespace that holds a code of 6 digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct CodeSecretRef {
    /// It need not exist before there is a code.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[serde(default = "CodeSecretRef::default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl CodeSecretRef {
    fn default_key() -> String {
        "verificationCode".into()
    }
}

/// What customers see of a business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BusinessProfile {
    /// The display name, which Meta reviews.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// A short text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 139))]
    pub about: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,
    /// A public URL of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''")
        .message("must be an http or https URL, such as https://shop.example.com/logo.png"))]
    pub logo_url: Option<String>,
    /// The line of business, in Twilio's words: Alcohol; Automotive; Beauty, Spa and Salon; Clothing and Apparel,
    /// Education, Entertainment, Event Planning and Service, Finance and Banking, Food and Grocery, Hotel and Lodging,
    /// Matrimony Service, Medical and Health, Non-profit, Online Gambling, OTC Drugs, Other, Physical Gambling,
    /// Professional Services, Public Service, Restaurant, Shopping and Retail, or Travel and Transportation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self in ['Alcohol', 'Automotive', 'Beauty, Spa and Salon', 'Clothing and Apparel', 'Education', 'Entertainment', 'Event Planning and Service', 'Finance and Banking', 'Food and Grocery', 'Hotel and Lodging', 'Matrimony Service', 'Medical and Health', 'Non-profit', 'Online Gambling', 'OTC Drugs', 'Other', 'Physical Gambling', 'Professional Services', 'Public Service', 'Restaurant', 'Shopping and Retail', 'Travel and Transportation']")
        .message("must be a line of business in Twilio's words, such as Automotive, Professional Services or Shopping and Retail"))]
    pub vertical: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub websites: Vec<Website>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub emails: Vec<Email>,
}

/// A website of a business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Website {
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''")
        .message("must be an http or https URL, such as https://shop.example.com"))]
    pub url: String,
    #[serde(default = "Website::default_label")]
    #[schemars(length(min = 1, max = 64))]
    pub label: String,
}

impl Website {
    fn default_label() -> String {
        "Website".into()
    }
}

/// An e-mail address of a business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Email {
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[^@ ]+@[^@ ]+$')")
        .message("must be an e-mail address, such as help@shop.example.com"))]
    pub address: String,
    #[serde(default = "Email::default_label")]
    #[schemars(length(min = 1, max = 64))]
    pub label: String,
}

impl Email {
    fn default_label() -> String {
        "Email".into()
    }
}

/// What the operator did to register a number. Each attempt is here before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationStatus {
    /// When the number was seen online first. It is not registered again from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Time>,
    /// The newest calls that registered the number, or may have. The newest is last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<RegistrationAttempt>,
    /// The newest codes that were passed on, or may have been. The newest is last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<CodeAttempt>,
    /// Until when nothing is tried, because the provider said that there were too many attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Time>,
}

/// A call that registered a number, or may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationAttempt {
    pub at: Time,
    /// The generation of the spec.
    pub generation: i64,
    /// Why the provider refused. Absent where it did not, or its answer is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A code that was passed on, or may have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeAttempt {
    pub at: Time,
    /// Tells this code from others. It does not show the code, also to who tries them all.
    pub digest: String,
    /// Why it was refused. Absent where it was not, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}
