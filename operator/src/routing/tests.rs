//! Promises about routing policies, on what is pure of them.

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
    assert_eq!(compile(&validated, &BTreeMap::new()), None, "whose service it is must be known");

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
fn what_the_schema_lets_through_and_no_country_would_take_is_told_with_its_place() {
    let policy = policy(
        "{ default: { senderRef: { name: counter } }, byCountry: [
            { countries: [IE, UK], to: { senderRef: { name: london } } },
            { countries: [IE], to: { senderRef: { name: Berlin } } } ] }",
    );
    let error = validate(&policy.spec).unwrap_err().to_string();
    assert_eq!(
        error,
        "spec.byCountry[0].countries[1]: \"UK\" is no country; expected its ISO 3166-1 alpha-2 code, GB; \
         spec.byCountry[1].to.senderRef.name: \"Berlin\" is not a sender name: expected at most 253 lower-case letters, \
         digits, '-' or '.', each part beginning and ending with a letter or digit; \
         spec.byCountry[1].countries[0]: IE has a route already, in spec.byCountry[0].countries[0]"
    );
}

#[test]
fn a_message_without_a_policy_goes_by_the_only_one_the_default_one_or_the_oldest() {
    let spec = "{ default: { senderRef: { name: counter } } }";
    let of = |name: &str, day: &str| named(name, &format!("2026-11-{day}T00:00:00Z"), spec);
    let first = |policies: &[RoutingPolicy]| precedence::first(policies).unwrap().metadata.name.clone().unwrap();
    assert_eq!(first(&[of("only", "03")]), "only");
    assert_eq!(first(&[of("old", "01"), of("default", "03")]), "default");
    assert_eq!(first(&[of("b", "02"), of("c", "01"), of("a", "01")]), "a");
}

#[test]
fn only_those_that_do_not_go_first_say_so_and_only_while_none_is_named_default() {
    let spec = "{ default: { senderRef: { name: counter } } }";
    let of = |name: &str, day: &str| named(name, &format!("2026-11-{day}T00:00:00Z"), spec);
    let told = |policies: &[RoutingPolicy], name: &str| precedence::message(policies, &name.parse().unwrap());
    let two = [of("night", "02"), of("day", "01")];
    assert_eq!(told(&two, "day"), "resolved");
    assert!(told(&two, "night").contains("do not go by this one: day is older"));
    let three = [of("night", "02"), of("day", "01"), of("default", "03")];
    assert_eq!(told(&three, "night"), "resolved");
}
