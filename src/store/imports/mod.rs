//! Imports, their batches, the result of each record, and the events that tell about them.
//!
//! Rows that are not decided yet are the queue: workers claim them for a while (lease), so a queue survives every
//! crash and several servers can share it. Whoever changes an import or a batch as a whole takes [`lock_import`] first.

mod batches;
mod bulk;
mod claims;
mod events;
mod records;
mod results;
mod whole;

use super::sql::{Session, SqlError};

pub use batches::{
    BatchPage, Fetchable, HalfRead, NewBatch, Progress, StoredBatch, advance, any_fetchable, batch_by_id, batch_by_key,
    batch_by_number, batch_by_url, batches, begin_batch, claim_fetch, end_batch, end_fetch, first_reason, hold_batch,
    insert_batch, lost_receipts, open_batches, postpone_fetch, received, retried_urls, supersede,
};
pub use bulk::{
    Bulk, Claimable, FailedRow, Patience, PieceEnd, Runner, Turn, any_claimable, begin_piece, claim_bulk, drop_input,
    end_piece, failed_rows, hold_bulk, import_rows, input, is_of_command, is_ours, keep_input, keep_told, lock_pieces,
    note_object, note_position, object_tag, piece_sums, pieces, told, unfinished_command, updated,
};
pub use claims::{
    Claim, Claimed, DueBatch, TOGETHER, claim, complete_all, due_batches, finished_batches, originals, release, renew,
};
pub use events::{StoredEvent, append, events_after, last_event};
pub use records::{
    NewImport, Numbers, Process, StoredImport, begin_import, end_import, finalise, import_by_id, import_by_key,
    import_by_number, imports, insert_import, lock_import, number_of, take_numbers,
};
pub use results::{
    Finish, MOST_RECORDS, NewResult, Place, ResultQuery, StoredResult, Totals, copy_failed, counts, drop_results,
    fail_open, failed_with_original, failure_codes, finish, has_open, insert_results, original, result_id, results,
    retry_later, totals,
};

pub use whole::{Whole, insert_whole};

/// The number of an import or a batch inside the store.
pub type Number = i64;

/// What was stored as a word.
fn word<T>(found: Option<T>, text: &str) -> Result<T, SqlError> {
    found.ok_or_else(|| SqlError::Unreadable(format!("`{text}` is no word of ours")))
}

/// Is there a row of this number that was changed?
fn changed(session: &Session<'_>, sql: &str, values: &[super::sql::Value<'_>]) -> Result<bool, SqlError> {
    Ok(session.execute(sql, values)? > 0)
}
