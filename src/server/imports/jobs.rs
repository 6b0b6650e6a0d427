//! Imports as a whole: make, list, see, close, stop, try again.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::new_import::NewImport;
use super::refuse::refusal;
use super::types::{BatchCounts, ShownImport, idempotency_key, replayed};
use crate::backend::imports::{Created, ImportView};
use crate::model::{ImportId, ImportStatus, ResultCounts, RowCounts};
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::body::Sent;
use crate::server::params::{InPath, InQuery};

/// A page's default and largest size.
const PAGE: (u32, u32) = (50, 500);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(summary))
        .routes(routes!(finalise))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// Checks the size of a page.
pub(super) fn page(limit: Option<u32>, (default, most): (u32, u32)) -> Result<u32, Refusal> {
    let limit = limit.unwrap_or(default);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(Refusal::invalid(format!("`limit` is not 1 to {most}"))) }
}

/// The number that a cursor stands for.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => Err(Refusal::invalid("`cursor` is none that this route has given")),
    }
}

/// The status of a question's word.
pub(super) fn status(word: Option<&str>) -> Result<Option<ImportStatus>, Refusal> {
    let named = |word: &str| ImportStatus::named(word).ok_or_else(|| Refusal::invalid("`status` is none"));
    word.map(named).transpose()
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only those in this status.
    #[param(required = false, nullable = false, inline, value_type = ImportStatus)]
    status: Option<String>,
    /// How many to answer.
    #[param(required = false, nullable = false, minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// One page of imports, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportPage {
    /// The imports.
    items: Vec<ShownImport>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// An import in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportSummary {
    /// Its id.
    #[schema(format = "uuid")]
    import_id: String,
    /// How far it is.
    status: ImportStatus,
    /// Why it is no better.
    #[schema(required)]
    reason: Option<String>,
    /// How many records there shall be.
    #[schema(required)]
    expected_count: Option<u64>,
    /// How many there are.
    records: u64,
    /// Its batches.
    batches: BatchCounts,
    /// Its results.
    results: ResultCounts,
    /// Why records failed, the most frequent first.
    failures: Vec<FailureCount>,
    /// Of an import of rows, what became of them.
    #[schema(required)]
    rows: Option<RowCounts>,
}

/// Records that failed for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailureCount {
    /// The reason.
    code: String,
    /// How many.
    count: u64,
}

/// List imports
#[utoipa::path(
    get,
    path = "/api/v1/imports",
    operation_id = "listImports",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(Asked),
    responses((status = 200, description = "One page of imports, the newest first", body = ImportPage)),
)]
async fn list(State(shared): State<Shared>, InQuery(asked): InQuery<Asked>) -> Result<Json<ImportPage>, Refusal> {
    let limit = page(asked.limit, PAGE)?;
    let (status, before) = (status(asked.status.as_deref())?, cursor(asked.cursor.as_deref())?);
    let mut found = shared.imports.list(status, before, limit + 1).await.map_err(|error| refusal(&error))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|view| view.import.number.to_string());
    Ok(Json(ImportPage {
        items: found.into_iter().map(ShownImport::from).collect(),
        next_cursor: last.filter(|_| more),
    }))
}

/// Make an import
///
/// Of records (`format` is `records`, or not there), or of nodes (`nodes`): then batches are CSV files, or lists of
/// reference ids. With an `Idempotency-Key`, the same request again gives the same import, and another one with that key is refused.
#[utoipa::path(
    post,
    path = "/api/v1/imports",
    operation_id = "createImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again is the same request again", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = NewImport,
    responses(
        (status = 201, description = "Made", body = ShownImport, headers(("Location" = String))),
        (status = 200, description = "Made by an earlier request with this key", body = ShownImport),
        (status = 409, description = "The key was used for another request"),
    ),
)]
async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Sent(body): Sent<Value>,
) -> Result<Response, Refusal> {
    let key = idempotency_key(&headers)?;
    let created =
        shared.imports.create(NewImport::read(body)?.checked()?, key).await.map_err(|error| refusal(&error))?;
    answer(&shared, created).await
}

