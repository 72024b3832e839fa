//! What a template is for, which decides its price, its review and the consent it needs.

use serde::{Deserialize, Serialize};

/// Ordered by restriction, the least restricted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TemplateCategory {
    Authentication,
    Utility,
    Marketing,
}

impl std::fmt::Display for TemplateCategory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authentication => "AUTHENTICATION",
            Self::Utility => "UTILITY",
            Self::Marketing => "MARKETING",
        })
    }
}

impl std::str::FromStr for TemplateCategory {
    type Err = UnknownCategory;

    /// In any letter case, because providers write it in several.
    fn from_str(word: &str) -> Result<Self, UnknownCategory> {
        [Self::Authentication, Self::Utility, Self::Marketing]
            .into_iter()
            .find(|category| category.to_string().eq_ignore_ascii_case(word))
            .ok_or(UnknownCategory)
    }
}

/// A word that names none of the categories that this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a category of templates; expected AUTHENTICATION, UTILITY or MARKETING")]
pub struct UnknownCategory;
