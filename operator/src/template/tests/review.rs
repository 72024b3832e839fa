//! Promises about what begins a review: the creation of a revision at one provider, a submission at another.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::condition::SYNCED;
use crds::{MessageTemplate, MessageTemplateStatus, RevisionState, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::ReviewBegins;
use parking_lot::Mutex;

use super::conditions;
use super::world::{ACCOUNT, World, first};
use crate::accounts::Account;
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::reconcile::error::Failure;
use crate::reconcile::progress::Progress;
use crate::template::apply::apply;
use crate::template::claims::Claims;
use crate::template::hands::{RealHands, RecordIntents};
use crate::template::plan::{AccountView, Observation, plan};
use crate::template::validate::validate;
use crate::testing::FakeAdmin;

#[test]
fn where_creation_begins_the_review_nothing_is_submitted() {
    let mut world = World::new();
    world.review_begins = ReviewBegins::OnCreate;
    let (progress, outcome) = world.done(&first(), &[ACCOUNT]);
    assert_eq!(world.writes(), ["create de at AC01", "create en_US at AC01"]);
    let conditions = conditions(&progress, &outcome);
    assert!(conditions.contains(&format!("{SYNCED}=True Submitted")), "{conditions:?}");
    assert_eq!(progress.status.approval, Some(RevisionState::Pending));

    // The list may lag, and the recorded submission still counts.
    world.lag = SignedDuration::from_secs(30);
    world.pass(&first(), &[ACCOUNT]);
    assert_eq!(world.writes(), Vec::<String>::new());
}

struct RecordsNothing;

#[async_trait]
impl RecordIntents for RecordsNothing {
    async fn record(
        &self,
        _: &MessageTemplate,
        _: &[TemplateLocationStatus],
        _: &MessageTemplateStatus,
    ) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test]
async fn a_provider_is_called_to_submit_only_where_creation_does_not_begin_the_review() {
    for (review_begins, submissions) in [(ReviewBegins::OnCreate, 0), (ReviewBegins::OnSubmit, 2)] {
        let admin = Arc::new(FakeAdmin::reviewing(review_begins));
        let account = Account::new(ACCOUNT.to_owned(), Arc::clone(&admin) as _, Arc::new(Metrics::new().unwrap()));
        let accounts = [(ACCOUNT.to_owned(), Arc::new(account))].into();
        let (template, now) = (first(), Timestamp::UNIX_EPOCH);
        let desired = validate(&template).unwrap();
        let nothing_yet = AccountView::Listed { at: now, templates: vec![] };
        let seen = Observation {
            wanted: [ACCOUNT.to_owned()].into(),
            accounts: [(ACCOUNT.to_owned(), nothing_yet)].into(),
            knows_senders: true,
            elsewhere: BTreeMap::new(),
            claims: Claims::default(),
            data_plane_follows: true,
            now,
        };
        let hands = RealHands {
            clock: &SystemClock,
            intents: &RecordsNothing,
            template: &template,
            recorded: Mutex::default(),
            accounts: &accounts,
        };
        let mut progress = Progress::new(MessageTemplateStatus::default(), false);
        apply(&hands, &desired, plan(&desired, &[], &seen), &mut progress, now).await.unwrap();
        let calls = (admin.calls("create_template"), admin.calls("submit_template"));
        assert_eq!(calls, (2, submissions), "{review_begins:?}");
        let states = progress.status.locations.iter().map(|location| location.newest.as_ref().unwrap().state);
        assert_eq!(states.collect::<Vec<_>>(), [RevisionState::Pending; 2], "{review_begins:?}");
    }
}
