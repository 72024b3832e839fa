//! The control calls about Twilio's state.

use reqwest::Method;

use super::types::{
    CreatedAccount, CreatedAlert, Decision, MessageFilter, MessageRecord, NewAccount, NewAlert, NewVerification,
    ReviewRule, SenderChange, VerificationRecord,
};
use crate::client::{Answer, Client, encoded};

impl Client {
    pub async fn create_account(&self, account: &NewAccount) -> Answer<CreatedAccount> {
        self.post("accounts", account).await
    }

    /// Has the Debugger notice something now.
    pub async fn add_alert(&self, alert: &NewAlert) -> Answer<CreatedAlert> {
        self.post("alerts", alert).await
    }

    /// Decides about a content that was submitted.
    pub async fn decide(&self, content_sid: &str, decision: &Decision) -> Answer<()> {
        self.order(Method::POST, &format!("contents/{content_sid}/decide"), decision).await
    }

    /// Adds review rules ahead of those in force.
    pub async fn add_reviews(&self, rules: &[ReviewRule]) -> Answer<()> {
        self.order(Method::POST, "reviews", &rules).await
    }

    /// Changes a sender as Meta or Twilio would; `which` is its SID or phone number.
    pub async fn change_sender(&self, which: &str, change: &SenderChange) -> Answer<()> {
        self.order(Method::POST, &format!("senders/{}", encoded(which)), change).await
    }

    /// Has WhatsApp send a code to this number when it is registered.
    pub async fn verify(&self, number: &str, verification: &NewVerification) -> Answer<VerificationRecord> {
        self.post(&format!("verifications/{}", encoded(number)), verification).await
    }

    /// What became of such a number.
    pub async fn verification(&self, number: &str) -> Answer<VerificationRecord> {
        self.get(&format!("verifications/{}", encoded(number)), &[]).await
    }

    /// Oldest first.
    pub async fn messages(&self, filter: &MessageFilter) -> Answer<Vec<MessageRecord>> {
        let query =
            [("to", filter.to.as_deref()), ("from", filter.from.as_deref()), ("account", filter.account.as_deref())];
        self.get("messages", &query).await
    }
}
