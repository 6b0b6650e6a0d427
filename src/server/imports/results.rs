//! Results: what has become of every record, page by page as JSON, or all of them as JSON lines.

use std::collections::VecDeque;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::jobs::{cursor, page};
use super::refuse::refusal;
use super::types::ShownResult;
use crate::backend::imports::ImportsError;
use crate::model::{ImportId, ResultStatus};
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::negotiate::accepts;
use crate::server::params::{InPath, InQuery};
use crate::store::imports::ResultQuery;

pub(super) const LINES: &str = "application/x-ndjson";

/// A page's default and largest size.
const PAGE: (u32, u32) = (100, 1000);

/// The same where each result may carry its record.
const PAGE_WITH_ORIGINALS: (u32, u32) = (20, 100);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(of_import)).routes(routes!(of_batch))
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only those in this status.
    #[param(required = false, nullable = false, inline, value_type = ResultStatus)]
    status: Option<String>,
    /// How many to answer; of those with their originals at most 100. JSON lines have all that follow, unless it is given.
    #[param(required = false, nullable = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// With the records of those that failed, as they came. Unless it is given, JSON lines of `status=failed` have them.
    #[param(required = false, nullable = false)]
    originals: Option<bool>,
}

/// One page of results in the order of their records.
#[derive(Debug, Serialize, ToSchema)]
struct ResultPage {
    /// The results.
    items: Vec<ShownResult>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List the results of an import
///
/// As JSON, page by page; as JSON lines (`Accept: application/x-ndjson`), all that follow.
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/results",
    operation_id = "listResults",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), Asked),
    responses(
        (status = 200, description = "Results in the order of their records", content(
            (ResultPage = "application/json"), (String = "application/x-ndjson"),
        )),
        (status = 404, description = "There is no such import"),
    ),
)]
async fn of_import(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(shared, id, None, asked, &headers).await
}

/// List the results of a batch
///
/// As JSON, page by page; as JSON lines (`Accept: application/x-ndjson`), all that follow.
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/batches/{batch}/results",
    operation_id = "listBatchResults",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), ("batch" = Uuid, Path, description = "The batch"), Asked),
    responses(
        (status = 200, description = "Results in the order of their records", content(
            (ResultPage = "application/json"), (String = "application/x-ndjson"),
        )),
        (status = 404, description = "There is no such import, or no such batch in it"),
    ),
)]
async fn of_batch(
    State(shared): State<Shared>,
    InPath((id, batch)): InPath<(ImportId, Uuid)>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(shared, id, Some(batch), asked, &headers).await
}

async fn answer(
    shared: Shared,
    id: ImportId,
    batch: Option<Uuid>,
    asked: Asked,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let named =
        |word: &str| ResultStatus::named(word).ok_or_else(|| Refusal::invalid("`status` is no status of a result"));
    let status = asked.status.as_deref().map(named).transpose()?;
    let as_lines = accepts(headers, LINES) && !accepts(headers, "application/json");
    let originals = asked.originals.unwrap_or(as_lines && status == Some(ResultStatus::Failed));
    let bounds = if originals { PAGE_WITH_ORIGINALS } else { PAGE };
    let given = asked.limit.map(|limit| page(Some(limit), PAGE)).transpose()?;
    let limit = given.unwrap_or(bounds.0).min(bounds.1);
    let after = cursor(asked.cursor.as_deref())?.unwrap_or(0);
    let query = ResultQuery { batch: None, status, after, limit, originals };
    if as_lines {
        return lines(shared, id, batch, query, given).await;
    }
    let query = ResultQuery { limit: limit + 1, ..query };
    let mut found = shared.imports.results(id, batch, query).await.map_err(|error| refusal(&error))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|result| result.id.to_string());
    let items = found.into_iter().map(ShownResult::from).collect();
    Ok(Json(ResultPage { items, next_cursor: last.filter(|_| more) }).into_response())
}

/// All that failed, with their originals, as JSON lines to be kept in a file: a browser cannot ask for lines by itself.
pub(in crate::server) async fn failed(shared: Shared, id: ImportId) -> Result<Response, Refusal> {
    let status = Some(ResultStatus::Failed);
    let query = ResultQuery { batch: None, status, after: 0, limit: PAGE_WITH_ORIGINALS.0, originals: true };
    let mut response = lines(shared, id, None, query, None).await?;
    let name = format!("attachment; filename=\"failed-{id}.jsonl\"");
    // An id has no other letters than a header takes.
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// All results that follow, read page by page while the client takes them.
async fn lines(
    shared: Shared,
    id: ImportId,
    batch: Option<Uuid>,
    query: ResultQuery,
    most: Option<u32>,
) -> Result<Response, Refusal> {
    // The first page before the answer begins: from then on it cannot be refused any more.
    let first = shared.imports.results(id, batch, query).await.map_err(|error| refusal(&error))?;
    let left = most.map_or(u64::MAX, u64::from);
    let state = (shared, query, VecDeque::from([first]), left);
    let body = stream::try_unfold(state, move |(shared, mut query, mut pages, left)| async move {
        let page = match pages.pop_front() {
            Some(page) => page,
            None => shared.imports.results(id, batch, query).await?,
        };
        let Some(last) = page.last().filter(|_| left > 0) else {
            return Ok::<_, ImportsError>(None);
        };
        query.after = last.id;
        let mut text = Vec::new();
        let mut taken = 0;
        for result in page.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            taken += 1;
            // Serialising into memory cannot fail: there is no map with keys that are no text.
            if serde_json::to_writer(&mut text, &ShownResult::from(result)).is_ok() {
                text.push(b'\n');
            }
        }
        Ok(Some((Bytes::from(text), (shared, query, pages, left - taken))))
    });
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(body)).into_response())
}
