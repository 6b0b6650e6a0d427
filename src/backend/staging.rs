//! What operators do with staged records: look, queue again, throw away, stage.

use std::sync::Arc;

use super::BackendError;
use super::importer::{self, Context, Record};
use crate::model::RecordKind;
use crate::store::Store;
use crate::store::catalogue::relations::{self, PendingKind};
use crate::store::sqlite::CrashPoints;
use crate::store::staging::{self, Filter, KindCounts, StagedRow, State};

const POINTS: CrashPoints = CrashPoints { before: "staging.before_commit", after: "staging.after_commit" };

/// The staging tables of one store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staging {
    store: Arc<Store>,
}

/// What came of putting a row back into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeued {
    /// It is in the queue.
    Done,
    /// There is no such row.
    Unknown,
    /// Only rows with errors are put back, and only whole records.
    Refused(State),
}

impl Staging {
    /// That of this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Stages records without processing them now; all or none.
    pub async fn stage(&self, records: Vec<Record>, context: Context) -> Result<(), BackendError> {
        Ok(self.store.write(POINTS, move |session| importer::stage_all(session, &records, &context)).await?)
    }

    /// A page of rows, oldest first.
    pub async fn list(&self, kind: RecordKind, filter: Filter) -> Result<Vec<StagedRow>, BackendError> {
        Ok(self.store.read(move |session| staging::list(session, kind, &filter)).await?)
    }

    /// One row.
    pub async fn get(&self, kind: RecordKind, id: i64) -> Result<Option<StagedRow>, BackendError> {
        Ok(self.store.read(move |session| staging::get(session, kind, id)).await?)
    }

    /// How many rows of a kind are in each state.
    pub async fn counts(&self, kind: RecordKind) -> Result<KindCounts, BackendError> {
        Ok(self.store.read(move |session| staging::counts(session, kind)).await?)
    }

    /// Puts a refused row back into the queue of its job.
    pub async fn requeue(&self, kind: RecordKind, id: i64) -> Result<Requeued, BackendError> {
        let now = jiff::Timestamp::now().as_millisecond();
        let job = self.store.write(POINTS, move |session| {
            if staging::requeue(session, kind, id, now)? {
                return Ok(Requeued::Done);
            }
            Ok(staging::get(session, kind, id)?.map_or(Requeued::Unknown, |row| Requeued::Refused(row.state)))
        });
        Ok(job.await?)
    }

    /// Puts all refused rows of a kind back into the queue of its job; how many.
    pub async fn requeue_all(&self, kind: RecordKind) -> Result<u64, BackendError> {
        let now = jiff::Timestamp::now().as_millisecond();
        Ok(self.store.write(POINTS, move |session| staging::requeue_errors(session, kind, now)).await?)
    }

    /// Throws a row away, and what it waited for; `false` = there is none. The catalogue stays as it is.
    pub async fn discard(&self, kind: RecordKind, id: i64) -> Result<bool, BackendError> {
        let job = self.store.write(POINTS, move |session| {
            let Some(row) = staging::get(session, kind, id)? else { return Ok(false) };
            if kind == RecordKind::Release && row.waits_for.is_some() {
                relations::forget(session, PendingKind::Release, &row.source_name, &row.external_id)?;
            }
            staging::discard(session, kind, id)
        });
        Ok(job.await?)
    }
}
