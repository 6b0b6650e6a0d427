//! Numbers that cost reading whole tables: counted once for everybody and kept for a while.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::backend::BackendError;
use crate::model::RecordKind;
use crate::server::app::Shared;
use crate::store::catalogue::Counts;
use crate::store::staging::KindCounts;

/// The catalogue's size is no news.
const CATALOGUE: Duration = Duration::from_secs(10);

/// What a job does should show soon.
const STAGING: Duration = Duration::from_secs(1);

/// What was counted last.
#[derive(Debug, Default)]
pub(super) struct Kept {
    catalogue: Slot<Counts>,
    staging: Slot<Vec<KindCounts>>,
}

impl Kept {
    /// Rows of the catalogue's tables.
    pub(super) async fn catalogue(&self, shared: &Shared) -> Result<Counts, BackendError> {
        self.catalogue.get(CATALOGUE, shared.catalogue.counts()).await
    }

    /// Staged rows by state, in the order of [`RecordKind::ALL`].
    pub(super) async fn staging(&self, shared: &Shared) -> Result<Vec<KindCounts>, BackendError> {
        self.staging.get(STAGING, count_staging(shared)).await
    }
}

/// See [`Kept::staging`].
async fn count_staging(shared: &Shared) -> Result<Vec<KindCounts>, BackendError> {
    let mut counts = Vec::with_capacity(RecordKind::ALL.len());
    for kind in RecordKind::ALL {
        counts.push(shared.staging.counts(kind).await?);
    }
    Ok(counts)
}

/// One answer and when it was given.
#[derive(Debug)]
struct Slot<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Slot<T> {
    async fn get(
        &self,
        fresh: Duration,
        ask: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        // Held while asking: whoever comes meanwhile waits for the same answer.
        let mut kept = self.0.lock().await;
        if let Some((at, answer)) = &*kept
            && at.elapsed() < fresh
        {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *kept = Some((Instant::now(), answer.clone()));
        Ok(answer)
    }
}
