//! What a crash left behind: batches that nobody receives any more, and batches that are done and were not ended.

use tokio::sync::watch;

use super::receive::fail_cut;
use super::work::{IDLE, SETTLE};
use super::{Imports, now};
use crate::observe::events;
use crate::store::imports;

/// Batches that are ended at once.
const AT_ONCE: u32 = 50;

impl Imports {
    /// Sweeps now and then until `stop` says so.
    pub(super) async fn sweep(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.sweep_once().await {
                events::import_work_failed(&error.to_string());
            }
            tokio::select! {
                () = tokio::time::sleep(4 * IDLE) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), crate::store::StoreError> {
        let now = now();
        let found = self.store.read(move |session| {
            Ok((imports::lost_receipts(session, now)?, imports::finished_batches(session, AT_ONCE)?))
        });
        let (lost, finished) = found.await?;
        for batch in lost {
            let number = batch.number;
            let swept = self.store.write(SETTLE, move |session| {
                imports::lock_import(session, batch.batch.import)?;
                // Read again: whoever was slow may have come back.
                let batch = imports::batch_by_number(session, number)?;
                let lapsed = batch.batch.lease.as_ref().is_none_or(|(_, until)| *until < now);
                if batch.batch.received || batch.batch.status.is_final() || !lapsed {
                    return Ok(());
                }
                let reason = format!(
                    "The body was cut after {} records (whoever received it is gone): send it again",
                    batch.batch.records
                );
                fail_cut(session, &batch, &reason, now)
            });
            swept.await?;
            self.tell();
        }
        for (batch, _) in finished {
            self.settle(batch).await;
        }
        Ok(())
    }
}
