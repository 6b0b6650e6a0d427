//! `/list`: one page of materials and where the next one is.

use bytes::Bytes;

use super::envelope::unexpected;
use super::{Cursor, Kodik, PAGE_LIMIT, RawMaterial, Rejected};
use crate::extract::ExtractError;

const ENDPOINT: &str = "/list";

/// Which end of the listing comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// For a whole crawl: what changes meanwhile is seen again at the end instead of being missed.
    OldestFirst,
    /// For what changed since the last run.
    NewestFirst,
}

impl Order {
    fn as_str(self) -> &'static str {
        match self {
            Self::OldestFirst => "asc",
            Self::NewestFirst => "desc",
        }
    }
}

/// One page of the listing.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// Materials in the whole listing, as the source counts now; drifts during a crawl.
    pub total: Option<u64>,
    /// The page's materials, in the source's order.
    pub materials: Vec<RawMaterial>,
    /// Items that are no materials.
    pub rejected: Vec<Rejected>,
    /// Where the listing goes on; `None` = this was the last page.
    pub next: Option<Cursor>,
}

impl Kodik {
    /// One page: the first one, or the one at `cursor`.
    pub async fn list_page(&self, cursor: Option<&Cursor>, order: Order) -> Result<ListPage, ExtractError> {
        let limit = self.options.page_limit.clamp(1, PAGE_LIMIT);
        let mut request = self
            .with_contents(self.request(ENDPOINT))
            .query("limit", limit.to_string())
            .query("sort", "updated_at")
            .query("order", order.as_str());
        if let Some(cursor) = cursor {
            request = request.query("next", cursor.as_str());
        }
        let body = self.ask(request, cursor.is_some()).await?;
        self.page(&body, cursor)
    }

    pub(super) fn page(&self, body: &Bytes, asked: Option<&Cursor>) -> Result<ListPage, ExtractError> {
        let envelope = self.envelope(ENDPOINT, body)?;
        let next = match envelope.next_page() {
            None => None,
            Some(url) => Some(Cursor::from_next_page(&url, self.service.base_url())?),
        };
        if next.is_some() && next.as_ref() == asked {
            return Err(ExtractError::RepeatingCursor { pages: 1 });
        }
        let (materials, rejected) = self.place(body, envelope.results.as_deref().unwrap_or_default());
        if materials.is_empty()
            && let Some(first) = rejected.first()
        {
            // One bad item is kept aside; a page of nothing else is no page of this API.
            let reason = format!("none of its {} results is a material: {}", rejected.len(), first.reason);
            return Err(unexpected(ENDPOINT, reason));
        }
        Ok(ListPage { total: envelope.total(), materials, rejected, next })
    }
}
