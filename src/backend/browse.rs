//! What readers of the catalogue may ask.

use super::{BackendError, Catalogue};
use crate::store::catalogue::{self, Page, Query, ShownEpisode, ShownSeries};

impl Catalogue {
    /// One page of series.
    pub async fn page(&self, query: Query) -> Result<Page, BackendError> {
        Ok(self.store().read(move |session| catalogue::page(session, &query)).await?)
    }

    /// One series by its slug.
    pub async fn by_slug(&self, slug: String) -> Result<Option<ShownSeries>, BackendError> {
        Ok(self.store().read(move |session| catalogue::by_slug(session, &slug)).await?)
    }

    /// Its episodes; `None` = no such series.
    pub async fn episodes_by_slug(&self, slug: String) -> Result<Option<Vec<ShownEpisode>>, BackendError> {
        Ok(self.store().read(move |session| catalogue::episodes_by_slug(session, &slug)).await?)
    }

    /// Does the store answer?
    pub async fn ping(&self) -> Result<(), BackendError> {
        Ok(self.store().ping().await?)
    }
}
