//! What is asked about imports.

use super::{Imports, ImportsError, Refused};
use crate::model::{ImportFormat, ImportId, ImportStatus, ResultCounts, RowCounts};
use crate::store::imports::{
    self, BatchPage, Number, ResultQuery, StoredBatch, StoredEvent, StoredImport, StoredResult, Totals,
};
use crate::store::sql::{Session, SqlError};

/// An import and what it has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportView {
    /// The import.
    pub import: StoredImport,
    /// Its batches and results.
    pub totals: Totals,
    /// Its rows, of a bulk import.
    pub rows: Option<RowCounts>,
    /// The command line works on it, and no server.
    pub of_command: bool,
}

/// A batch and what it has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchView {
    /// The batch.
    pub batch: StoredBatch,
    /// Its results.
    pub counts: ResultCounts,
    /// Its rows, of a bulk import.
    pub rows: Option<RowCounts>,
}

/// An import in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The import with its totals.
    pub view: ImportView,
    /// Why records failed, the most frequent first.
    pub failures: Vec<(String, u64)>,
}

impl Imports {
    /// Imports, the newest first. `before` is the number of the last one seen.
    pub async fn list(
        &self,
        status: Option<ImportStatus>,
        before: Option<Number>,
        limit: u32,
    ) -> Result<Vec<ImportView>, ImportsError> {
        let listed = self.store.read(move |session| {
            let found = imports::imports(session, status, before, limit)?;
            found.into_iter().map(|import| view(session, import)).collect()
        });
        Ok(listed.await?)
    }

    /// One import.
    pub async fn get(&self, id: ImportId) -> Result<ImportView, ImportsError> {
        self.of_import(id, view).await
    }

    /// One import in numbers.
    pub async fn summary(&self, id: ImportId) -> Result<Summary, ImportsError> {
        self.of_import(id, |session, import| {
            let failures = imports::failure_codes(session, import.number)?;
            Ok(Summary { view: view(session, import)?, failures })
        })
        .await
    }

    /// Batches of an import in their order.
    pub async fn batches(&self, id: ImportId, page: BatchPage) -> Result<Vec<BatchView>, ImportsError> {
        self.of_import(id, move |session, import| {
            let found = imports::batches(session, import.number, page)?;
            found.into_iter().map(|batch| batch_view(session, batch)).collect()
        })
        .await
    }

    /// One batch of an import.
    pub async fn batch(&self, id: ImportId, batch: uuid::Uuid) -> Result<BatchView, ImportsError> {
        let found = self.of_import(id, move |session, import| {
            let found = imports::batch_by_id(session, import.number, &batch.to_string())?;
            found.map(|batch| batch_view(session, batch)).transpose()
        });
        Ok(found.await?.ok_or(Refused::NoSuchBatch)?)
    }

    /// Results of an import, or of one of its batches, in the order of its records.
    pub async fn results(
        &self,
        id: ImportId,
        batch: Option<uuid::Uuid>,
        query: ResultQuery,
    ) -> Result<Vec<StoredResult>, ImportsError> {
        let found = self.of_import(id, move |session, import| {
            let batch = match batch {
                None => None,
                Some(id) => match imports::batch_by_id(session, import.number, &id.to_string())? {
                    None => return Ok(None),
                    Some(batch) => Some(batch.number),
                },
            };
            imports::results(session, import.number, &ResultQuery { batch, ..query }).map(Some)
        });
        Ok(found.await?.ok_or(Refused::NoSuchBatch)?)
    }

    /// Reference ids of rows that are in, of an import that a message asked for: those of one piece of it, from a number
    /// on, in the order of what was asked for; and the number to go on from. None = that was all.
    pub async fn references(&self, id: ImportId, from: u64) -> Result<Option<(Vec<String>, u64)>, ImportsError> {
        let found = self.of_import(id, move |session, import| {
            let page = BatchPage { status: None, after: 0, limit: 1 };
            let Some(batch) = imports::batches(session, import.number, page)?.into_iter().next() else {
                return Ok(None);
            };
            let told = imports::told(session, batch.number, from)?;
            let kept = from > 0 || told.is_some() || batch.batch.bulk.is_some_and(|bulk| bulk.tells > 0);
            Ok(kept.then_some(told))
        });
        Ok(found.await?.ok_or(Refused::NoReferences)?)
    }

    /// What happened after the event `after`; and whether nothing will follow.
    pub async fn events(&self, id: ImportId, after: i64, limit: u32) -> Result<(Vec<StoredEvent>, bool), ImportsError> {
        self.of_import(id, move |session, import| {
            let events = imports::events_after(session, import.number, after, limit)?;
            let last = events.last().map_or(after, |event| event.id);
            Ok((events, import.status.is_final() && last >= import.events))
        })
        .await
    }

    async fn of_import<T: Send + 'static>(
        &self,
        id: ImportId,
        ask: impl FnOnce(&Session<'_>, StoredImport) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, ImportsError> {
        let asked = self.store.read(move |session| {
            let import = imports::import_by_id(session, &id.to_string())?;
            import.map(|import| ask(session, import)).transpose()
        });
        Ok(asked.await?.ok_or(Refused::NoSuchImport)?)
    }
}

fn view(session: &Session<'_>, import: StoredImport) -> Result<ImportView, SqlError> {
    let totals = imports::totals(session, import.number)?;
    let bulk = import.import.format != ImportFormat::Records;
    let rows = bulk.then(|| imports::import_rows(session, import.number)).transpose()?;
    let of_command = bulk && imports::is_of_command(session, import.number)?;
    Ok(ImportView { import, totals, rows, of_command })
}

/// A batch with what it has come to so far.
pub(super) fn batch_view(session: &Session<'_>, mut batch: StoredBatch) -> Result<BatchView, SqlError> {
    if batch.batch.bulk.is_some() {
        let sums = imports::piece_sums(session, batch.number)?;
        batch.batch.records = sums.rows.total();
        batch.batch.position = (sums.bytes, sums.lines);
        return Ok(BatchView { batch, counts: sums.rows.as_results(), rows: Some(sums.rows) });
    }
    let ended = batch.batch.status.is_final();
    let counts = if ended { batch.batch.counts } else { imports::counts(session, batch.number)? };
    Ok(BatchView { batch, counts, rows: None })
}
