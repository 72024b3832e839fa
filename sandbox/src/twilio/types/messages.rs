//! The log of messages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A message as the provider sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRecord {
    pub sid: String,
    pub account: String,
    pub direction: String,
    pub from: Option<String>,
    pub to: String,
    pub service: Option<String>,
    pub body: String,
    pub content_sid: Option<String>,
    /// Decoded.
    pub content_variables: BTreeMap<String, String>,
    pub num_media: usize,
    pub status: String,
    pub error_code: Option<i64>,
    pub status_callback: Option<String>,
    pub history: Vec<StatusChange>,
    pub deleted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    pub at: Timestamp,
    pub status: String,
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// A phone number or address, with or without `whatsapp:`.
    pub to: Option<String>,
    pub from: Option<String>,
    pub account: Option<String>,
}
