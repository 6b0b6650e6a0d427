//! `/`: everything at a glance.

use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use tokio::sync::Mutex;

use super::filters;
use super::frame::{Frame, Place, html};
use super::session::Visit;
use super::sources::{self, Newest};
use crate::backend::BackendError;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::catalogue::Counts;

/// Counting reads whole tables, so a count serves everybody for this long.
const FRESH: Duration = Duration::from_secs(15);

/// The catalogue's size as it was counted last.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<Option<(Instant, Counts)>>);

impl Counted {
    async fn get(&self, shared: &Shared) -> Result<Counts, BackendError> {
        // Held while counting: whoever comes meanwhile waits for the same answer.
        let mut kept = self.0.lock().await;
        if let Some((at, counts)) = *kept
            && at.elapsed() < FRESH
        {
            return Ok(counts);
        }
        let counts = shared.catalogue.counts().await?;
        *kept = Some((Instant::now(), counts));
        Ok(counts)
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    counts: Counts,
    newest: Newest,
}

/// `GET /`.
pub(super) async fn page(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
) -> Result<Response, Refusal> {
    let counts = shared
        .dashboard
        .counted
        .get(&shared)
        .await
        .map_err(|error| Refusal::failed("The catalogue does not answer.", &error))?;
    let newest = sources::newest(&shared).await;
    Ok(html(&OverviewPage { frame: Frame::new(&visit, Place::Overview, "Overview"), counts, newest }))
}
