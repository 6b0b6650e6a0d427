//! Why an import could not be begun or had to stop. Rows that fail alone are no errors.

use std::borrow::Cow;

use crate::error::{Fault, Party, Severity};
use crate::store::StoreError;
use crate::store::objects::ObjectError;

/// A failed import.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// The object could not be read, or not to its end.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store is down or refuses everything.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the import was told cannot be used.
    #[error("the options of the import cannot be used: {0}")]
    Options(String),
    /// The first row does not name the columns that are needed.
    #[error("`{source_name}`: {reason}")]
    Header {
        /// The object.
        source_name: String,
        /// Which is missing, or which is there twice.
        reason: String,
    },
    /// The table is not as it was asked for.
    #[error("table `{table}`: {reason}")]
    Table {
        /// The table.
        table: String,
        /// What is in the way.
        reason: String,
        /// What a person may do.
        hint: &'static str,
    },
}

impl BulkError {
    /// Is the store as a whole away, whatever is done?
    pub fn is_store_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.stops_run())
    }
}

impl Fault for BulkError {
    fn severity(&self) -> Severity {
        match self {
            Self::Object(error) => error.severity(),
            Self::Store(error) => error.severity(),
            Self::Options(_) | Self::Header { .. } | Self::Table { .. } => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Object(error) => error.party(),
            Self::Store(error) => error.party(),
            Self::Options(_) | Self::Header { .. } | Self::Table { .. } => Party::Usage,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Object(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Options(_) => None,
            Self::Table { hint, .. } => Some(Cow::Borrowed(hint)),
            Self::Header { .. } => Some(Cow::Borrowed(
                "the first row names the columns, separated by commas; `reference_id` (or `id`, `user_id`, …) must be among \
                 them, and `group_id` unless `--group` is given",
            )),
        }
    }
}
