//! Why a title cannot be made into a record. Rare: almost everything a source leaves out is simply absent in the record.

use std::borrow::Cow;

use crate::error::{Fault, Party, Severity};
use crate::model::SeriesId;

/// Why a title cannot be made into a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// There is nothing to make releases from.
    #[error("title {id} has no material")]
    NoMaterials {
        /// The title.
        id: SeriesId,
    },
    /// Every name in every source is missing or blank.
    #[error("title {id} has no name in any source")]
    NoTitle {
        /// The title.
        id: SeriesId,
    },
}

impl TransformError {
    /// A short code for grouping in reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMaterials { .. } => "no_materials",
            Self::NoTitle { .. } => "no_title",
        }
    }
}

impl Fault for TransformError {
    fn severity(&self) -> Severity {
        Severity::Permanent
    }

    fn party(&self) -> Party {
        Party::Source
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoMaterials { .. } => {
                "ask Kodik whether the title still exists: `parser run --mode one --source-id ID`"
            }
            Self::NoTitle { .. } => "look the title up on Shikimori; it loads on the next run once a source names it",
        }))
    }
}
