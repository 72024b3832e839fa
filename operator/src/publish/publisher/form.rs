//! In which form a config is published: pure.

use messaging::config::packed::{LARGEST, compressed};
use messaging::config::parts::{LARGEST_IN_PARTS, fits};

use crate::reconcile::error::{Advice, Explain};

/// Which live replicas read configs in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readers {
    All,
    /// These do not, by their pods' names.
    AllBut(Vec<String>),
    /// No replica is alive.
    Nobody,
    /// Not known yet, right after a restart.
    Unknown,
}

/// How a config is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::publish) enum Form {
    /// As the value of one Secret. `for_now`: only because not every replica reads parts.
    Whole { value: Vec<u8>, for_now: bool },
    /// In parts; this is its JSON.
    Parts(Vec<u8>),
}

/// Why a config cannot be published, whose JSON has this size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::publish) enum TooLarge {
    #[error(
        "this namespace's config can't be published: it has {size} bytes, and the largest that can be is {LARGEST_IN_PARTS}; the data plane runs the last one that fitted; delete templates, or move some to another namespace"
    )]
    Altogether { size: usize },
    #[error(
        "this namespace's config can't be published yet: it has {size} bytes, {compressed} compressed, and a Secret holds {LARGEST}; the data plane runs the last one that fitted; it is published in parts once every replica of the data plane reads them, and these do not: {}; upgrade the data plane, or delete templates", old.join(", ")
    )]
    WithOldReplicas { size: usize, compressed: usize, old: Vec<String> },
    #[error(
        "this namespace's config can't be published yet: it has {size} bytes, {compressed} compressed, and a Secret holds {LARGEST}; it is published in parts once every replica of the data plane reads them, and no replica is alive"
    )]
    WithoutReplicas { size: usize, compressed: usize },
    #[error(
        "this namespace's config is published in parts, because it has {size} bytes, once it is known that every replica of the data plane reads them"
    )]
    NotKnownYet { size: usize },
}

impl TooLarge {
    /// Whether it fits once every replica reads parts.
    pub(super) fn may_fit_later(&self) -> bool {
        !matches!(self, Self::Altogether { .. })
    }
}

impl Explain for TooLarge {
    fn advice(&self) -> Advice {
        match self {
            Self::Altogether { .. } | Self::WithOldReplicas { .. } | Self::WithoutReplicas { .. } => Advice::Stalled,
            Self::NotKnownYet { .. } => Advice::Transient { not_before: None },
        }
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::NOT_PUBLISHED
    }
}

/// Decides the form. A small config is one Secret, whatever else is true. `in_parts`: the one before is.
pub(in crate::publish) fn form(json: Vec<u8>, in_parts: bool, readers: &Readers) -> Result<Form, TooLarge> {
    let size = json.len();
    if size <= LARGEST {
        return Ok(Form::Whole { value: json, for_now: false });
    }
    if !fits(&json) {
        return Err(TooLarge::Altogether { size });
    }
    // Whoever runs reads them already where they are in use.
    let unknown = matches!(readers, Readers::Nobody | Readers::Unknown);
    if *readers == Readers::All || (in_parts && unknown) {
        return Ok(Form::Parts(json));
    }
    let value = compressed(&json);
    match (value.len(), readers) {
        (..=LARGEST, _) => Ok(Form::Whole { value, for_now: true }),
        // Replicas that do not read them refuse what is published now as well, and the others go on.
        _ if in_parts => Ok(Form::Parts(json)),
        (compressed, Readers::AllBut(old)) => Err(TooLarge::WithOldReplicas { size, compressed, old: old.clone() }),
        (compressed, Readers::Nobody) => Err(TooLarge::WithoutReplicas { size, compressed }),
        (_, Readers::All | Readers::Unknown) => Err(TooLarge::NotKnownYet { size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes that compress well, or hardly.
    fn json(size: usize, compresses: bool) -> Vec<u8> {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..size).map(|_| if compresses { b' ' } else { noise() }).collect()
    }

    fn old() -> Readers {
        Readers::AllBut(vec!["data-plane-1".into()])
    }

    #[test]
    fn a_small_config_is_one_secret_whoever_reads_it() {
        for readers in [Readers::All, old(), Readers::Nobody, Readers::Unknown] {
            for in_parts in [false, true] {
                let form = form(json(LARGEST, false), in_parts, &readers).unwrap();
                assert_eq!(form, Form::Whole { value: json(LARGEST, false), for_now: false });
            }
        }
    }

    #[test]
    fn parts_begin_once_every_live_replica_reads_them() {
        let large = || json(LARGEST + 1, false);
        assert_eq!(form(large(), false, &Readers::All), Ok(Form::Parts(large())));
        let refused = form(large(), false, &old()).unwrap_err();
        assert!(refused.to_string().contains("these do not: data-plane-1"), "{refused}");
        assert_eq!(refused.advice(), Advice::Stalled);
        let nobody = form(large(), false, &Readers::Nobody).unwrap_err();
        assert!(nobody.to_string().contains("no replica is alive"), "{nobody}");
        let unknown = form(large(), false, &Readers::Unknown).unwrap_err();
        assert_eq!(unknown.advice(), Advice::Transient { not_before: None }, "it is known within a minute");
    }

    #[test]
    fn what_one_secret_holds_compressed_needs_no_replica_that_reads_parts() {
        let large = || json(LARGEST + 1, true);
        assert_eq!(form(large(), false, &Readers::All), Ok(Form::Parts(large())));
        for (in_parts, readers) in [(false, old()), (true, old()), (false, Readers::Nobody), (false, Readers::Unknown)]
        {
            let form = form(large(), in_parts, &readers).unwrap();
            assert!(matches!(form, Form::Whole { for_now: true, .. }), "{in_parts} {readers:?}");
        }
    }

    #[test]
    fn what_is_in_parts_stays_so_while_it_is_not_known_who_reads_it_or_nothing_else_is_possible() {
        for (compresses, readers) in
            [(true, Readers::Unknown), (true, Readers::Nobody), (false, Readers::Unknown), (false, old())]
        {
            let large = || json(LARGEST + 1, compresses);
            assert_eq!(form(large(), true, &readers), Ok(Form::Parts(large())), "{compresses} {readers:?}");
        }
    }

    #[test]
    fn what_is_too_large_even_for_parts_is_refused() {
        let refused = form(json(LARGEST_IN_PARTS + 1, true), true, &Readers::All).unwrap_err();
        assert_eq!(refused, TooLarge::Altogether { size: LARGEST_IN_PARTS + 1 });
    }
}
