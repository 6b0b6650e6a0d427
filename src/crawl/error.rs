//! Why a run stopped before its end. Everything here concerns the run as a whole; a title's own trouble is an outcome.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::checkpoint::StateError;
use crate::error::{Fault, Party, Severity};
use crate::extract::ExtractError;
use crate::load::LoadError;
use crate::store::StoreError;

/// A run that could not go on.
#[derive(Debug, thiserror::Error)]
pub enum CrawlError {
    /// A source refused or is down.
    #[error(transparent)]
    Source(#[from] ExtractError),
    /// The landing or the record of what was sent cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The backend refused or is down.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing works any more.
    #[error("{titles} titles failed in a row, the last one: {last}")]
    TooManyFailures {
        /// How many.
        titles: u64,
        /// The last failure.
        last: String,
        /// Who failed.
        party: Party,
    },
    /// `--from-landing` without a finished listing.
    #[error("there is no finished listing in `{}`", .path.display())]
    NothingLanded {
        /// The landing.
        path: PathBuf,
    },
    /// The listing ended long before the number of materials that the source itself names.
    #[error("Kodik's list ended after {seen} of {total} materials")]
    IncompleteListing {
        /// What was listed.
        seen: u64,
        /// What the source says there is.
        total: u64,
    },
    /// The state was made with the sandbox's sources and this run asks the real ones, or the other way round.
    #[error("the state in `{}` was made {}", .folder.display(), if *.sandbox { "with --sandbox" } else { "without --sandbox" })]
    OtherSources {
        /// The state's folder.
        folder: PathBuf,
        /// Was the state made with the sandbox?
        sandbox: bool,
    },
    /// The report cannot be written.
    #[error("cannot write the report `{}`: {reason}", .path.display())]
    Report {
        /// The report.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Fault for CrawlError {
    fn severity(&self) -> Severity {
        match self {
            Self::Source(error) => error.severity(),
            Self::Store(error) => error.severity(),
            Self::State(error) => error.severity(),
            Self::Load(error) => error.severity(),
            Self::TooManyFailures { .. } | Self::IncompleteListing { .. } => Severity::Transient,
            Self::NothingLanded { .. } | Self::OtherSources { .. } | Self::Report { .. } => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Source(error) => error.party(),
            Self::Store(error) => error.party(),
            Self::State(error) => error.party(),
            Self::Load(error) => error.party(),
            Self::TooManyFailures { party, .. } => *party,
            Self::IncompleteListing { .. } => Party::Source,
            Self::NothingLanded { .. } | Self::OtherSources { .. } | Self::Report { .. } => Party::Usage,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::TooManyFailures { .. } => Some(Cow::Borrowed(
                "see the reasons above or in `parser state show`; `parser diagnose` checks the services; then `parser run --resume`",
            )),
            Self::IncompleteListing { .. } => Some(Cow::Borrowed(
                "nothing was changed, because what a listing lacks would be switched off; try `parser run --resume` later, \
                 or list anew with `parser run --mode full`; check KODIK_TYPES and what the token may see",
            )),
            Self::NothingLanded { .. } => {
                Some(Cow::Borrowed("finish a full run first: `parser run --mode full`, or `parser run --resume`"))
            }
            Self::OtherSources { folder, .. } => Some(Cow::Owned(format!(
                "keep invented and real titles apart: set STATE_PATH to another folder, or remove `{}`",
                folder.display()
            ))),
            Self::Report { .. } => Some(Cow::Borrowed("check that the folder exists and may be written")),
        }
    }
}
