//! One batch into the store: tried again when the store is busy or away, and without the rows that it refuses.

use std::sync::Arc;
use std::time::Duration;

use super::row::failure;
use crate::error::{Fault as _, Severity};
use crate::observe::events;
use crate::store::nodes::{self, Batch, Job, NodeRow, Sums};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};

const POINTS: CrashPoints = CrashPoints { before: "nodes.batch.before_commit", after: "nodes.batch.after_commit" };

/// Tries of one batch while the store is busy or away.
const TRIES: u32 = 5;

/// First wait between them; doubles each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// Writes a batch; what it adds to the sums, nothing if it was in already.
pub(super) async fn write(store: &Store, job: &Arc<Job>, batch: Batch, now: i64) -> Result<Sums, StoreError> {
    let batch = match put(store, job, Arc::new(batch), now).await {
        Ok(sums) => return Ok(sums),
        Err((error, _)) if error.stops_run() || error.severity() == Severity::Transient => return Err(error),
        Err((_, batch)) => batch,
    };
    let Batch { number, rows, duplicates, mut failures } = Arc::unwrap_or_clone(batch);
    let (mut good, mut left) = (Vec::new(), vec![rows]);
    while let Some(mut part) = left.pop() {
        match probe(store, job, &part, now).await? {
            None => good.extend(part),
            Some(reason) if part.len() == 1 => {
                failures.extend(
                    part.into_iter().map(|row| {
                        failure(row.line, Some(row.reference), "store_refused", reason.clone(), &row.original)
                    }),
                );
            }
            Some(_) => {
                let second = part.split_off(part.len() / 2);
                // The first half is looked at first, so that the rows stay in order.
                left.extend([second, part]);
            }
        }
    }
    let batch = Batch { number, rows: good, duplicates, failures };
    put(store, job, Arc::new(batch), now).await.map_err(|(error, _)| error)
}

/// One transaction, tried again on passing troubles.
async fn put(store: &Store, job: &Arc<Job>, batch: Arc<Batch>, now: i64) -> Result<Sums, (StoreError, Arc<Batch>)> {
    let mut tries = 1;
    loop {
        let (of_job, of_batch) = (Arc::clone(job), Arc::clone(&batch));
        let written =
            store.write(POINTS, move |session| nodes::batch(session, &of_job.id, &of_job.domain, &of_batch, now)).await;
        match written {
            Ok(None) => return Ok(Sums::default()),
            Ok(Some(written)) => {
                return Ok(Sums {
                    inserted: written.inserted,
                    updated: written.updated,
                    unchanged: written.unchanged,
                    duplicates: batch.duplicates,
                    failed: batch.failures.len() as u64,
                });
            }
            Err(error) if error.severity() == Severity::Transient && tries < TRIES => {
                events::node_batch_retried(batch.number, tries, &error.to_string());
                tokio::time::sleep(BACKOFF * (1 << (tries - 1))).await;
                tries += 1;
            }
            Err(error) => return Err((error, batch)),
        }
    }
}

/// Would these rows be taken? Nothing of it stands. `Some`: why not.
async fn probe(store: &Store, job: &Arc<Job>, rows: &[NodeRow], now: i64) -> Result<Option<String>, StoreError> {
    const FINE: &str = "nothing is wrong with these rows";
    let (job, rows) = (Arc::clone(job), rows.to_vec());
    let probed: Result<(), _> = store
        .write(POINTS, move |session| {
            nodes::nodes(session, &job.domain, &rows, now)?;
            Err(SqlError::Refused(FINE.to_owned()))
        })
        .await;
    match probed {
        Ok(()) => Ok(None),
        Err(error) if error.stops_run() || error.severity() == Severity::Transient => Err(error),
        Err(error) => {
            let reason = error.kind.to_string();
            Ok((reason != FINE).then_some(reason))
        }
    }
}
