//! Batches: send records, or say where they are.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::jobs::{cursor, page, status};
use super::refuse::refusal;
use super::types::{ShownBatch, ShownResult, idempotency_key, replayed};
use crate::backend::imports::{self, ImportsError, Received};
use crate::model::{ImportId, ImportStatus, RecordKind};
use crate::observe::spans;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::body::{parse, typed};
use crate::server::negotiate::media_type;
use crate::server::params::{InPath, InQuery};
use crate::store::imports::BatchPage;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Nobody waits longer than this for a batch, in seconds.
const LONGEST_WAIT: u64 = 30;

/// A page's default and largest size.
const PAGE: (u32, u32) = (50, 500);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, send)).routes(routes!(get))
}

/// One record.
#[derive(ToSchema)]
#[schema(as = Record, example = json!({
    "kind": "series", "source_name": "kodik-shikimori", "external_id": "1", "payload": { "title": "Cowboy Bebop" },
    "observed_at": "2026-03-01T04:05:06Z",
}))]
#[expect(dead_code, reason = "only described: records are read one by one, each by itself")]
struct SentRecord {
    /// What it is about. A series may carry its releases and characters: then they are in together, or not at all.
    kind: RecordKind,
    /// Whose: ids are unique inside a source.
    #[schema(min_length = 1, max_length = 512)]
    source_name: String,
    /// The source's id.
    #[schema(min_length = 1, max_length = 512)]
    external_id: String,
    /// What it says.
    #[schema(value_type = Object)]
    payload: (),
    /// When the sender saw it.
    #[schema(required = false, nullable = false, value_type = String, format = DateTime)]
    observed_at: (),
}

/// Where the records of a batch are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StoredElsewhere {
    /// `https://host/path`, `s3://bucket/key`, or a file below the server's folder for imports; JSON lines, also
    /// packed by gzip or zstd.
    #[schema(
        min_length = 1,
        max_length = 4096,
        pattern = r"^https?://([a-z0-9]+(-[a-z0-9]+)*\.)*[a-z][a-z0-9]*(:[1-9][0-9]{0,3})?/[A-Za-z0-9._/-]*(\?[A-Za-z0-9._~%=&/+-]*)?$|^s3://[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9._/-]+$|^file:///[A-Za-z0-9._/-]+$"
    )]
    storage_url: String,
}

/// Reference ids of an import of nodes that has a group: nodes from ids alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReferenceIds {
    /// The ids. What is none fails alone.
    reference_ids: Vec<String>,
}

/// Records, or where they are.
#[derive(ToSchema)]
#[schema(as = NewBatch, example = json!([{
    "kind": "series", "source_name": "kodik-shikimori", "external_id": "1", "payload": { "title": "Cowboy Bebop" },
}]))]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
enum SentBatch {
    /// The records.
    Records(Vec<SentRecord>),
    /// Where they are.
    Elsewhere(StoredElsewhere),
    /// Reference ids of nodes.
    Ids(ReferenceIds),
}

/// A batch that was sent.
#[derive(Debug, Serialize, ToSchema)]
struct SentAnswer {
    /// The batch as it is now.
    batch: ShownBatch,
    /// Its results, where they were waited for.
    #[schema(required)]
    results: Option<Vec<ShownResult>>,
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

/// One page of batches in their order.
#[derive(Debug, Serialize, ToSchema)]
struct BatchList {
    /// The batches.
    items: Vec<ShownBatch>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Send a batch
///
/// Records as a JSON array or as JSON lines (of any number), or the place where they are; to an import of nodes, the
/// place of a CSV file (gzip and zstd by content) or reference ids. Nothing of a batch is worked
/// on before it is here whole; a body that is cut fails the batch and can be sent again. Each record succeeds or fails
/// by itself. With `Prefer: wait=N` the answer comes when the batch has ended, or after N seconds. With an
/// `Idempotency-Key`, the same request again gives the same batch.
#[utoipa::path(
    post,
    path = "/api/v1/imports/{id}/batches",
    operation_id = "sendBatch",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(
        ("id" = inline(ImportId), Path, description = "The import"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again is the same request again", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: seconds to wait for the batch to end, at most 30"),
    ),
    request_body(content(
        (SentBatch = "application/json"),
        (String = "application/x-ndjson", example = "{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"1\",\"payload\":{\"title\":\"Cowboy Bebop\"}}\n"),
    )),
    responses(
        (status = 202, description = "Here, and worked on", body = SentAnswer, headers(("Location" = String))),
        (status = 200, description = "It has ended", body = SentAnswer, headers(("Location" = String))),
        (status = 400, description = "The body was cut"),
        (status = 403, description = "The token is wrong, or the server may not read from that place"),
        (status = 404, description = "There is no such import"),
        (status = 409, description = "The import takes no more batches, or none of this kind, or has one of this place, or one with this key is being received"),
    ),
)]
async fn send(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let key = idempotency_key(&headers)?;
    let wait = wait(&headers);
    let backend = shared.imports.clone();
    let span = spans::receive(&id);
    let received = if media_type(&headers).as_deref() == Some("application/x-ndjson") {
        let stream = body.into_data_stream();
        // A task of its own: if the client goes away, the batch still learns that it was cut.
        let task = tokio::spawn(async move { backend.receive_lines(id, key, stream, wait).await }.instrument(span));
        task.await.map_err(|error| Refusal::internal(error.to_string()))?
    } else {
        let body = whole(body, shared.imports.limits().record_bytes).await?;
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => match Named::read(parse(&body)?)? {
                Named::Elsewhere(StoredElsewhere { storage_url }) => {
                    backend.receive_url(id, key, storage_url).instrument(span).await
                }
                Named::Ids(ReferenceIds { reference_ids }) => {
                    backend.receive_ids(id, key, &reference_ids).instrument(span).await
                }
            },
            Some(_) => {
                let hash = imports::hash(&body);
                let items = imports::array_items(&body)
                    .ok_or_else(|| Refusal::invalid("the body is neither an array of records nor a storage_url"))?;
                backend.receive_items(id, key, items, hash, wait).instrument(span).await
            }
            None => {
                let nothing = backend.receive_items(id, key, Vec::new(), imports::hash(&body), wait);
                nothing.instrument(span).await
            }
        }
    };
    received.map_err(|error: ImportsError| refusal(&error)).map(|received| answer(id, received, wait))
}

