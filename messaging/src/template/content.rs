//! The text of a template in one language, in this project's terms.

use serde::{Deserialize, Serialize};

/// One language's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalizedContent {
    /// May hold `{{key}}` placeholders.
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<TemplateButton>,
}

/// The label of the button that copies a code, where an authentication template has no such button of its own.
pub const COPY_CODE_LABEL: &str = "Copy code";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum TemplateButton {
    /// A tap replies with `title`; `id` comes back as the button's payload.
    QuickReply {
        title: String,
        id: String,
    },
    /// Opens a URL, which may end in one `{{key}}`.
    Url {
        title: String,
        url: String,
    },
    PhoneNumber {
        title: String,
        phone: String,
    },
    CopyCode {
        title: String,
        code: String,
    },
}
