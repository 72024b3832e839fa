//! Registering numbers.

use messaging::address::PhoneNumber;
use messaging::config::TwilioAccount;
use messaging::provider::admin::{
    BusinessProfile, CodeBy, KeyAdmin as _, Registered, Registration, RegistrationAdmin as _, SenderAdmin as _, Stage,
    Verified,
};
use messaging::secret::Secret;
use providers::twilio::Twilio;
use sandbox::seed::{EXAMPLE_AUTH_TOKEN, Seed};
use sandbox::twilio::types::NewVerification;

use super::{World, account_of, eventually, targets};

#[tokio::test]
async fn a_number_is_registered_and_verified_with_its_code_also_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let number: PhoneNumber = "+447700900777".parse().expect("a number");
    let code = world.sandbox.control().verify(number.as_str(), &NewVerification::default()).await.expect("a code").code;
    let webhooks = targets(&world.twilio, "https://wa.example.com");
    let registration = Registration {
        number: number.clone(),
        code_by: CodeBy::Sms,
        business_account: None,
        profile: BusinessProfile { name: "Shop".into(), ..BusinessProfile::default() },
        webhooks: webhooks.clone(),
    };
    let stage = async |stage| {
        eventually("the sender gets on", || async {
            let seen = world.twilio.find_sender(&number).await.expect("an answer").expect("it is there");
            (seen.stage == stage).then_some(seen)
        })
        .await
    };
    // A restricted key may not do it, and the auth token does.
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let webhook_keys = vec![Secret::new(EXAMPLE_AUTH_TOKEN)];
    let with_key =
        TwilioAccount { username: minted.id, password: minted.secret, webhook_keys, ..account_of(&world.sandbox) };
    let only_key = Twilio::new(&TwilioAccount { webhook_keys: vec![], ..with_key.clone() }, &world.http);
    let refused = only_key.register(&registration).await.expect_err("it lacks the permission");
    assert!(refused.is_unauthorized(), "{refused}");
    let with_key = Twilio::new(&with_key, &world.http);
    assert_eq!(with_key.register(&registration).await, Ok(Registered::Begun));
    assert_eq!(with_key.register(&registration).await, Ok(Registered::IsTaken));
    let seen = stage(Stage::AwaitsCode).await;
    assert!(!seen.online && seen.webhooks.same_as(&webhooks), "{seen:?}");
    assert_eq!(with_key.verify(&seen.handle, &Secret::new(code)).await, Ok(Verified::Submitted));
    assert!(stage(Stage::Settled).await.online);
    world.sandbox.shutdown().await;
}
