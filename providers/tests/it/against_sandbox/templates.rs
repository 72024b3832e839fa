//! Templates, from their creation to their deletion.

use messaging::lifecycle::MessageStatus;
use messaging::provider::admin::TemplateAdmin as _;
use messaging::provider::{MessageLog as _, MessagingProvider as _, OutboundMessage, RenderedContent};
use messaging::template::{Approval, TemplateCategory};
use sandbox::seed::Seed;

use super::{World, accepted, eventually, revision, text};

#[tokio::test]
async fn a_template_is_created_submitted_approved_sent_and_deleted() {
    let world = World::new(Seed::example()).await;
    let twilio = &world.twilio;
    let revision = revision("shop-order-shipped-en-1");
    let handle = twilio.create_template(&revision).await.expect("created");
    let standing = async || {
        let templates = twilio.list_templates().await.expect("a list").rows;
        templates.into_iter().find(|template| template.handle == handle)
    };
    let created = standing().await.expect("listed");
    assert_eq!((created.name.as_str(), created.approval), (revision.name.as_str(), Approval::Unsubmitted));
    twilio.submit_template(&handle, &revision).await.expect("submitted");
    twilio.submit_template(&handle, &revision).await.expect("submitting again is not an error");
    let approved =
        eventually("an approval", async || standing().await.filter(|template| template.approval == Approval::Approved))
            .await;
    assert_eq!(approved.category, Some(TemplateCategory::Utility));

    let values = [("1".to_owned(), "Ava".to_owned())].into();
    let content = RenderedContent::Template { handle: handle.to_string(), language: "en".into(), values };
    let sid = accepted(twilio.send(&OutboundMessage { content, ..text() }).await.outcome);
    eventually("delivery outside the window", async || {
        let found = twilio.lookup(&sid).await.expect("an answer").expect("the message");
        (found.status == MessageStatus::Delivered).then_some(())
    })
    .await;

    twilio.delete_template(&handle).await.expect("deleted");
    twilio.delete_template(&handle).await.expect("deleting again is not an error");
    assert_eq!(standing().await, None);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn what_was_created_twice_under_one_name_is_found_twice() {
    let world = World::new(Seed::example()).await;
    let revision = revision("shop-order-shipped-en-2");
    let mut created = vec![
        world.twilio.create_template(&revision).await.expect("created"),
        world.twilio.create_template(&revision).await.expect("created"),
    ];
    let templates = world.twilio.list_templates().await.expect("a list").rows;
    let mut found: Vec<_> = templates
        .into_iter()
        .filter(|template| template.name == revision.name)
        .map(|template| template.handle)
        .collect();
    created.sort();
    found.sort();
    assert_eq!(created, found);
    world.sandbox.shutdown().await;
}
