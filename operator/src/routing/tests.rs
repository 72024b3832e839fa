//! Promises about a routing policy: its pure steps, and what becomes of a service that is another namespace's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::{RoutingPolicy, RoutingPolicyStatus};
use messaging::id::PoolId;

use super::compile::compile;
use super::validate::validate;
use crate::controllers::Drivers;
use crate::publish::precedence;
use crate::reconcile::error::{Advice, KubernetesFailure};
use crate::reconcile::kind::{Id, Kind as _};
use crate::reconcile::progress::Progress;
use crate::sender::owner::{PoolOwners, Record, Recorded};
use crate::testing::api::FakeApi;
use crate::testing::dependencies_with;

const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";

fn policy(spec: &str) -> RoutingPolicy {
    named("default", "2026-11-01T00:00:00Z", spec)
}

fn named(name: &str, created: &str, spec: &str) -> RoutingPolicy {
    serde_yaml::from_str(&format!(
        "apiVersion: whatsapp-operator.dev/v1alpha1
kind: RoutingPolicy
metadata: {{ name: {name}, namespace: toys, creationTimestamp: {created:?} }}
spec: {spec}"
    ))
    .unwrap()
}

#[test]
fn every_country_has_its_target_and_the_rest_the_default() {
    let policy = policy(&format!(
        "{{ default: {{ senderRef: {{ name: counter }} }}, byCountry: [
            {{ countries: [GB, IE], to: {{ messagingServiceSid: {SERVICE} }} }},
            {{ countries: [DE], to: {{ senderRef: {{ name: berlin }} }} }} ] }}"
    ));
    let validated = validate(&policy.spec).unwrap();
    assert_eq!(compile(&validated, &BTreeMap::new()), None, "the service's sender must be known");

    let services = BTreeMap::from([(SERVICE.to_owned(), "london".parse().unwrap())]);
    let config = compile(&validated, &services).unwrap();
    assert_eq!(config.default.sender.as_str(), "counter");
    let routes: Vec<_> = config
        .by_country
        .iter()
        .map(|(country, to)| format!("{country} {} {}", to.sender, to.via.as_ref().map_or("-", |pool| pool.as_str())))
        .collect();
    assert_eq!(routes, ["DE berlin -".to_owned(), format!("GB london {SERVICE}"), format!("IE london {SERVICE}")]);
}

#[test]
fn faults_that_the_schema_lets_through_are_reported_with_their_fields() {
    let policy = policy(
        "{ default: { senderRef: { name: counter } }, byCountry: [
            { countries: [IE, UK], to: { senderRef: { name: london } } },
            { countries: [IE], to: { senderRef: { name: Berlin } } } ] }",
    );
    let error = validate(&policy.spec).unwrap_err().to_string();
    assert_eq!(
        error,
        "spec.byCountry[0].countries[1]: \"UK\" is not a country code; expected two capital letters from ISO 3166-1, \
         GB for the United Kingdom; \
         spec.byCountry[1].to.senderRef.name: \"Berlin\" is not a sender name: expected at most 253 lower-case letters, \
         digits, '-' or '.', each part beginning and ending with a letter or digit; \
         spec.byCountry[1].countries[0]: IE already has a route, in spec.byCountry[0].countries[0]"
    );
}

#[test]
fn the_only_policy_the_default_one_or_the_oldest_takes_precedence() {
    let spec = "{ default: { senderRef: { name: counter } } }";
    let of = |name: &str, day: &str| named(name, &format!("2026-11-{day}T00:00:00Z"), spec);
    let first = |policies: &[RoutingPolicy]| precedence::first(policies).unwrap().metadata.name.clone().unwrap();
    assert_eq!(first(&[of("only", "03")]), "only");
    assert_eq!(first(&[of("old", "01"), of("default", "03")]), "default");
    assert_eq!(first(&[of("b", "02"), of("c", "01"), of("a", "01")]), "a");
}

#[test]
fn policies_without_precedence_say_so_while_none_is_named_default() {
    let spec = "{ default: { senderRef: { name: counter } } }";
    let of = |name: &str, day: &str| named(name, &format!("2026-11-{day}T00:00:00Z"), spec);
    let message = |policies: &[RoutingPolicy], name: &str| precedence::message(policies, &name.parse().unwrap());
    let two = [of("night", "02"), of("day", "01")];
    assert_eq!(message(&two, "day"), "resolved");
    assert!(
        message(&two, "night")
            .contains("does not apply to messages that name neither a sender nor a policy, because day is older")
    );
    let three = [of("night", "02"), of("day", "01"), of("default", "03")];
    assert_eq!(message(&three, "night"), "resolved");
}

/// The record of every pool.
struct Owned(Record);

#[async_trait]
impl PoolOwners for Owned {
    async fn read(&self, _: &PoolId) -> Result<Recorded, KubernetesFailure> {
        Ok(Recorded { record: Some(self.0.clone()), version: None })
    }
    async fn write(&self, _: &PoolId, _: Record, _: Option<String>) -> Result<(), KubernetesFailure> {
        unreachable!("a policy claims nothing")
    }
}

#[tokio::test]
async fn a_policy_through_a_service_of_another_namespace_sends_nothing_and_says_whose_it_is() {
    let Drivers { policies: (driver, _), .. } =
        Drivers::new(dependencies_with(Arc::<FakeApi>::default().client(), Arc::default()));
    let mut context = driver.context;
    let now = context.clock.now();
    context.owners = Arc::new(Owned(Record { owner: "bank".parse().unwrap(), since: now, seen: now }));
    let policy = policy(&format!("{{ default: {{ messagingServiceSid: {SERVICE} }} }}"));
    let id = Id { tenant: "toys".parse().unwrap(), name: "default".parse().unwrap() };
    let mut progress = Progress::new(RoutingPolicyStatus::default(), false);
    let failure = policy.reconcile(&id, &context, &mut progress).await.unwrap_err();
    assert_eq!(failure.advice(), Advice::Stalled);
    let message = failure.message();
    assert!(message.starts_with("spec.default.messagingServiceSid: ") && message.contains("bank"), "{message}");
    assert_eq!(context.contributions.of(&id.tenant).policies.get(&id.name), Some(&None));
}
