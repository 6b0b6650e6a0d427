//! Ends what has nothing open any more, in the transaction that finds it so.

use serde_json::json;

use super::derive;
use crate::model::{ImportFormat, ImportStatus, ResultCounts};
use crate::store::imports::{self, Number, StoredBatch};
use crate::store::sql::{Session, SqlError};

/// Ends the batch if it is here and nothing of it is open, and then its import, if that was the last. Whether it did.
pub(super) fn settle_batch(session: &Session<'_>, number: Number, now: i64) -> Result<bool, SqlError> {
    if imports::has_open(session, number)? {
        return Ok(false);
    }
    let import = imports::batch_by_number(session, number)?.batch.import;
    imports::lock_import(session, import)?;
    // Read again: who held the lock may have ended it.
    let batch = imports::batch_by_number(session, number)?;
    if batch.batch.status.is_final() || !batch.batch.received || imports::has_open(session, number)? {
        return Ok(false);
    }
    begin(session, import, Some(&batch), now)?;
    let counts = imports::counts(session, number)?;
    let status = derive::batch_end(&counts, batch.batch.reason.as_deref());
    let reason = batch.batch.reason.clone().or_else(|| failures(&counts));
    end_batch(session, &batch, status, &counts, reason.as_deref(), now)?;
    settle_import(session, import, now)?;
    Ok(true)
}

/// What a batch of these results says about itself.
pub(super) fn failures(counts: &ResultCounts) -> Option<String> {
    (counts.failed > 0).then(|| format!("{} of {} records failed", counts.failed, counts.total()))
}

/// Ends a batch and says so.
pub(super) fn end_batch(
    session: &Session<'_>,
    batch: &StoredBatch,
    status: ImportStatus,
    counts: &ResultCounts,
    reason: Option<&str>,
    now: i64,
) -> Result<(), SqlError> {
    if imports::end_batch(session, batch.number, status, counts, reason, now)? {
        let data = json!({
            "batch_id": batch.batch.id, "ordinal": batch.batch.ordinal, "status": status, "reason": reason,
            "results": counts,
        });
        imports::append(session, batch.batch.import, "batch", &data.to_string(), now)?;
    }
    Ok(())
}

/// Ends the import if it is finalised and nothing of it is open.
pub(super) fn settle_import(session: &Session<'_>, number: Number, now: i64) -> Result<(), SqlError> {
    let import = imports::import_by_number(session, number)?;
    if import.finalised_at.is_none() || import.status.is_final() {
        return Ok(());
    }
    let totals = imports::totals(session, number)?;
    if totals.open_batches > 0 {
        return Ok(());
    }
    begin(session, number, None, now)?;
    let (status, mut reason) = derive::import_end(&totals, import.import.expected_count);
    if import.import.format != ImportFormat::Records && totals.batches == 1 {
        // What is to be said of its only file says more.
        reason = imports::first_reason(session, number)?.or(reason);
    }
    end_import(session, number, status, reason.as_deref(), &totals.results, now)
}

/// Ends an import and says so: the one place where an import that has begun comes to its end.
pub(super) fn end_import(
    session: &Session<'_>,
    number: Number,
    status: ImportStatus,
    reason: Option<&str>,
    results: &ResultCounts,
    now: i64,
) -> Result<(), SqlError> {
    if imports::end_import(session, number, status, reason, now)? {
        say_import(session, number, status, reason, Some(results), now)?;
    }
    Ok(())
}

/// Import and batch have begun, if they had not.
pub(super) fn begin(
    session: &Session<'_>,
    import: Number,
    batch: Option<&StoredBatch>,
    now: i64,
) -> Result<(), SqlError> {
    if imports::begin_import(session, import, now)? {
        say_import(session, import, ImportStatus::Started, None, None, now)?;
    }
    if let Some(batch) = batch
        && imports::begin_batch(session, batch.number, now)?
    {
        let data = json!({
            "batch_id": batch.batch.id, "ordinal": batch.batch.ordinal, "status": ImportStatus::Started,
        });
        imports::append(session, import, "batch", &data.to_string(), now)?;
    }
    Ok(())
}

/// The event of an import's new status.
pub(super) fn say_import(
    session: &Session<'_>,
    number: Number,
    status: ImportStatus,
    reason: Option<&str>,
    results: Option<&ResultCounts>,
    now: i64,
) -> Result<(), SqlError> {
    let data = json!({ "status": status, "reason": reason, "results": results });
    imports::append(session, number, "import", &data.to_string(), now).map(drop)
}