/// Show an import
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}",
    operation_id = "getImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import")),
    responses(
        (status = 200, description = "The import", body = ShownImport),
        (status = 404, description = "There is no such import"),
    ),
)]
async fn get(State(shared): State<Shared>, InPath(id): InPath<ImportId>) -> Result<Json<ShownImport>, Refusal> {
    shown(&shared, id).await.map(Json)
}

/// Sum an import up
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/summary",
    operation_id = "getImportSummary",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import")),
    responses(
        (status = 200, description = "The import in numbers", body = ImportSummary),
        (status = 404, description = "There is no such import"),
    ),
)]
async fn summary(State(shared): State<Shared>, InPath(id): InPath<ImportId>) -> Result<Json<ImportSummary>, Refusal> {
    let summary = shared.imports.summary(id).await.map_err(|error| refusal(&error))?;
    let ImportView { import, totals, rows } = summary.view;
    Ok(Json(ImportSummary {
        import_id: import.import.id,
        status: import.status,
        reason: import.reason,
        expected_count: import.import.expected_count,
        records: totals.results.total(),
        batches: BatchCounts::from(&totals),
        results: totals.results,
        failures: summary.failures.into_iter().map(|(code, count)| FailureCount { code, count }).collect(),
        rows,
    }))
}

/// Close an import
///
/// It takes no more batches. As soon as nothing is open it ends: `completed`, or `partially_failed` or `failed` with
/// the reason, for instance that `expected_count` is another number. Closing it again changes nothing.
#[utoipa::path(
    patch,
    path = "/api/v1/imports/{id}/finalise",
    operation_id = "finaliseImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import")),
    responses(
        (status = 200, description = "Closed", body = ShownImport),
        (status = 404, description = "There is no such import"),
        (status = 409, description = "It was cancelled"),
    ),
)]
async fn finalise(State(shared): State<Shared>, InPath(id): InPath<ImportId>) -> Result<Json<ShownImport>, Refusal> {
    shared.imports.finalise(id).await.map_err(|error| refusal(&error))?;
    shown(&shared, id).await.map(Json)
}

/// Stop an import
///
/// What is open ends as failed with the code `cancelled`; what is in stays in. Stopping it again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/imports/{id}/cancel",
    operation_id = "cancelImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import")),
    responses(
        (status = 200, description = "Stopped", body = ShownImport),
        (status = 404, description = "There is no such import"),
        (status = 409, description = "It has ended already"),
    ),
)]
async fn cancel(State(shared): State<Shared>, InPath(id): InPath<ImportId>) -> Result<Json<ShownImport>, Refusal> {
    shared.imports.cancel(id).await.map_err(|error| refusal(&error))?;
    shown(&shared, id).await.map(Json)
}

/// Try again what failed
///
/// Makes a new import of the failed records' own bytes, and of the places that could not be fetched; it is closed from
/// the beginning.
#[utoipa::path(
    post,
    path = "/api/v1/imports/{id}/retry",
    operation_id = "retryImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(
        ("id" = inline(ImportId), Path, description = "The import"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again is the same request again", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    responses(
        (status = 201, description = "The new import", body = ShownImport, headers(("Location" = String))),
        (status = 200, description = "Made by an earlier request with this key", body = ShownImport),
        (status = 404, description = "There is no such import"),
        (status = 409, description = "It has not ended, or nothing of it can be tried again"),
    ),
)]
async fn retry(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let key = idempotency_key(&headers)?;
    let created = shared.imports.retry(id, key).await.map_err(|error| refusal(&error))?;
    answer(&shared, created).await
}

async fn shown(shared: &Shared, id: ImportId) -> Result<ShownImport, Refusal> {
    shared.imports.get(id).await.map(ShownImport::from).map_err(|error| refusal(&error))
}

async fn answer(shared: &Shared, created: Created) -> Result<Response, Refusal> {
    let id: ImportId = created.import.import.id.parse().map_err(|_| Refusal::internal("an id that is none"))?;
    let status = if created.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = (status, Json(shown(shared, id).await?)).into_response();
    replayed(response.headers_mut(), created.replayed);
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/imports/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
