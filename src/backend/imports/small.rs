//! A small batch whose sender waits: brought in whole, in one transaction, before the answer.
//!
//! If anything is in the way (the store is busy, one record breaks its transaction) nothing of it stands, and the batch
//! goes the long way: stored first, then record by record.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::apply::{Manner, apply};
use super::item::of_record;
use super::receive::{Admitted, NO_RECORDS, Piece, Received, Target, admit};
use super::settle::{begin, failures};
use super::{BatchView, Imports, ImportsError, Refused, derive, now};
use crate::model::{ImportFormat, ResultCounts, ResultStatus};
use crate::store::StoreErrorKind;
use crate::store::imports::{self, Finish, NewBatch, NewResult, Process, StoredBatch, StoredResult};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;

/// Records of a small batch at most.
pub(super) const MOST: usize = 100;

const POINTS: CrashPoints = CrashPoints { before: "imports.small.before_commit", after: "imports.small.after_commit" };

/// What a transaction says when the import was closed while it worked.
const CLOSED: &str = "the import takes no more batches";

enum Done {
    New(Box<Received>),
    Known(Box<StoredBatch>),
}

impl Imports {
    /// Brings a small batch in; `None` if it has to go the long way.
    pub(super) async fn receive_small(
        &self,
        target: &Target,
        piece: &Piece,
        hash: &str,
        wait: Option<Duration>,
    ) -> Result<Option<Received>, ImportsError> {
        let longest = self.limits().record_bytes;
        let now = now();
        let read: Vec<_> =
            piece.items.iter().map(|item| (item.place, item.bytes.clone().ok(), item.read(longest))).collect();
        let (target, content_hash, done) = (target.clone(), hash.to_owned(), piece.done.clone());
        let brought = self.store.write(POINTS, move |session| {
            let import = match admit(session, &target, now)? {
                Err(refused) => return Ok(Err(refused)),
                Ok(Admitted::Known(batch)) => return Ok(Ok(Done::Known(Box::new(batch)))),
                Ok(Admitted::New(import)) if import.import.format != ImportFormat::Records => {
                    return Ok(Err(Refused::Format(NO_RECORDS)));
                }
                Ok(Admitted::New(import)) => import,
            };
            let manner = Manner {
                import: target.import,
                collision: import.import.collision,
                later: import.import.process == Process::Later,
            };
            let mut counts = ResultCounts::default();
            let mut results = Vec::with_capacity(read.len());
            for (place, bytes, record) in read {
                let result = match record {
                    Err(failed) => *failed,
                    Ok(record) => {
                        let end = apply(session, &record, manner, now)?;
                        let original = bytes.filter(|_| end.status == ResultStatus::Failed);
                        NewResult { attempts: 1, end: Some(end), original, ..of_record(place, &record) }
                    }
                };
                counts.add(result.end.as_ref().map_or(ResultStatus::Failed, |end| end.status), 1);
                results.push(result);
            }
            // From here on we are alone with the import: nothing but its own rows is left to write.
            begin(session, import.number, None, now)?;
            let numbers = imports::take_numbers(session, import.number, 1, 0)?;
            if numbers.closed {
                return Err(SqlError::Refused(CLOSED.to_owned()));
            }
            let new = NewBatch {
                id: Uuid::now_v7().to_string(),
                import: import.number,
                ordinal: numbers.batch,
                storage_url: None,
                idempotency_key: target.key.clone(),
                content_hash: Some(content_hash),
                status: derive::batch_end(&counts, None),
                reason: failures(&counts),
                received: true,
                records: done.records,
                counts,
                position: (done.bytes, done.lines),
                lease: None,
                bulk: None,
            };
            let number = imports::insert_batch(session, &new, now)?;
            imports::insert_results(session, number, &results, now)?;
            let data = json!({
                "batch_id": new.id, "ordinal": new.ordinal, "status": new.status, "reason": new.reason,
                "results": counts,
            });
            imports::append(session, import.number, "batch", &data.to_string(), now)?;
            let id = new.id.clone();
            let results =
                results.into_iter().map(|result| shown(number, &id, result, now)).collect::<Result<Vec<_>, _>>()?;
            let batch = StoredBatch {
                number,
                tag: None,
                superseded: false,
                attempts: 0,
                created_at: now,
                updated_at: now,
                ended_at: Some(now),
                batch: new,
            };
            let view = BatchView { batch, counts, rows: None };
            Ok(Ok(Done::New(Box::new(Received { view, results: Some(results), replayed: false }))))
        });
        match self.soon(brought).await {
            Ok(Ok(Done::New(received))) => {
                self.tell();
                Ok(Some(*received))
            }
            Ok(Ok(Done::Known(batch))) => self.same(*batch, hash, wait).await.map(Some),
            Ok(Err(refused)) => Err(refused.into()),
            Err(error) if error.kind == StoreErrorKind::Refused(CLOSED.to_owned()) => Err(Refused::Finalised.into()),
            // The long way would wait just as long.
            Err(error) if error.kind == self.late() => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

/// A result as it would be read back.
fn shown(number: imports::Number, batch: &str, result: NewResult, now: i64) -> Result<StoredResult, SqlError> {
    let end = result.end.unwrap_or(Finish {
        status: ResultStatus::Created,
        change: None,
        writes: None,
        code: None,
        message: None,
        retryable: false,
    });
    Ok(StoredResult {
        id: imports::result_id(number, result.place.ordinal)?,
        batch: batch.to_owned(),
        place: result.place,
        kind: result.kind,
        source_name: result.source_name,
        external_id: result.external_id,
        status: end.status,
        attempts: result.attempts,
        end,
        updated_at: now,
        original: result.original.map(|bytes| bytes.to_vec()),
    })
}
