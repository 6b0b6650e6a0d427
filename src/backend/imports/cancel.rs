//! Stopping an import: what is open ends as failed with the code `cancelled`, what is in stays in.

use super::settle::{end_batch, end_import};
use super::{Imports, ImportsError, Refused, now};
use crate::model::{ImportId, ImportStatus};
use crate::store::imports::{self, StoredImport};
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints =
    CrashPoints { before: "imports.cancel.before_commit", after: "imports.cancel.after_commit" };

const REASON: &str = "the import was cancelled";

impl Imports {
    /// Stops an import. Asked again, it answers the same.
    pub async fn cancel(&self, id: ImportId) -> Result<StoredImport, ImportsError> {
        let now = now();
        // Whoever works on its records just now may be in the way.
        let done = self.patiently(POINTS, move |session| {
            let Some(number) = imports::number_of(session, &id.to_string())? else {
                return Ok(Err(Refused::NoSuchImport));
            };
            imports::lock_import(session, number)?;
            let import = imports::import_by_number(session, number)?;
            match import.status {
                ImportStatus::Cancelled => return Ok(Ok(import)),
                status if status.is_final() => return Ok(Err(Refused::Ended(status.as_str()))),
                _ => {}
            }
            for batch in imports::open_batches(session, number)? {
                let counts = if batch.batch.bulk.is_some() {
                    // Pieces that have begun come in; none begins any more.
                    imports::lock_pieces(session, batch.number)?;
                    let sums = imports::piece_sums(session, batch.number)?;
                    imports::note_position(session, batch.number, &sums)?;
                    imports::drop_input(session, batch.number)?;
                    sums.rows.as_results()
                } else {
                    imports::fail_open(session, batch.number, "cancelled", REASON, now)?;
                    imports::counts(session, batch.number)?
                };
                end_batch(session, &batch, ImportStatus::Cancelled, &counts, Some(REASON), now)?;
            }
            let results = imports::totals(session, number)?.results;
            end_import(session, number, ImportStatus::Cancelled, Some("cancelled"), &results, now)?;
            imports::import_by_number(session, number).map(Ok)
        });
        let import = done.await??;
        self.tell();
        Ok(import)
    }
}
