//! `/imports`: all of them, the newest first. `/imports/{id}`: one, with its batches and what failed; it can be stopped,
//! and what failed can be tried again.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{StatusCode, Uri};

use super::filters;
use super::frame::{Frame, Place, html, query};
use super::paging::Asked;
use super::session::Visit;
use super::shown::{Badge, ShownBatch, ShownFailure, ShownImport};
use crate::model::{ImportId, ImportStatus, ResultStatus};
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::imports::refusal;
use crate::store::imports::{BatchPage, ResultQuery};

/// Rows of a list.
const SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "imports.html")]
struct ImportsPage {
    frame: Frame,
    imports: Vec<ShownImport>,
    status: String,
    /// The word in addresses, and the one that is shown.
    statuses: Vec<(&'static str, &'static str)>,
    newest: bool,
    older: Option<String>,
}

/// `GET /imports`.
pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Asked::of(&uri);
    let status = ImportStatus::named(asked.text("status"));
    let before: Option<i64> = asked.text("before").parse().ok();
    let found = shared.imports.list(status, before, SIZE + 1).await.map_err(|error| refusal(&error))?;
    let mut imports: Vec<ShownImport> = found.into_iter().map(ShownImport::from).collect();
    let more = imports.len() > SIZE as usize;
    imports.truncate(SIZE as usize);
    let word = status.map_or("", ImportStatus::as_str);
    let older = imports.last().filter(|_| more).map(|last| {
        let number = last.number.to_string();
        let mut pairs = vec![("before", number.as_str())];
        if !word.is_empty() {
            pairs.push(("status", word));
        }
        format!("/imports?{}", query(&pairs))
    });
    Ok(html(&ImportsPage {
        frame: Frame::new(&visit, Place::Imports, "Imports"),
        imports,
        status: word.to_owned(),
        statuses: ImportStatus::ALL.map(|status| (status.as_str(), Badge::from(status).word)).to_vec(),
        newest: before.is_none(),
        older,
    }))
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    frame: Frame,
    form_token: String,
    notice: Option<&'static str>,
    import: ShownImport,
    reasons: Vec<(String, u64)>,
    batches: Vec<ShownBatch>,
    more_batches: Option<String>,
    failures: Vec<ShownFailure>,
    more_failures: Option<String>,
    failures_from: i64,
}

/// `GET /imports/{id}`.
pub(super) async fn one(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let id = known(id)?;
    let asked = Asked::of(&uri);
    let position = |name: &str| asked.text(name).parse::<i64>().unwrap_or(0).max(0);
    let (batches_from, failures_from) = (position("batches"), position("failures"));
    let page = BatchPage { status: None, after: batches_from, limit: SIZE + 1 };
    let failed = ResultQuery {
        batch: None,
        status: Some(ResultStatus::Failed),
        after: failures_from,
        limit: SIZE + 1,
        originals: false,
    };
    let (summary, batches, failures) = tokio::try_join!(
        shared.imports.summary(id),
        shared.imports.batches(id, page),
        shared.imports.results(id, None, failed)
    )
    .map_err(|error| refusal(&error))?;
    let mut batches: Vec<ShownBatch> = batches.into_iter().map(ShownBatch::from).collect();
    let mut failures: Vec<ShownFailure> = failures.into_iter().map(ShownFailure::from).collect();
    let rest = |length: usize, name: &str, from: i64, other: (&str, i64)| {
        (length > SIZE as usize).then(|| {
            let (from, kept) = (from.to_string(), other.1.to_string());
            let mut pairs = vec![(name, from.as_str())];
            if other.1 > 0 {
                pairs.push((other.0, &kept));
            }
            format!("/imports/{id}?{}#{name}", query(&pairs))
        })
    };
    let (batch_count, failure_count) = (batches.len(), failures.len());
    batches.truncate(SIZE as usize);
    failures.truncate(SIZE as usize);
    let last_batch = batches.last().map_or(0, |batch| batch.ordinal);
    let last_failure = failures.last().map_or(0, |failure| failure.id);
    let import = ShownImport::from(summary.view);
    Ok(html(&ImportPage {
        frame: Frame::new(&visit, Place::Imports, format!("Import from {}", import.source)),
        form_token: visit.form_token.clone(),
        notice: match asked.text("done") {
            "cancelled" => Some("It is cancelled. Records that were in work may still have come in."),
            "retried" => Some("What failed is tried again, in this new import."),
            _ => None,
        },
        import,
        reasons: summary.failures,
        more_batches: rest(batch_count, "batches", last_batch, ("failures", failures_from)),
        batches,
        more_failures: rest(failure_count, "failures", last_failure, ("batches", batches_from)),
        failures,
        failures_from,
    }))
}

/// `GET /imports/{id}/failed`: a file of what failed.
pub(super) async fn failed(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = known(id)?;
    crate::server::imports::failed(shared, id).await
}

/// `POST /imports/{id}/retry`: a new import of what failed. Asked twice, it is the same one.
pub(super) async fn retry(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = known(id)?;
    let key = format!("dashboard retry of {id}");
    let created = shared.imports.retry(id, Some(key)).await.map_err(|error| refusal(&error))?;
    Ok(Redirect::to(&format!("/imports/{}?done=retried", created.import.import.id)).into_response())
}

/// `POST /imports/{id}/cancel`.
pub(super) async fn cancel(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = known(id)?;
    shared.imports.cancel(id).await.map_err(|error| refusal(&error))?;
    Ok(Redirect::to(&format!("/imports/{id}?done=cancelled")).into_response())
}

fn known(id: Result<Path<String>, PathRejection>) -> Result<ImportId, Refusal> {
    id.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(|| Refusal::http(StatusCode::NOT_FOUND, "There is no such import"))
}
