//! What this replica's Lease says of the configs, within what the API server takes. Pure.

use std::collections::BTreeMap;

use messaging::config::kubernetes::{APPLIED_ANNOTATION, PARTS_ANNOTATION, REFUSED_ANNOTATION};
use messaging::id::TenantId;

use super::kubernetes::Acknowledgement;

/// The most bytes of each of the two lists. The API server takes 256 KiB of annotations in all.
const MOST: usize = 120 * 1024;
/// How many characters of each reason are told, from the first of these on with which all fit.
const REASONS: [usize; 3] = [1000, 100, 0];
const SEE_LOG: &str = "its log says why";

/// Every refusal is told, because what is not is acknowledged. Where even the names do not fit, nothing is
/// acknowledged.
pub(super) fn annotations(
    acknowledged: &Acknowledgement,
    refused: &BTreeMap<TenantId, String>,
) -> [(&'static str, String); 3] {
    let refusals = refusals(refused);
    let applied = acknowledged.resource_version.clone().filter(|_| refusals.is_some());
    [
        (APPLIED_ANNOTATION, applied.unwrap_or_default()),
        (REFUSED_ANNOTATION, refusals.unwrap_or_else(|| "{}".to_owned())),
        // Also without any: it says that this replica reads parts.
        (PARTS_ANNOTATION, parts(acknowledged)),
    ]
}

fn refusals(refused: &BTreeMap<TenantId, String>) -> Option<String> {
    let cut = |why: &str, most: usize| match why.char_indices().nth(most) {
        _ if most == 0 => SEE_LOG.to_owned(),
        Some((end, _)) => format!("{}…", &why[..end]),
        None => why.to_owned(),
    };
    let told = |most| refused.iter().map(|(tenant, why)| (tenant, cut(why, most))).collect::<BTreeMap<_, _>>();
    REASONS.into_iter().map(|most| serde_json::json!(told(most)).to_string()).find(|text| text.len() <= MOST)
}

/// What is left out is not acknowledged, which only makes the operator wait.
fn parts(acknowledged: &Acknowledgement) -> String {
    let mut size = "{}".len();
    let told = acknowledged.parts.iter().take_while(|(tenant, index)| {
        size += r#""":"","#.len() + tenant.as_str().len() + index.as_str().len();
        size <= MOST
    });
    serde_json::json!(told.collect::<BTreeMap<_, _>>()).to_string()
}

#[cfg(test)]
mod tests {
    use messaging::config::parts::ContentId;

    use super::*;

    const ALL: usize = 256 * 1024;

    fn tenant(n: usize) -> TenantId {
        format!("{n:0>63}").parse().unwrap()
    }

    fn told(acknowledged: &Acknowledgement, refused: &BTreeMap<TenantId, String>) -> [String; 3] {
        let annotations = annotations(acknowledged, refused);
        assert!(annotations.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() < ALL);
        annotations.map(|(_, value)| value)
    }

    fn acknowledged() -> Acknowledgement {
        Acknowledgement { resource_version: Some("17".to_owned()), parts: BTreeMap::new() }
    }

    #[test]
    fn a_few_refusals_are_told_whole() {
        let refused = BTreeMap::from([("shop".parse().unwrap(), "senders.a: wrong".to_owned())]);
        let expected = ["17", r#"{"shop":"senders.a: wrong"}"#, "{}"].map(str::to_owned);
        assert_eq!(told(&acknowledged(), &refused), expected);
        assert_eq!(told(&Acknowledgement::default(), &BTreeMap::new()), ["", "{}", "{}"].map(str::to_owned));
    }

    #[test]
    fn every_refusal_is_told_however_long_the_reasons_are() {
        for (tenants, starts_with) in [(1, "Ää"), (100, "Ää"), (300, "Ää"), (1300, SEE_LOG)] {
            let refused = (0..tenants).map(|n| (tenant(n), "Ää".repeat(50_000))).collect();
            let [applied, refusals, _] = told(&acknowledged(), &refused);
            let read: BTreeMap<TenantId, String> = serde_json::from_str(&refusals).unwrap();
            assert_eq!((applied.as_str(), read.len()), ("17", tenants));
            assert!(read.values().all(|why| why.starts_with(starts_with)), "{tenants}");
        }
    }

    #[test]
    fn nothing_is_acknowledged_where_the_refusals_do_not_fit() {
        let refused = (0..5000).map(|n| (tenant(n), "wrong".to_owned())).collect();
        assert_eq!(told(&acknowledged(), &refused), ["", "{}", "{}"].map(str::to_owned));
    }

    #[test]
    fn what_does_not_fit_of_the_parts_is_not_acknowledged() {
        let parts: BTreeMap<_, _> = (0..2000).map(|n| (tenant(n), ContentId::of(b"index"))).collect();
        let [applied, _, told] = told(&Acknowledgement { parts: parts.clone(), ..acknowledged() }, &BTreeMap::new());
        let told: BTreeMap<TenantId, ContentId> = serde_json::from_str(&told).unwrap();
        assert_eq!(applied, "17");
        assert!(told.len() > 800 && told.iter().all(|(tenant, id)| parts.get(tenant) == Some(id)), "{}", told.len());
    }
}
