//! The running count of a run. Every title is counted once, with its outcome, so the sum always holds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Change, Outcome, SkipReason, Writes};

/// Counts of outcomes: `extracted = loaded + unchanged + failed + skipped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Titles taken up.
    pub extracted: u64,
    /// Of them, written: new.
    pub created: u64,
    /// Of them, written: changed.
    pub updated: u64,
    /// Of them, nothing to write.
    pub unchanged: u64,
    /// Of them, not (or only partly) loaded.
    pub failed: u64,
    /// Of them, left out, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Records written.
    pub writes: Writes,
}

impl Tally {
    /// Counts one title.
    pub fn count(&mut self, outcome: &Outcome) {
        self.extracted += 1;
        match outcome {
            Outcome::Loaded { change, writes } => {
                match change {
                    Change::Created => self.created += 1,
                    Change::Updated => self.updated += 1,
                }
                self.writes.add(writes);
            }
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(reason) => *self.skipped.entry(*reason).or_default() += 1,
        }
    }

    /// Counts `n` things that were left out before they became titles.
    pub fn count_skipped(&mut self, reason: SkipReason, n: u64) {
        if n > 0 {
            self.extracted += n;
            *self.skipped.entry(reason).or_default() += n;
        }
    }

    /// Created and updated.
    pub fn loaded(&self) -> u64 {
        self.created + self.updated
    }

    /// All left out.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }
}

/// Watches for a run that fails all the time: batches without one success.
#[derive(Debug, Clone, Copy)]
pub struct FailureStreak {
    limit: u32,
    batches: u32,
    failed: u64,
}

/// Titles in a batch.
const BATCH: u64 = 50;

impl FailureStreak {
    /// A streak of at most `limit` batches of 50 titles.
    pub fn new(limit: u32) -> Self {
        Self { limit, batches: 0, failed: 0 }
    }

    /// Counts a title; `true` = the limit is reached.
    pub fn count(&mut self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => {}
            Outcome::Loaded { .. } | Outcome::Unchanged => {
                *self = Self::new(self.limit);
                return false;
            }
        }
        if self.failed == BATCH {
            self.failed = 0;
            self.batches += 1;
        }
        self.batches >= self.limit
    }

    /// Titles that failed in a row so far, in whole batches.
    pub fn titles(&self) -> u64 {
        u64::from(self.batches) * BATCH + self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureStreak, Tally};
    use crate::model::{Change, Failure, Outcome, SkipReason, Writes};
    use proptest::prelude::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        let failure = Failure {
            stage: "t".to_owned(),
            code: "c".to_owned(),
            reason: "r".to_owned(),
            retryable: true,
            parts: Vec::new(),
        };
        prop_oneof![
            Just(Outcome::Loaded { change: Change::Created, writes: Writes { series: 1, ..Writes::default() } }),
            Just(Outcome::Loaded { change: Change::Updated, writes: Writes { videos: 3, ..Writes::default() } }),
            Just(Outcome::Unchanged),
            Just(Outcome::Failed(failure)),
            Just(Outcome::Skipped(SkipReason::NotFound)),
            Just(Outcome::Skipped(SkipReason::Banned)),
        ]
    }

    proptest! {
        #[test]
        fn the_sum_always_holds(outcomes in proptest::collection::vec(outcome(), 0..200), left_out in 0..50_u64) {
            let mut tally = Tally::default();
            for outcome in &outcomes {
                tally.count(outcome);
            }
            tally.count_skipped(SkipReason::NoShikimoriId, left_out);
            prop_assert_eq!(tally.extracted, tally.loaded() + tally.unchanged + tally.failed + tally.skipped_total());
            prop_assert_eq!(tally.extracted, outcomes.len() as u64 + left_out);
        }
    }

    #[test]
    fn one_success_ends_a_streak() {
        let failed = || {
            Outcome::Failed(Failure {
                stage: "t".to_owned(),
                code: "c".to_owned(),
                reason: "r".to_owned(),
                retryable: true,
                parts: Vec::new(),
            })
        };
        let mut streak = FailureStreak::new(2);
        assert!((0..99).all(|_| !streak.count(&failed())));
        assert!(!streak.count(&Outcome::Unchanged));
        assert!((0..99).all(|_| !streak.count(&failed())));
        assert!(streak.count(&failed()));
        assert_eq!(streak.titles(), 100);
    }
}
