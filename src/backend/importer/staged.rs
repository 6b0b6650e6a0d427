//! The importer's hand in staging: what it keeps of each record, and records that come back from there.

use super::series::hash;
use super::{Context, Processed, Record, RecordRefused, Trace, apply, arrivals};
use crate::model::RecordKind;
use crate::store::catalogue::TitleKey;
use crate::store::catalogue::relations;
use crate::store::sql::{Session, SqlError};
use crate::store::staging::{self, Finish, Mark, StagedKey, StagedRow};

/// Ends of relations that are looked after at once.
const MISSED: u32 = 1_000;

fn key(record: &Record) -> StagedKey<'_> {
    StagedKey { kind: record.kind, source_name: &record.source_name, external_id: &record.external_id, shape: "" }
}

/// Keeps what became of a record that was imported at once.
pub(super) fn keep(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
    processed: &Processed,
    trace: &Trace,
) -> Result<(), SqlError> {
    if *processed == Processed::Unchanged {
        // Nothing new to keep; but an earlier row of it may be open.
        return if trace.settled { Ok(()) } else { staging::settle(session, key(record), &trace.hash, context.now) };
    }
    let finish = processed.finish();
    let payload = (!matches!(finish, Finish::Processed(_))).then(|| record.payload_json());
    let mark = Mark {
        finish,
        payload: payload.as_deref(),
        content_hash: &trace.hash,
        collision: context.collision,
        import: context.import,
        observed_at: record.observed_at.map(jiff::Timestamp::as_millisecond),
        tried: true,
    };
    staging::put(session, key(record), mark, context.now)
}

/// See [`super::park`].
pub(super) fn park(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
    code: &str,
    message: &str,
) -> Result<(), SqlError> {
    let payload = record.payload_json();
    let mark = Mark {
        finish: Finish::Errors(code, message),
        payload: Some(&payload),
        content_hash: &hash(&payload),
        collision: context.collision,
        import: context.import,
        observed_at: record.observed_at.map(jiff::Timestamp::as_millisecond),
        tried: true,
    };
    staging::put(session, key(record), mark, context.now)
}

/// Stages a record without processing it now: a job will.
///
/// # Errors
/// The store's.
pub fn stage(session: &Session<'_>, record: &Record, context: &Context) -> Result<(), SqlError> {
    stage_all(session, std::slice::from_ref(record), context)
}

/// The same for many.
///
/// # Errors
/// The store's.
pub fn stage_all(session: &Session<'_>, records: &[Record], context: &Context) -> Result<(), SqlError> {
    for kind in RecordKind::ALL {
        let of_kind: Vec<&Record> = records.iter().filter(|record| record.kind == kind).collect();
        let payloads: Vec<_> = of_kind.iter().map(|record| record.payload_json()).collect();
        let hashes: Vec<String> = payloads.iter().map(|payload| hash(payload)).collect();
        let rows: Vec<(StagedKey<'_>, Mark<'_>)> = of_kind
            .iter()
            .zip(payloads.iter().zip(&hashes))
            .map(|(record, (payload, hash))| {
                let mark = Mark {
                    finish: Finish::Open,
                    payload: Some(payload),
                    content_hash: hash,
                    collision: context.collision,
                    import: context.import,
                    observed_at: record.observed_at.map(jiff::Timestamp::as_millisecond),
                    tried: false,
                };
                (key(record), mark)
            })
            .collect();
        staging::put_all(session, kind, &rows, context.now)?;
    }
    Ok(())
}

/// Processes a row that `owner` has claimed; `None` = it is not the owner's any more, and nothing was done.
///
/// # Errors
/// Only the store's: the caller's transaction must not be committed.
pub fn process(
    session: &Session<'_>,
    kind: RecordKind,
    id: i64,
    owner: &str,
    now: i64,
) -> Result<Option<Processed>, SqlError> {
    let Some(row) = staging::owned(session, kind, id, owner)? else { return Ok(None) };
    let processed = finish(session, kind, row, now)?;
    Ok(Some(processed))
}

fn finish(session: &Session<'_>, kind: RecordKind, row: StagedRow, now: i64) -> Result<Processed, SqlError> {
    let context = Context { collision: row.collision, import: row.import, now };
    let id = row.id;
    let processed = match record(kind, row) {
        Ok(record) => apply(session, &record, &context)?.0,
        Err(refused) => Processed::refused(&refused),
    };
    staging::finish(session, kind, id, processed.finish(), now)?;
    Ok(processed)
}

fn record(kind: RecordKind, row: StagedRow) -> Result<Record, RecordRefused> {
    Record::of_parts(kind, row.source_name, row.external_id, row.payload.unwrap_or_default(), row.observed_at)
}

/// A release has waited for a series, which is there now. If it cannot be taken, that is its own trouble and not the
/// series': it goes back into the queue of its job.
pub(super) fn complete(session: &Session<'_>, release: &TitleKey, now: i64) -> Result<(), SqlError> {
    let key = StagedKey {
        kind: RecordKind::Release,
        source_name: &release.source_name,
        external_id: &release.source_id,
        shape: "",
    };
    let Some(row) = staging::by_key(session, key)?.filter(|row| row.waits_for.is_some()) else { return Ok(()) };
    let id = row.id;
    match session.attempt(|| finish(session, RecordKind::Release, row, now))? {
        Ok(_) => Ok(()),
        Err(_) => staging::finish(session, RecordKind::Release, id, Finish::Open, now),
    }
}

/// Carries out what still waits although its other end is there: two transactions may have missed each other.
///
/// # Errors
/// The store's.
pub fn settle_missed(session: &Session<'_>, now: i64) -> Result<(), SqlError> {
    for (kind, key) in relations::arrived_unnoticed(session, MISSED)? {
        if let Some(row) = relations::row_of(session, kind, &key)? {
            arrivals::arrived(session, kind, &key, row, now)?;
        }
    }
    Ok(())
}
