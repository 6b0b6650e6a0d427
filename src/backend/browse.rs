//! What readers of the catalogue may ask.

use super::{BackendError, Catalogue};
use crate::store::catalogue::{BrowseStore, CatalogueStore, Page, Query, ShownEpisode, ShownSeries};

impl<S: CatalogueStore + BrowseStore> Catalogue<S> {
    /// One page of series.
    pub async fn page(&self, query: Query) -> Result<Page, BackendError> {
        Ok(self.store().page(query).await?)
    }

    /// One series by its slug.
    pub async fn by_slug(&self, slug: String) -> Result<Option<ShownSeries>, BackendError> {
        Ok(self.store().by_slug(slug).await?)
    }

    /// Its episodes; `None` = no such series.
    pub async fn episodes_by_slug(&self, slug: String) -> Result<Option<Vec<ShownEpisode>>, BackendError> {
        Ok(self.store().episodes_by_slug(slug).await?)
    }

    /// Does the store answer?
    pub async fn ping(&self) -> Result<(), BackendError> {
        Ok(self.store().ping().await?)
    }
}
