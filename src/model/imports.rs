//! The words of imports: how far an import, a batch, a result has come, and which step may follow which.
//!
//! A status moves one way. The store enforces the same steps by triggers, so that no program, this one included, can
//! take one back.

use serde::{Deserialize, Serialize};

/// How far an import or a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Nothing has begun.
    Created,
    /// Something has.
    Started,
    /// Every record is in, or was there already.
    Completed,
    /// Some records are in, some are not.
    PartiallyFailed,
    /// None is.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl ImportStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Started, Self::Completed, Self::PartiallyFailed, Self::Failed, Self::Cancelled];

    /// Its word in the store, in answers and in questions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::PartiallyFailed => "partially_failed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that word, whatever its case.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// Does nothing follow?
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Created | Self::Started)
    }

    /// May `next` follow directly?
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Created => matches!(next, Self::Started | Self::Cancelled),
            Self::Started => next.is_final(),
            _ => false,
        }
    }
}

/// What became of one record so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// Stored, not looked at.
    Created,
    /// Somebody works on it.
    Started,
    /// The store was busy or away; it is tried again.
    Retrying,
    /// In.
    Completed,
    /// It was there already, exactly so.
    Unchanged,
    /// Not in; the reason stands beside it.
    Failed,
}

impl ResultStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Started, Self::Retrying, Self::Completed, Self::Unchanged, Self::Failed];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }

    /// The status of that word, whatever its case.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// Does nothing follow?
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Unchanged | Self::Failed)
    }

    /// May `next` follow directly?
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Created | Self::Retrying => matches!(next, Self::Started | Self::Failed),
            Self::Started => !matches!(next, Self::Created | Self::Started),
            _ => false,
        }
    }
}

/// How many results are in which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResultCounts {
    /// Stored, not looked at.
    pub created: u64,
    /// In work.
    pub started: u64,
    /// Waiting for another attempt.
    pub retrying: u64,
    /// In.
    pub completed: u64,
    /// Were there already.
    pub unchanged: u64,
    /// Not in.
    pub failed: u64,
}

impl ResultCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.open() + self.succeeded() + self.failed
    }

    /// Not decided yet.
    pub fn open(&self) -> u64 {
        self.created + self.started + self.retrying
    }

    /// In, or there already.
    pub fn succeeded(&self) -> u64 {
        self.completed + self.unchanged
    }

    /// Counts `count` more of a status.
    pub fn add(&mut self, status: ResultStatus, count: u64) {
        *match status {
            ResultStatus::Created => &mut self.created,
            ResultStatus::Started => &mut self.started,
            ResultStatus::Retrying => &mut self.retrying,
            ResultStatus::Completed => &mut self.completed,
            ResultStatus::Unchanged => &mut self.unchanged,
            ResultStatus::Failed => &mut self.failed,
        } += count;
    }

    /// Adds those of another batch.
    pub fn add_all(&mut self, other: &Self) {
        self.created += other.created;
        self.started += other.started;
        self.retrying += other.retrying;
        self.completed += other.completed;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{ImportStatus, ResultStatus};

    #[test]
    fn every_word_is_found_again() {
        for status in ImportStatus::ALL {
            assert_eq!(ImportStatus::named(&status.as_str().to_uppercase()), Some(status));
        }
        for status in ResultStatus::ALL {
            assert_eq!(ResultStatus::named(status.as_str()), Some(status));
        }
        assert_eq!(ImportStatus::named("done"), None);
    }

    proptest! {
        /// However steps are tried, those that are allowed never lead back to where one was, and end.
        #[test]
        fn an_import_never_comes_back(steps in prop::collection::vec(select(&ImportStatus::ALL[..]), 0..40)) {
            let (mut now, mut been) = (ImportStatus::Created, vec![ImportStatus::Created]);
            for next in steps {
                if now.may_become(next) {
                    prop_assert!(!now.is_final(), "{now:?} is the end");
                    prop_assert!(!been.contains(&next), "{next:?} again");
                    now = next;
                    been.push(next);
                }
            }
            prop_assert!(been.len() <= 3);
        }

        /// Only STARTED and RETRYING may alternate; an end is an end.
        #[test]
        fn a_result_never_leaves_its_end(steps in prop::collection::vec(select(&ResultStatus::ALL[..]), 0..40)) {
            let mut now = ResultStatus::Created;
            for next in steps {
                if now.may_become(next) {
                    prop_assert!(!now.is_final());
                    prop_assert!(next != ResultStatus::Created);
                    prop_assert!(next != ResultStatus::Retrying || now == ResultStatus::Started);
                    prop_assert!(!matches!(next, ResultStatus::Completed | ResultStatus::Unchanged) || now == ResultStatus::Started);
                    now = next;
                }
            }
        }
    }
}
