//! The log of alerts of the account in memory.

use async_trait::async_trait;
use messaging::provider::ProviderError;
use messaging::provider::admin::{AlertAdmin, AlertObservation, Listed};

use super::FakeAdmin;

impl FakeAdmin {
    pub(crate) fn add_alert(&self, alert: AlertObservation) {
        self.state().alerts.push(alert);
    }
}

#[async_trait]
impl AlertAdmin for FakeAdmin {
    fn source(&self) -> &'static str {
        "the fake's log"
    }

    fn permission(&self) -> &'static str {
        "the permission to read it"
    }

    async fn list_alerts(&self, since: jiff::Timestamp) -> Result<Listed<AlertObservation>, ProviderError> {
        let state = self.begin("list_alerts")?;
        Ok(state.listed(state.alerts.iter().filter(|alert| alert.at >= since).cloned().collect()))
    }
}
