//! What a message says, in this project's terms. Each adapter translates it into its provider's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::id::TemplateName;
use crate::provider::RenderedContent;
use crate::template;

/// What a tenant asks us to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum OutboundContent {
    /// Free-form text; only inside the 24-hour window. At most 1,600 characters at Twilio (error 21617).
    Text { body: String },
    /// A file that the provider fetches from `url`; only inside the window.
    Media {
        url: Url,
        #[serde(skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
    },
    /// An approved template; at any time.
    Template {
        name: TemplateName,
        /// A language of the template, such as `en_US`; absent: the template's fallback language.
        #[serde(skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// A value for each `{{key}}` of the template.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, String>,
    },
}

impl OutboundContent {
    /// Whether WhatsApp accepts this only inside the 24-hour window.
    pub fn is_free_form(&self) -> bool {
        !matches!(self, Self::Template { .. })
    }

    /// The language that `rendered` is in, if it is not the one that was asked for.
    pub fn language_served_instead<'a>(&self, rendered: &'a RenderedContent) -> Option<&'a str> {
        match (self, rendered) {
            (Self::Template { language: Some(asked), .. }, RenderedContent::Template { language, .. }) => {
                (!template::is_same_language(asked, language)).then_some(language)
            }
            _ => None,
        }
    }
}

/// What a customer sent. Whatever has no field here is kept in [`crate::provider::InboundMessage::extra`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InboundContent {
    Text {
        body: String,
    },
    /// One or more files; `body` is the caption.
    Media {
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        items: Vec<MediaItem>,
    },
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// A tap on a quick-reply button or a list item.
    Button {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
    },
    /// A kind of content that has no variant yet; the raw fields hold the rest.
    Other {
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
}

impl InboundContent {
    /// What the customer wrote or tapped: the words in which opt-out keywords are recognised.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let (said, payload) = match self {
            Self::Text { body } => (Some(body), None),
            Self::Button { text, payload } => (Some(text), payload.as_ref()),
            Self::Media { body, .. } | Self::Other { body, .. } => (body.as_ref(), None),
            Self::Location { .. } => (None, None),
        };
        said.into_iter().chain(payload).map(String::as_str)
    }
}

/// A file that came with an inbound message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaItem {
    /// Where the provider keeps it; reading it may need the provider's credentials.
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}
