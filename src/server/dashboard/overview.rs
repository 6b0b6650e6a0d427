//! `/`: everything at a glance.

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;

use super::frame::{Frame, Place, html};
use super::jobs::ShownJob;
use super::session::Visit;
use super::shown::ShownImport;
use super::sources::Newest;
use super::staging::ShownCounts;
use super::{filters, jobs, sources, staging};
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
    form_token: String,
    jobs: Vec<ShownJob>,
    staged: Vec<ShownCounts>,
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
    let (jobs, staged) = (jobs::shown(&shared).await?, staging::counted(&shared).await?);
    let newest = sources::newest(&shared).await;
    let form_token = visit.form_token.clone();
    let frame = Frame::new(&visit, Place::Overview, "Overview");
    Ok(html(&OverviewPage { frame, imports, saying, form_token, jobs, staged, counts, newest }))
}

/// Everything on the pages that changes by itself, as text to compare.
pub(super) async fn live_parts(shared: &Shared) -> Vec<String> {
    let imports = shared.imports.list(None, None, 2 * IMPORTS).await;
    let jobs = shared.jobs.list().await;
    let staged = shared.dashboard.kept.staging(shared).await;
    vec![
        imports.map(|imports| format!("{imports:?}")).unwrap_or_default(),
        jobs.map(|jobs| format!("{jobs:?}")).unwrap_or_default(),
        staged.map(|staged| format!("{staged:?}")).unwrap_or_default(),
    ]
}
