use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::TenantConfig;
use crate::config::tests::full;
use crate::template::TemplateConfig;

/// What is published: the index, and the parts by what they are known by.
fn published(config: &TenantConfig) -> (PartIndex, BTreeMap<ContentId, Vec<u8>>) {
    let json = config.to_json();
    let pieces = cut(&json);
    let parts = pieces.iter().map(|piece| (ContentId::of(piece), packed_part(piece))).collect();
    (PartIndex::of(&config.tenant, &pieces), parts)
}

fn of<'p>(parts: &'p BTreeMap<ContentId, Vec<u8>>) -> impl Fn(&ContentId) -> Option<&'p [u8]> {
    |id| parts.get(id).map(Vec::as_slice)
}

/// With so many templates, each of them different, of about 1.4 kB.
fn with_templates(count: usize) -> TenantConfig {
    let mut config = full();
    let (_, template) = config.templates.pop_first().unwrap();
    config.templates = (0..count).map(|n| (format!("t{n}").parse().unwrap(), changed(&template, n))).collect();
    config
}

fn set_body(template: &mut TemplateConfig, body: &str) {
    Arc::make_mut(&mut template.localizations).values_mut().for_each(|text| body.clone_into(&mut text.content.body));
}

fn changed(template: &TemplateConfig, n: usize) -> TemplateConfig {
    let mut template = template.clone();
    set_body(&mut template, &format!("text {n}"));
    template
}

#[test]
fn a_part_that_is_missing_leaves_no_config() {
    let (index, mut parts) = published(&with_templates(3000));
    assert!(index.parts().len() > 3, "{index:?}");
    let second = index.parts()[1].clone();
    parts.remove(&second);
    let missing = index.whole(of(&parts)).unwrap_err();
    assert_eq!(missing, MissingPart { place: 2, of: index.parts().len(), id: second });
}

#[test]
fn a_damaged_part_and_one_under_anothers_name_are_told() {
    let (index, parts) = published(&with_templates(3000));
    let [first, second] = [0, 1].map(|at| &index.parts()[at]);
    assert!(check_part(first, &parts[first]).is_ok());
    assert!(check_part(first, &parts[second]).unwrap_err().to_string().contains(second.as_str()));
    assert!(check_part(first, &parts[first][..200]).is_err());
    assert!(check_part(first, b"{}").is_err());
    assert!(check_part(first, &packed_part(&vec![b' '; LARGEST + 1])).unwrap_err().to_string().contains("more than"));
}

