//! What an operator asks of the catalogue: search by name, and everything that is stored of one title.

use super::{BackendError, Catalogue};
use crate::model::RecordKind;
use crate::store::catalogue::{self, FoundPage, Inspected, InspectedEpisodes};
use crate::store::sqlite::CrashPoints;
use crate::store::staging::{self, Passage};

const POINTS: CrashPoints =
    CrashPoints { before: "catalogue.search.before_commit", after: "catalogue.search.after_commit" };

/// Rows whose names are made searchable in one transaction, so that imports never wait long for it.
const AT_ONCE: u32 = 500;

/// The newest records of an entity that are worth showing.
const PASSAGES: u32 = 20;

impl Catalogue {
    /// A page of the series whose names, slug or source id a question finds; an empty one finds all.
    pub async fn search(&self, question: String, limit: u32, skip: u32) -> Result<FoundPage, BackendError> {
        Ok(self.store().read(move |session| catalogue::search(session, &question, limit, skip)).await?)
    }

    /// Makes rows searchable that were written before there was a search. Safe to stop and to run twice.
    pub async fn prepare_search(&self) -> Result<(), BackendError> {
        // Asked first: usually there is nothing to write.
        while self.store().read(catalogue::lacks_search).await? {
            self.store().write(POINTS, |session| catalogue::fill_search(session, AT_ONCE)).await?;
        }
        Ok(())
    }

    /// Everything under a slug, episodes apart; what is switched off as well.
    pub async fn inspect(&self, slug: String) -> Result<Option<Inspected>, BackendError> {
        Ok(self.store().read(move |session| catalogue::inspect(session, &slug)).await?)
    }

    /// Through which staged records it has come, the newest first.
    pub async fn lineage(&self, source_name: String, source_id: String) -> Result<Vec<Passage>, BackendError> {
        let asked = self
            .store()
            .read(move |session| staging::lineage(session, RecordKind::Series, &source_name, &source_id, PASSAGES));
        Ok(asked.await?)
    }

    /// A page of its episodes.
    pub async fn inspect_episodes(
        &self,
        slug: String,
        limit: u32,
        skip: u32,
    ) -> Result<InspectedEpisodes, BackendError> {
        Ok(self.store().read(move |session| catalogue::inspect_episodes(session, &slug, limit, skip)).await?)
    }
}
