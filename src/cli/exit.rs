//! Exit codes. Cron trusts them; `--help` and the README list them; each has a test.

use std::process::ExitCode;

use crate::error::Party;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: everything done.
    Done,
    /// 1: finished, but some titles failed (or would be refused, in a dry run).
    SomeFailed,
    /// 2: usage or settings.
    Usage,
    /// 3: a source refused or is down.
    Source,
    /// 4: the backend or store refused or is down.
    Backend,
    /// 5: the state is locked, corrupt or unwritable.
    State,
    /// 130: SIGINT; the checkpoint is saved.
    Interrupted,
    /// 143: SIGTERM; the checkpoint is saved.
    Terminated,
}

impl Exit {
    /// The number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Source => 3,
            Self::Backend => 4,
            Self::State => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// This one, unless all was well so far: then the other.
    pub(super) fn max_of(self, other: Self) -> Self {
        if self == Self::Done { other } else { self }
    }

    /// The code of the party that has to act.
    pub(super) fn of(party: Party) -> Self {
        match party {
            Party::Usage => Self::Usage,
            Party::Source => Self::Source,
            Party::Backend => Self::Backend,
            Party::State => Self::State,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table in `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    all done
  1    finished, some titles failed (the next run tries them again)
  2    usage or settings
  3    a source refused or is down; `parser run --resume` goes on
  4    the backend or the store refused or is down; `parser run --resume` goes on
  5    the state is locked, corrupt or unwritable
  130  stopped by SIGINT, checkpoint saved   (143: by SIGTERM)";

/// What stands below the commands in `parser --help`.
pub(super) fn long_help() -> String {
    format!(
        "First steps:\n  \
         parser run --mode full --sandbox     crawl two bundled sources into state/catalog.db; needs no token\n  \
         parser diagnose                      check settings, state and every service, and say how to mend them\n  \
         parser run --resume                  for cron: continue what is unfinished, else start a full run\n\n\
         {HELP}\n\n\
         Settings come from flags, the environment and `.env` in the working directory, in that order; `.env.example` \
         lists them all."
    )
}
