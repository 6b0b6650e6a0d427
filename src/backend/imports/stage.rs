//! Records that are only staged: many in one transaction, because nothing of the catalogue is decided with them.
//!
//! All or nothing: if one of them is in the way (it cannot be read, the claim was lost, the store collides), nothing of
//! the group stands, and each goes its own way.

use super::work::Held;
use super::{Imports, now, record};
use crate::backend::importer;
use crate::model::ResultStatus;
use crate::observe::events;
use crate::store::imports;
use crate::store::sql::SqlError;

/// What a group says that has to go one by one.
const ONE_BY_ONE: &str = "not all of these records can be staged together";

impl Imports {
    /// Stages a group of one batch; `false` = nothing of it stands.
    pub(super) async fn stage_together(&self, group: &[Held]) -> bool {
        let Some(first) = group.first() else { return true };
        let context = first.manner.context(now());
        let mut results: Vec<i64> = group.iter().map(|held| held.claimed.result).collect();
        results.sort_unstable();
        let count = results.len();
        let owner = self.owner.clone();
        let staged = self.store.write(super::work::RECORD, move |session| {
            let together = || SqlError::Refused(ONE_BY_ONE.to_owned());
            let originals = imports::originals(session, &results)?;
            let records: Vec<_> = originals
                .iter()
                .map(|(_, bytes)| record::read(bytes))
                .collect::<Result<_, _>>()
                .map_err(|_| together())?;
            if records.len() != results.len() {
                return Err(together());
            }
            importer::stage_all(session, &records, &context)?;
            if imports::complete_all(session, &results, &owner, context.now)? { Ok(()) } else { Err(together()) }
        });
        if staged.await.is_err() {
            return false;
        }
        for _ in 0..count {
            events::import_record_ended(ResultStatus::Completed.as_str(), 1);
        }
        true
    }
}