/// An object instead of records.
enum Named {
    Elsewhere(StoredElsewhere),
    Ids(ReferenceIds),
}

impl Named {
    fn read(body: Value) -> Result<Self, Refusal> {
        match body.get("reference_ids") {
            Some(_) => typed(body).map(Self::Ids),
            None => typed(body).map(Self::Elsewhere),
        }
    }
}

fn answer(import: ImportId, received: Received, wait: Option<Duration>) -> Response {
    let ended = received.view.batch.batch.status.is_final() && wait.is_some();
    let status = if ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/api/v1/imports/{import}/batches/{}", received.view.batch.batch.id);
    let was_known = received.replayed;
    let body = SentAnswer {
        batch: ShownBatch::from(received.view),
        results: received.results.map(|results| results.into_iter().map(ShownResult::from).collect()),
    };
    let mut response = (status, Json(body)).into_response();
    replayed(response.headers_mut(), was_known);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `wait=N` of `Prefer`. What cannot be read is no preference.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let seconds: u64 = preferences.find_map(|preference| preference.strip_prefix("wait=")?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

/// The whole body, if it is not too large.
async fn whole(body: Body, most: usize) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let mut whole: Vec<u8> = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::http(StatusCode::BAD_REQUEST, "The body ended early"))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= most {
            whole.extend_from_slice(&chunk);
        } else if seen > most.saturating_mul(4) {
            break;
        } else {
            whole = Vec::new();
        }
    }
    if seen > most {
        let message = format!("A JSON body has at most {most} bytes: send JSON lines (application/x-ndjson)");
        return Err(Refusal::http(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(whole.into())
}

/// List the batches of an import
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/batches",
    operation_id = "listBatches",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), Asked),
    responses(
        (status = 200, description = "One page of batches in their order", body = BatchList),
        (status = 404, description = "There is no such import"),
    ),
)]
async fn list(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    InQuery(asked): InQuery<Asked>,
) -> Result<Json<BatchList>, Refusal> {
    let limit = page(asked.limit, PAGE)?;
    let after = cursor(asked.cursor.as_deref())?.unwrap_or(0);
    let wanted = BatchPage { status: status(asked.status.as_deref())?, after, limit: limit + 1 };
    let mut found = shared.imports.batches(id, wanted).await.map_err(|error| refusal(&error))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|view| view.batch.batch.ordinal.to_string());
    Ok(Json(BatchList { items: found.into_iter().map(ShownBatch::from).collect(), next_cursor: last.filter(|_| more) }))
}

/// Show a batch
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/batches/{batch}",
    operation_id = "getBatch",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), ("batch" = Uuid, Path, description = "The batch")),
    responses(
        (status = 200, description = "The batch", body = ShownBatch),
        (status = 404, description = "There is no such import, or no such batch in it"),
    ),
)]
async fn get(
    State(shared): State<Shared>,
    InPath((id, batch)): InPath<(ImportId, Uuid)>,
) -> Result<Json<ShownBatch>, Refusal> {
    let found = shared.imports.batch(id, batch).await.map_err(|error| refusal(&error))?;
    Ok(Json(ShownBatch::from(found)))
}
