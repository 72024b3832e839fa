//! WhatsApp's approval of contents: submits one, and lists them all with their approvals.
//!
//! Each account's list is polled; see [`super::streams`] for the events that tell when to look sooner.

use messaging::provider::ProviderError;
use messaging::provider::admin::{Listed, TemplateHandle, TemplateObservation, TemplateRevision};
use messaging::template::Approval;
use serde_json::{Value, json};

use super::client::Client;
use super::content;
use super::hosts::{Host, Segment};

/// "The template associated with this SID has already been submitted for approval." (Twilio docs, error 92009.)
const ALREADY_SUBMITTED: &str = "92009";
/// Twilio appends `_` and the content's SID to the name, and WhatsApp allows 512 characters.
const LONGEST_NAME: usize = 512 - 35;

pub(crate) async fn list(client: &Client) -> Result<Listed<TemplateObservation>, ProviderError> {
    let Listed { rows, requests } =
        client.list(Host::Content, "/v1/ContentAndApprovals?PageSize=500".to_owned(), "contents").await?;
    Ok(Listed { rows: rows.iter().filter_map(observation).collect(), requests })
}

/// Submits a content for WhatsApp's approval. The answer's status means nothing yet (it may be `unsubmitted`), so only
/// a later list shows the approval. It succeeds if the content is already submitted.
pub(crate) async fn submit(
    client: &Client,
    handle: &TemplateHandle,
    revision: &TemplateRevision,
) -> Result<(), ProviderError> {
    let path = format!("/v1/Content/{}/ApprovalRequests/whatsapp", Segment(handle.as_str()));
    let request = json!({ "name": whatsapp_name(&revision.name), "category": revision.category.to_string() });
    match client.post_json(Host::Content, &path, &request).await {
        Err(error) if error.failure.code.as_deref() != Some(ALREADY_SUBMITTED) => Err(error),
        _ => Ok(()),
    }
}

/// WhatsApp's names consist of lower-case letters, digits and underscores.
fn whatsapp_name(name: &str) -> String {
    name.chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(LONGEST_NAME)
        .collect()
}

/// A row of the list; `None` for one without a SID.
fn observation(row: &Value) -> Option<TemplateObservation> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    // A list has the WhatsApp approval itself, a fetch has it under the channel's name. Either is read.
    let approval = row.get("approval_requests").map(|requests| requests.get("whatsapp").unwrap_or(requests));
    Some(TemplateObservation {
        handle: TemplateHandle::new(text(row, "sid")?),
        name: text(row, "friendly_name").unwrap_or_default(),
        language: text(row, "language").unwrap_or_default(),
        approval: approval.map_or(Approval::Unsubmitted, |approval| {
            standing(
                &text(approval, "status").unwrap_or_default(),
                text(approval, "rejection_reason").unwrap_or_default(),
            )
        }),
        category: approval.and_then(|approval| text(approval, "category")).and_then(|word| word.parse().ok()),
        content: content::read(row, approval.and_then(|approval| text(approval, "content_type")).as_deref()),
    })
}

/// The status is free text by specification, and its letter case varies.
fn standing(word: &str, reason: String) -> Approval {
    let reason = if reason.is_empty() { "WhatsApp gave no reason".to_owned() } else { reason };
    match word.to_ascii_lowercase().as_str() {
        "" | "unsubmitted" => Approval::Unsubmitted,
        "received" | "pending" => Approval::Pending,
        "approved" => Approval::Approved,
        "rejected" => Approval::Rejected { reason },
        "paused" => Approval::Paused { reason },
        "disabled" => Approval::Disabled { reason },
        _ => Approval::Unknown { word: word.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use messaging::template::TemplateCategory;

    use super::*;

    #[test]
    fn a_status_is_read_in_any_letter_case_and_an_unknown_one_is_kept() {
        let of = |word: &str| standing(word, "INVALID_FORMAT. No.".to_owned());
        let reason = || "INVALID_FORMAT. No.".to_owned();
        assert_eq!(of("APPROVED"), Approval::Approved);
        assert_eq!(of("Received"), Approval::Pending);
        assert_eq!(of("Rejected"), Approval::Rejected { reason: reason() });
        assert_eq!(of("paused"), Approval::Paused { reason: reason() });
        assert_eq!(of("Disabled"), Approval::Disabled { reason: reason() });
        assert_eq!(of("In Appeal"), Approval::Unknown { word: "In Appeal".to_owned() });
        assert_eq!(standing("unsubmitted", String::new()), Approval::Unsubmitted);
        assert_eq!(
            standing("rejected", String::new()),
            Approval::Rejected { reason: "WhatsApp gave no reason".to_owned() }
        );
    }

    #[test]
    fn a_row_is_read_with_its_approval_flat_or_by_channel_or_absent() {
        let flat = json!({"sid": "HX1", "friendly_name": "n", "language": "en", "approval_requests": {"status": "approved", "category": "UTILITY"}});
        let nested = json!({"sid": "HX1", "approval_requests": {"whatsapp": {"status": "pending"}}});
        let absent = json!({"sid": "HX1", "approval_requests": null});
        let of = |row: &Value| observation(row).expect("a row");
        assert_eq!((of(&flat).approval, of(&flat).category), (Approval::Approved, Some(TemplateCategory::Utility)));
        assert_eq!(of(&nested).approval, Approval::Pending);
        assert_eq!(of(&absent).approval, Approval::Unsubmitted);
        assert_eq!(observation(&json!({"friendly_name": "n"})), None);
    }

    #[test]
    fn any_name_becomes_one_that_whatsapp_accepts() {
        assert_eq!(whatsapp_name("Order-Shipped.é/v2"), "order_shipped___v2");
        assert_eq!(whatsapp_name(&"x".repeat(600)).len(), LONGEST_NAME);
    }
}
