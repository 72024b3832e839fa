//! Credentials: the auth token, the one that follows it, and keys.

use messaging::config::TwilioAccount;
use messaging::failure::FailureClass;
use messaging::provider::admin::{
    AccountAdmin as _, KeyAdmin as _, PoolAdmin as _, SenderAdmin as _, TemplateAdmin as _, TokenAdmin as _,
};
use messaging::secret::Secret;
use providers::twilio::Twilio;
use sandbox::seed::{EXAMPLE_AUTH_TOKEN, Seed};

use super::{World, account_of, adapter};

#[tokio::test]
async fn wrong_credentials_are_distinguished_from_other_failures() {
    let world = World::new(Seed::example()).await;
    assert_eq!(world.twilio.check_credentials().await, Ok(()));
    let wrong = adapter(&world.sandbox, &world.http, "00000000000000000000000000000000");
    let error = wrong.check_credentials().await.expect_err("wrong");
    assert!(error.is_unauthorized(), "{error}");
    world.sandbox.shutdown().await;
    let gone = world.twilio.check_credentials().await.expect_err("nothing listens there");
    assert!(!gone.is_unauthorized() && gone.failure.class == FailureClass::Retry, "{gone}");
}

#[tokio::test]
async fn a_key_is_minted_found_used_and_revoked_and_manages_no_keys_itself() {
    let world = World::new(Seed::example()).await;
    let name = "whatsapp-operator/01234567-89ab-cdef-0123-456789abcdef/1";
    let key = world.twilio.mint_key(name).await.expect("a key");
    assert_eq!(world.twilio.verify_key(&key).await, Ok(()));
    let listed = world.twilio.list_keys().await.expect("the keys").rows;
    assert!(listed.iter().any(|listed| (listed.id.as_str(), listed.name.as_str()) == (&key.id, name)));

    let account =
        TwilioAccount { username: key.id.clone(), password: key.secret.clone(), ..account_of(&world.sandbox) };
    let with_key = Twilio::new(&account, &world.http);
    assert_eq!(with_key.check_webhook_key(&Secret::new(EXAMPLE_AUTH_TOKEN)).await, Ok(()));
    let typo = with_key.check_webhook_key(&Secret::new("ffffffffffffffffffffffffffffffff")).await;
    assert!(typo.is_err_and(|error| error.is_unauthorized()), "the key works, and no webhook could be verified");
    for refused in [with_key.mint_key("another").await.map(drop), with_key.create_next_token().await.map(drop)] {
        assert!(refused.is_err_and(|error| error.is_unauthorized()));
    }
    // What the operator does with it.
    with_key.list_senders().await.expect("the senders");
    with_key.list_templates().await.expect("the templates");
    with_key.list_pools().await.expect("the Messaging Services");

    for _ in 0..2 {
        assert_eq!(world.twilio.revoke_key(&key.id).await, Ok(()));
    }
    let revoked = world.twilio.verify_key(&key).await.expect_err("revoked");
    assert!(revoked.is_unauthorized(), "{revoked}");
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn the_next_token_calls_at_once_and_the_promotion_ends_the_one_before() {
    let world = World::new(Seed::example()).await;
    let first = world.twilio.create_next_token().await.expect("a token");
    assert_eq!(adapter(&world.sandbox, &world.http, first.expose()).check_credentials().await, Ok(()));
    for _ in 0..2 {
        assert_eq!(world.twilio.discard_next_token().await, Ok(()));
    }
    let discarded = adapter(&world.sandbox, &world.http, first.expose()).check_credentials().await;
    assert!(discarded.is_err_and(|error| error.is_unauthorized()));

    let next = world.twilio.create_next_token().await.expect("a token");
    assert_eq!(world.twilio.promote_next_token().await.as_ref(), Ok(&next));
    let before = world.twilio.check_credentials().await.expect_err("it ended");
    assert!(before.is_unauthorized(), "{before}");
    let now = adapter(&world.sandbox, &world.http, next.expose());
    assert_eq!(now.check_credentials().await, Ok(()));
    now.promote_next_token().await.expect_err("there is none");
    world.sandbox.shutdown().await;
}