#[test]
fn an_index_that_makes_no_sense_is_refused() {
    let tenant: TenantId = "shop".parse().unwrap();
    let read = |json: String| Stored::read(&tenant, json.as_bytes()).map(drop).unwrap_err().to_string();
    let id = ContentId::of(b"");
    let index =
        |parts: &[&str], tenant: &str| serde_json::json!({"format": 2, "tenant": tenant, "parts": parts}).to_string();
    assert!(read(index(&[], "shop")).contains("names 0 parts"));
    assert!(read(index(&vec![id.as_str(); MOST_PARTS + 1], "shop")).contains("expected 1 to"));
    assert!(read(index(&["../../secret"], "shop")).contains("expected a SHA-256"));
    assert!(read(index(&[id.as_str()], "bank")).contains("is for bank, not for shop"));
    assert!(read(r#"{"format": 2, "tenant": "shop"}"#.to_owned()).contains("missing field"));
}

#[test]
fn a_version_that_knows_no_parts_says_that_it_must_be_upgraded() {
    let (index, _) = published(&full());
    let refused = TenantConfig::from_json(&full().tenant, &index.to_json()).unwrap_err();
    assert_eq!(refused, InvalidConfig::UnknownFormat { found: 2 });
}

#[test]
fn whatever_is_no_index_is_left_to_the_reader_of_configs() {
    let config = full();
    let json = config.to_json();
    for value in [&json[..], &packed_part(&json), b"", b"{", b"[]"] {
        assert_eq!(Stored::read(&config.tenant, value), Ok(Stored::Whole(value)));
    }
}

#[test]
fn a_name_tells_a_part_from_a_tenant() {
    use crate::config::kubernetes::{part_name, part_of, secret_name};
    let (shop, id) = ("shop".parse::<TenantId>().unwrap(), ContentId::of(b"x"));
    assert_eq!(part_of(&shop, &part_name(&shop, &id)), Some(id.clone()));
    assert_eq!(part_of(&"sho".parse().unwrap(), &part_name(&shop, &id)), None);
    assert_eq!(part_of(&shop, &secret_name(&shop)), None);
    assert_eq!(part_of(&shop, "whatsapp-tenant-shop.x"), None);
}

#[test]
fn a_change_of_one_template_leaves_most_parts_as_they_are() {
    let mut config = with_templates(3000);
    let (before, _) = published(&config);
    let sizes: Vec<usize> = cut(&config.to_json()).iter().map(|piece| piece.len()).collect();
    assert!(sizes.iter().rev().skip(1).all(|size| (SMALLEST..=LARGEST).contains(size)), "{sizes:?}");
    for name in ["t0", "t1500", "t2999"] {
        let template = config.templates.get_mut(name).unwrap();
        *template = changed(template, 1_000_000);
        let (after, _) = published(&config);
        let new = after.parts().iter().filter(|part| !before.parts().contains(part)).count();
        // Each change so far is in at most two parts.
        assert!(new <= 6 && new < after.parts().len() / 2, "{name}: {new} of {}", after.parts().len());
    }
    // One that comes before all others moves them all, and they are cut as before.
    let (before, _) = published(&config);
    let mut first = changed(&config.templates["t0"], 0);
    set_body(&mut first, &"x".repeat(100_000));
    config.templates.insert("a".parse().unwrap(), first);
    let (after, _) = published(&config);
    let new = after.parts().iter().filter(|part| !before.parts().contains(part)).count();
    assert!(new < after.parts().len() / 2, "{new} of {}", after.parts().len());
}

#[test]
fn the_largest_config_has_no_more_parts_than_an_index_may_name() {
    let text = [b"x".repeat(SMALLEST - 1), b"\n".to_vec()].concat();
    let largest = text.repeat(LARGEST_IN_PARTS / SMALLEST);
    assert!(fits(&largest) && cut(&largest).len() <= MOST_PARTS, "{}", cut(&largest).len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn what_was_cut_is_whole_again_in_whatever_order_the_parts_came(
        lines in prop::collection::vec((0..200_000_usize, any::<u8>()), 0..10),
    ) {
        let json: Vec<u8> = lines.iter().flat_map(|(len, byte)| [vec![*byte; *len], b"\n".to_vec()].concat()).collect();
        let pieces = cut(&json);
        prop_assert_eq!(pieces.concat(), &json[..]);
        prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= LARGEST));
        let index = PartIndex::of(&full().tenant, &pieces);
        let mut parts: Vec<_> = pieces.iter().map(|piece| (ContentId::of(piece), packed_part(piece))).collect();
        parts.reverse();
        let parts: BTreeMap<_, _> = parts.into_iter().collect();
        for (id, value) in &parts {
            prop_assert!(check_part(id, value).is_ok());
        }
        let whole = index.whole(of(&parts)).unwrap();
        if !json.is_empty() {
            prop_assert_eq!(decompressed(&whole, LARGEST_UNPACKED).unwrap(), json);
        }
    }

    #[test]
    fn no_two_configs_are_mixed(first in 1..600_usize, second in 1..600_usize) {
        let (one, other) = (with_templates(first), with_templates(second));
        let ((index, parts), (newer, its_parts)) = (published(&one), published(&other));
        prop_assert_eq!(index.id() == newer.id(), first == second);
        // Whatever is there of both, an index gives its own config or none.
        let some: BTreeMap<_, _> = parts.into_iter().chain(its_parts.into_iter().step_by(2)).collect();
        let whole = index.whole(of(&some)).unwrap();
        prop_assert_eq!(TenantConfig::from_json(&one.tenant, &whole).unwrap(), one);
        if let Ok(whole) = newer.whole(of(&some)) {
            prop_assert_eq!(TenantConfig::from_json(&other.tenant, &whole).unwrap(), other);
        }
    }

    #[test]
    fn no_damage_to_a_part_goes_unseen(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let piece = full().to_json();
        let (id, mut value) = (ContentId::of(&piece), packed_part(&piece));
        let at = at.index(value.len());
        value[at] ^= 1 << bit;
        // What gzip says of itself, such as the system that it comes from, is not content.
        prop_assert!(check_part(&id, &value).is_err() || at < 10);
    }
}
