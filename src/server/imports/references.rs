//! Which rows of an import are in: what a status message is too short for, piece by piece as JSON, or all as JSON lines.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::jobs::cursor;
use super::refuse::refusal;
use super::results::LINES;
use crate::backend::imports::ImportsError;
use crate::model::ImportId;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::negotiate::accepts;
use crate::server::params::{InPath, InQuery};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(of_import))
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// `next_cursor` of the page before.
    #[param(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Reference ids of one piece of an import.
#[derive(Debug, Serialize, ToSchema)]
struct ReferencePage {
    /// The ids, in the order of the file or message.
    items: Vec<String>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List the reference ids of an import that are in
///
/// Of an import that a message asked for: all of what the status message has the first ones of. As JSON, page by page; as
/// JSON lines (`Accept: application/x-ndjson`), a text each, all that follow. Kept as long as the import.
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/references",
    operation_id = "listReferences",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), Asked),
    responses(
        (status = 200, description = "Reference ids in the order of the file or message", content(
            (ReferencePage = "application/json"), (String = "application/x-ndjson"),
        )),
        (status = 404, description = "There is no such import, or nobody asked for its ids to be kept"),
    ),
)]
async fn of_import(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let from = cursor(asked.cursor.as_deref())?.unwrap_or(0).unsigned_abs();
    // Before the answer begins: from then on it cannot be refused any more.
    let first = shared.imports.references(id, from).await.map_err(|error| refusal(&error))?;
    if accepts(&headers, LINES) && !accepts(&headers, "application/json") {
        return Ok(lines(shared, id, first));
    }
    let (items, next) = first.unwrap_or_default();
    // A cursor is given only if something follows.
    let more =
        !items.is_empty() && shared.imports.references(id, next).await.map_err(|error| refusal(&error))?.is_some();
    Ok(Json(ReferencePage { items, next_cursor: more.then(|| next.to_string()) }).into_response())
}

/// All that follow, read piece by piece while the client takes them.
fn lines(shared: Shared, id: ImportId, first: Option<(Vec<String>, u64)>) -> Response {
    let body = stream::try_unfold((shared, first), move |(shared, piece)| async move {
        let Some((ids, next)) = piece else { return Ok::<_, ImportsError>(None) };
        let mut text = Vec::new();
        for id in ids {
            // Serialising a text into memory cannot fail.
            if serde_json::to_writer(&mut text, &id).is_ok() {
                text.push(b'\n');
            }
        }
        let following = shared.imports.references(id, next).await?;
        Ok(Some((Bytes::from(text), (shared, following))))
    });
    ([(header::CONTENT_TYPE, LINES)], Body::from_stream(body)).into_response()
}
