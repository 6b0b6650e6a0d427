//! What a whole comes to, from what its parts came to. Pure.

use crate::model::{ImportStatus, ResultCounts, RowCounts};
use crate::store::imports::Totals;

/// A batch of which nothing is open: its results, and why it could not be read to its end.
pub(super) fn batch_end(counts: &ResultCounts, trouble: Option<&str>) -> ImportStatus {
    match (counts.succeeded() > 0, counts.failed > 0 || trouble.is_some()) {
        (_, false) => ImportStatus::Completed,
        (true, true) => ImportStatus::PartiallyFailed,
        (false, true) => ImportStatus::Failed,
    }
}

/// A file that was read to its end, or not (`trouble` says why): how it ended, and why no better.
pub(in crate::backend) fn bulk_end(rows: &RowCounts, trouble: Option<&str>) -> (ImportStatus, Option<String>) {
    let why = |otherwise: String| Some(trouble.map_or(otherwise, str::to_owned));
    match (rows.processed(), rows.failed) {
        (0, 0) => (ImportStatus::Failed, why("the file has no rows".to_owned())),
        (0, _) => (ImportStatus::Failed, why("every row failed".to_owned())),
        (_, 0) if trouble.is_none() => (ImportStatus::Completed, None),
        (_, failed) => (ImportStatus::PartiallyFailed, why(format!("{failed} of {} rows failed", rows.total()))),
    }
}

/// A finalised import of which nothing is open.
pub(super) fn import_end(totals: &Totals, expected: Option<u64>) -> (ImportStatus, Option<String>) {
    let results = &totals.results;
    let mut reasons = Vec::new();
    if results.failed > 0 {
        reasons.push(format!("{} of {} records failed", results.failed, results.total()));
    }
    if totals.failed_batches > 0 && results.failed == 0 {
        reasons.push(format!("{} of {} batches failed", totals.failed_batches, totals.batches));
    }
    let mismatch = expected.filter(|expected| *expected != results.total());
    if let Some(expected) = mismatch {
        reasons.push(format!("{expected} records were expected, {} came", results.total()));
    }
    let failed = results.failed > 0 || totals.failed_batches > 0;
    let any_success = results.succeeded() > 0 || totals.completed_batches > 0;
    let status = match (failed, mismatch.is_some(), any_success) {
        (false, false, _) => ImportStatus::Completed,
        (true, _, false) => ImportStatus::Failed,
        _ => ImportStatus::PartiallyFailed,
    };
    (status, (!reasons.is_empty()).then(|| reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{batch_end, bulk_end, import_end};
    use crate::model::{ImportStatus, ResultCounts, RowCounts};
    use crate::store::imports::Totals;

    fn counts(completed: u64, unchanged: u64, failed: u64) -> ResultCounts {
        ResultCounts { completed, unchanged, failed, ..ResultCounts::default() }
    }

    #[test]
    fn blank_is_complete_and_nothing_but_failures_is_failed() {
        assert_eq!(batch_end(&counts(0, 0, 0), None), ImportStatus::Completed);
        assert_eq!(batch_end(&counts(0, 0, 0), Some("gone")), ImportStatus::Failed);
        assert_eq!(batch_end(&counts(0, 1, 1), None), ImportStatus::PartiallyFailed);
        assert_eq!(batch_end(&counts(3, 0, 0), Some("cut")), ImportStatus::PartiallyFailed);
        assert_eq!(batch_end(&counts(0, 0, 2), None), ImportStatus::Failed);
    }

    #[test]
    fn a_wrong_number_of_records_is_a_partial_failure_with_the_reason() {
        let totals = Totals { batches: 1, completed_batches: 1, results: counts(2, 0, 0), ..Totals::default() };
        assert_eq!(import_end(&totals, Some(2)), (ImportStatus::Completed, None));
        let (status, reason) = import_end(&totals, Some(3));
        assert_eq!(status, ImportStatus::PartiallyFailed);
        assert_eq!(reason.as_deref(), Some("3 records were expected, 2 came"));
        assert_eq!(import_end(&Totals::default(), Some(3)).0, ImportStatus::PartiallyFailed);
        assert_eq!(import_end(&Totals::default(), None), (ImportStatus::Completed, None));
    }

    #[test]
    fn a_file_is_complete_only_when_every_row_is_in() {
        let rows = |inserted, unchanged, failed| RowCounts { inserted, unchanged, failed, ..RowCounts::default() };
        let end = |rows, trouble| {
            let (status, reason) = bulk_end(&rows, trouble);
            (status, reason.unwrap_or_default())
        };
        assert_eq!(end(rows(1, 1, 0), None), (ImportStatus::Completed, String::new()));
        assert_eq!(end(rows(0, 0, 0), None), (ImportStatus::Failed, "the file has no rows".to_owned()));
        assert_eq!(end(rows(0, 0, 3), None), (ImportStatus::Failed, "every row failed".to_owned()));
        assert_eq!(end(rows(0, 1, 3), None), (ImportStatus::PartiallyFailed, "3 of 4 rows failed".to_owned()));
        assert_eq!(end(rows(9, 0, 0), Some("cut")), (ImportStatus::PartiallyFailed, "cut".to_owned()));
        assert_eq!(end(rows(0, 0, 0), Some("cut")), (ImportStatus::Failed, "cut".to_owned()));
    }

    proptest! {
        #[test]
        fn an_end_is_an_end_and_says_why(completed in 0_u64..4, unchanged in 0_u64..4, failed in 0_u64..4,
            failed_batches in 0_u64..2, completed_batches in 0_u64..2, expected in prop::option::of(0_u64..12)) {
            let results = counts(completed, unchanged, failed);
            let batches = failed_batches + completed_batches;
            let totals = Totals { batches, failed_batches, completed_batches, results, ..Totals::default() };
            let (status, reason) = import_end(&totals, expected);
            prop_assert!(status.is_final());
            prop_assert_eq!(status == ImportStatus::Completed, reason.is_none());
            prop_assert!(status != ImportStatus::Failed || results.succeeded() == 0);
            let batch = batch_end(&results, None);
            prop_assert_eq!(batch == ImportStatus::Completed, failed == 0);
        }
    }
}
