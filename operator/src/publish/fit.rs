//! Keeps a config within the size that can be published: what is too much is refused, and the rest goes on. Pure.

use messaging::config::{Part, TenantConfig};
use messaging::id::TemplateName;

use super::sound::LeftOut;

/// A config of at most so many bytes of JSON, and that JSON. Templates that are new or changed stay as they were
/// published, or out, as few of them as possible; they are added to `left_out`. It is still too large where something
/// else is.
pub(super) fn fitting(
    mut config: TenantConfig,
    previous: Option<&TenantConfig>,
    largest: usize,
    left_out: &mut LeftOut,
) -> (TenantConfig, Vec<u8>) {
    let mut json = config.to_json();
    if json.len() <= largest {
        return (config, json);
    }
    let size = json.len();
    let mut candidates = grown(&config, previous);
    while json.len() > largest && !candidates.is_empty() {
        let mut excess = json.len() - largest;
        while excess > 0
            && let Some((growth, name)) = candidates.pop()
        {
            excess = excess.saturating_sub(growth);
            match previous.and_then(|previous| previous.templates.get(&name)) {
                Some(before) => drop(config.templates.insert(name.clone(), before.clone())),
                None => drop(config.templates.remove(&name)),
            }
            let why = format!(
                "with it, this namespace's config has {size} bytes, and the largest that can be published is {largest}; \
                 delete templates, or move some to another namespace"
            );
            left_out.insert(Part::Template(name), why);
        }
        json = config.to_json();
    }
    (config, json)
}

/// The templates that are larger than what is published of them, by how much, the largest last.
fn grown(config: &TenantConfig, previous: Option<&TenantConfig>) -> Vec<(usize, TemplateName)> {
    let size = |template| serde_json::to_vec_pretty(template).map_or(0, |json| json.len());
    let mut grown: Vec<_> = config
        .templates
        .iter()
        .filter_map(|(name, template)| {
            let before = previous.and_then(|previous| previous.templates.get(name));
            let growth = size(template).saturating_sub(before.map_or(0, size));
            (growth > 0).then(|| (growth, name.clone()))
        })
        .collect();
    grown.sort();
    grown
}

#[cfg(test)]
mod tests {
    use messaging::config::FORMAT;
    use serde_json::json;

    use super::*;

    fn config(templates: &[(&str, usize)]) -> TenantConfig {
        let template = |(name, size): &(&str, usize)| {
            let text = json!({ "content": { "body": "x".repeat(*size) } });
            let template = json!({ "category": "UTILITY", "fallbackLanguage": "en", "localizations": { "en": text } });
            ((*name).to_owned(), template)
        };
        let templates: serde_json::Map<_, _> = templates.iter().map(template).collect();
        serde_json::from_value(json!({
            "format": FORMAT, "tenant": "shop", "publicBaseUrl": "https://wa.example.com", "templates": templates,
        }))
        .unwrap()
    }

    fn kept(config: TenantConfig, previous: Option<&TenantConfig>) -> (TenantConfig, Vec<String>) {
        let mut left_out = LeftOut::new();
        let (config, json) = fitting(config, previous, 10_000, &mut left_out);
        assert_eq!(json, config.to_json());
        assert!(left_out.values().all(|why| why.contains("the largest that can be published is 10000")));
        (config, left_out.keys().map(|part| format!("{part:?}")).collect())
    }

    #[test]
    fn what_fits_is_left_alone() {
        let small = config(&[("a", 2000), ("b", 2000)]);
        assert_eq!(kept(small.clone(), None), (small, vec![]));
    }

    #[test]
    fn the_template_that_is_too_much_is_refused_and_the_others_are_published() {
        let published = config(&[("a", 2000), ("b", 4000)]);
        let (left, refused) = kept(config(&[("a", 3000), ("b", 4000), ("c", 8000), ("d", 500)]), Some(&published));
        assert_eq!(left, config(&[("a", 3000), ("b", 4000), ("d", 500)]));
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains('c'), "{refused:?}");
    }

    #[test]
    fn a_template_that_has_grown_too_much_stays_as_it_was_published() {
        let published = config(&[("a", 2000), ("b", 4000)]);
        let (left, refused) = kept(config(&[("a", 2000), ("b", 9000)]), Some(&published));
        assert_eq!((left, refused.len()), (published, 1));
    }
}
