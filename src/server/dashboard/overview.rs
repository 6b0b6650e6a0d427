//! `/`: everything at a glance.

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;

use super::frame::{Frame, Place, html};
use super::session::Visit;
use super::shown::ShownImport;
use super::sources::Newest;
use super::{filters, sources};
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::imports::refusal;
use crate::store::catalogue::Counts;

/// The newest imports that are shown.
const IMPORTS: u32 = 5;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    imports: Vec<ShownImport>,
    /// What a screen reader is told.
    saying: String,
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
        .kept
        .catalogue(&shared)
        .await
        .map_err(|error| Refusal::failed("The catalogue does not answer.", &error))?;
    let imports = shared.imports.list(None, None, IMPORTS).await.map_err(|error| refusal(&error))?;
    let imports: Vec<ShownImport> = imports.into_iter().map(ShownImport::from).collect();
    let saying = imports.iter().find(|import| !import.ended).map_or_else(String::new, |import| {
        format!("Import from {}: {}, {}", import.source, import.badge.word, import.progress.words)
    });
    let newest = sources::newest(&shared).await;
    let frame = Frame::new(&visit, Place::Overview, "Overview");
    Ok(html(&OverviewPage { frame, imports, saying, counts, newest }))
}

/// Everything on the pages that changes by itself, as text to compare.
pub(super) async fn live_parts(shared: &Shared) -> Vec<String> {
    let imports = shared.imports.list(None, None, 2 * IMPORTS).await;
    vec![imports.map(|imports| format!("{imports:?}")).unwrap_or_default()]
}
