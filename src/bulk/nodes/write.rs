//! One batch into the store: tried again when the store is busy or away, and without the rows that it refuses.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::row::failure;
use crate::backend::imports::{BulkFile, Imports};
use crate::error::{Fault as _, Severity};
use crate::model::{NodesOptions, RowCounts};
use crate::observe::events;
use crate::store::StoreError;
use crate::store::imports::Turn;
use crate::store::nodes::{self, Batch, NodeRow};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints = CrashPoints { before: "nodes.batch.before_commit", after: "nodes.batch.after_commit" };

/// Tries of one batch, after the first, while the store is busy or away.
const TRIES: usize = 5;

/// Bounds of the waits between them; each is random below a bound that doubles.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What has become of a batch, and what it adds to the counts: nothing, if it was in already.
pub(super) type Written = (Turn, RowCounts);

/// Writes a batch.
pub(super) async fn write(
    imports: &Imports,
    file: &BulkFile,
    options: &NodesOptions,
    mut batch: Batch,
) -> Result<Written, StoreError> {
    let domain = options.domain.as_str();
    if options.known_groups {
        without_strangers(imports, domain, &mut batch).await?;
    }
    let batch = Arc::new(batch);
    match put(imports, file, domain, &batch).await {
        Ok(written) => return Ok(written),
        Err(error) if error.stops_run() || error.severity() == Severity::Transient => return Err(error),
        // One of its rows, or more.
        Err(_) => {}
    }
    let Batch { number, rows, duplicates, mut failures, position, mut told } = Arc::unwrap_or_clone(batch);
    let (mut good, mut left) = (Vec::new(), vec![rows]);
    while let Some(mut part) = left.pop() {
        let probed = Arc::new(part);
        let reason = probe(imports, domain, &probed).await?;
        part = Arc::unwrap_or_clone(probed);
        match reason {
            None => good.extend(part),
            Some(reason) if part.len() == 1 => {
                failures.extend(part.into_iter().map(|row| {
                    let at = (row.line, row.offset);
                    *failure(at, Some(row.reference), "store_refused", reason.clone(), row.original)
                }));
            }
            Some(_) => {
                let second = part.split_off(part.len() / 2);
                // The first half is looked at first, so that the rows stay in order.
                left.extend([second, part]);
            }
        }
    }
    keep_of(&mut told, &good);
    let batch = Arc::new(Batch { number, rows: good, duplicates, failures, position, told });
    put(imports, file, domain, &batch).await
}

/// Rejects rows of groups that are not there.
async fn without_strangers(imports: &Imports, domain: &str, batch: &mut Batch) -> Result<(), StoreError> {
    let names: BTreeSet<String> = batch.rows.iter().map(|row| row.group.clone()).collect();
    let attempt = || async {
        let (names, domain) = (names.clone(), domain.to_owned());
        let asking = imports.store().read(move |session| {
            let mut unknown = HashSet::new();
            for name in names {
                if !nodes::has_group(session, &domain, &name)? {
                    unknown.insert(name);
                }
            }
            Ok(unknown)
        });
        asking.await
    };
    let unknown = patiently(batch.number, attempt).await?;
    let (strangers, rows) = std::mem::take(&mut batch.rows).into_iter().partition(|row| unknown.contains(&row.group));
    batch.rows = rows;
    let strangers: Vec<NodeRow> = strangers;
    batch.failures.extend(strangers.into_iter().map(|row| {
        let message = format!("there is no group `{}` in `{domain}`", row.group);
        *failure((row.line, row.offset), Some(row.reference), "unknown_group", message, row.original)
    }));
    keep_of(&mut batch.told, &batch.rows);
    Ok(())
}

/// Keeps the ids of these rows.
fn keep_of(told: &mut Vec<String>, rows: &[NodeRow]) {
    if !told.is_empty() {
        let rows: HashSet<&str> = rows.iter().map(|row| row.reference.as_str()).collect();
        told.retain(|id| rows.contains(id.as_str()));
    }
}

/// One transaction, tried again on passing troubles.
async fn put(imports: &Imports, file: &BulkFile, domain: &str, batch: &Arc<Batch>) -> Result<Written, StoreError> {
    let limit = imports.limits().bulk.patience(batch.rows.len());
    let attempt = || async {
        let (rows, domain, owner, number) = (Arc::clone(batch), domain.to_owned(), file.owner.clone(), file.batch);
        let writing = imports.store().write(POINTS, move |session| {
            nodes::batch(session, (number, owner.as_deref()), &domain, &rows, limit, now())
        });
        writing.await
    };
    let (turn, written) = patiently(batch.number, attempt).await?;
    let rows = match turn {
        Turn::Ours => RowCounts {
            inserted: written.inserted,
            updated: written.updated,
            unchanged: written.unchanged,
            duplicates: batch.duplicates,
            failed: batch.failures.len() as u64,
        },
        Turn::Done | Turn::Lost => RowCounts::default(),
    };
    Ok((turn, rows))
}

/// Would these rows be taken? Nothing of it stands. `Some`: why not.
async fn probe(imports: &Imports, domain: &str, rows: &Arc<Vec<NodeRow>>) -> Result<Option<String>, StoreError> {
    const FINE: &str = "nothing is wrong with these rows";
    let limit = imports.limits().bulk.patience(rows.len());
    let attempt = || async {
        let (domain, rows) = (domain.to_owned(), Arc::clone(rows));
        let probing = imports.store().write(POINTS, move |session| {
            nodes::nodes(session, &domain, &rows, limit, now())?;
            Err::<(), _>(SqlError::Refused(FINE.to_owned()))
        });
        match probing.await {
            Ok(()) => Ok(None),
            Err(error) if error.stops_run() || error.severity() == Severity::Transient => Err(error),
            Err(error) => Ok(Some(error.kind.to_string()).filter(|reason| reason != FINE)),
        }
    };
    patiently(0, attempt).await
}

async fn patiently<T, F>(batch: u64, attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let waits = ExponentialBuilder::default().with_min_delay(WAITS.0).with_max_delay(WAITS.1).with_max_times(TRIES);
    attempt
        .retry(waits.with_jitter())
        .when(|error| error.severity() == Severity::Transient)
        .notify(|error, wait| events::node_batch_retried(batch, &error.to_string(), wait))
        .await
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
