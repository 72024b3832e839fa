//! Promises about the pure steps of a routing policy.

use std::collections::BTreeMap;

use crds::RoutingPolicy;

use super::compile::compile;
use super::validate::validate;
use crate::publish::precedence;

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
