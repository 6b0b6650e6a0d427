//! One batch into the store: tried again when the store is busy or away, and without the rows that it refuses.

use std::sync::Arc;
use std::time::Duration;

use super::row::failure;
use crate::backend::imports::{BulkFile, Imports};
use crate::error::{Fault as _, Severity};
use crate::model::RowCounts;
use crate::observe::events;
use crate::store::StoreError;
use crate::store::imports::Turn;
use crate::store::nodes::{self, Batch, NodeRow};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints = CrashPoints { before: "nodes.batch.before_commit", after: "nodes.batch.after_commit" };

/// Tries of one batch while the store is busy or away.
const TRIES: u32 = 5;

/// First wait between them; doubles each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// What has become of a batch, and what it adds to the counts: nothing, if it was in already.
pub(super) type Written = (Turn, RowCounts);

/// Writes a batch.
pub(super) async fn write(
    imports: &Imports,
    file: &BulkFile,
    domain: &str,
    batch: Batch,
) -> Result<Written, StoreError> {
    let batch = match put(imports, file, domain, Arc::new(batch)).await {
        Ok(written) => return Ok(written),
        Err((error, _)) if error.stops_run() || error.severity() == Severity::Transient => return Err(error),
        Err((_, batch)) => batch,
    };
    let Batch { number, rows, duplicates, mut failures, position } = Arc::unwrap_or_clone(batch);
    let (mut good, mut left) = (Vec::new(), vec![rows]);
    while let Some(mut part) = left.pop() {
        match probe(imports, domain, &part).await? {
            None => good.extend(part),
            Some(reason) if part.len() == 1 => {
                failures.extend(part.into_iter().map(|row| {
                    let at = (row.line, row.offset);
                    failure(at, Some(row.reference), "store_refused", reason.clone(), row.original)
                }));
            }
            Some(_) => {
                let second = part.split_off(part.len() / 2);
                // The first half is looked at first, so that the rows stay in order.
                left.extend([second, part]);
            }
        }
    }
    let batch = Batch { number, rows: good, duplicates, failures, position };
    put(imports, file, domain, Arc::new(batch)).await.map_err(|(error, _)| error)
}

/// One transaction, tried again on passing troubles.
async fn put(
    imports: &Imports,
    file: &BulkFile,
    domain: &str,
    batch: Arc<Batch>,
) -> Result<Written, (StoreError, Arc<Batch>)> {
    let mut tries = 1;
    loop {
        let (rows, domain, owner, number) = (Arc::clone(&batch), domain.to_owned(), file.owner.clone(), file.batch);
        let written = imports
            .store()
            .write(POINTS, move |session| nodes::batch(session, (number, owner.as_deref()), &domain, &rows, now()))
            .await;
        match written {
            Ok((Turn::Ours, written)) => {
                let rows = RowCounts {
                    inserted: written.inserted,
                    updated: written.updated,
                    unchanged: written.unchanged,
                    duplicates: batch.duplicates,
                    failed: batch.failures.len() as u64,
                };
                return Ok((Turn::Ours, rows));
            }
            Ok((turn, _)) => return Ok((turn, RowCounts::default())),
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
async fn probe(imports: &Imports, domain: &str, rows: &[NodeRow]) -> Result<Option<String>, StoreError> {
    const FINE: &str = "nothing is wrong with these rows";
    let (domain, rows) = (domain.to_owned(), rows.to_vec());
    let probed: Result<(), _> = imports
        .store()
        .write(POINTS, move |session| {
            nodes::nodes(session, &domain, &rows, now())?;
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

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
