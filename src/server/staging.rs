//! Staged records: what waits for the catalogue, and what it could not take.
//!
//! - `POST /api/v1/staging` – stages records without processing them now; the jobs will. An array, or one record.
//! - `GET /api/v1/staging/{kind}?state=&source=&cursor=&limit=` – a page of rows, without their payloads.
//! - `GET /api/v1/staging/{kind}/{id}` – one row with its payload and, if it was refused, the reason.
//! - `POST /api/v1/staging/{kind}/{id}/requeue` – a refused row is tried again by its job.
//! - `DELETE /api/v1/staging/{kind}/{id}` – throws a row away; what it brought into the catalogue stays.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refusal;
use super::app::Shared;
use super::body::Sent;
use super::described;
use super::params::{InPath, InQuery};
use crate::backend::importer::{Context, Record};
use crate::backend::staging::Requeued;
use crate::model::{Collision, RecordKind};
use crate::store::staging::{Filter, StagedRow, State as RowState};

/// A page's default and largest size.
const PAGE: (u32, u32) = (50, 500);

/// Records in one request.
const MOST: usize = 1_000;

/// A record.
#[derive(ToSchema)]
#[schema(example = json!({"kind": "character", "source_name": "kodik-shikimori", "external_id": "73",
    "payload": {"name": "Aoi Mori"}}))]
#[expect(dead_code, reason = "only described: the importer reads it")]
pub(super) struct RecordBody {
    /// What it is about.
    kind: RecordKind,
    /// Whose.
    #[schema(min_length = 1, max_length = 512)]
    source_name: String,
    /// The source's id.
    #[schema(schema_with = described::external_id)]
    external_id: String,
    /// What it says; each kind has its own fields.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
    /// When the sender saw it.
    #[schema(format = "date-time")]
    observed_at: Option<String>,
}

/// A staged record.
#[derive(Debug, Serialize, ToSchema)]
struct Staged {
    /// Of the row.
    id: i64,
    /// What it is about.
    kind: RecordKind,
    /// Whose.
    source_name: String,
    /// The source's id.
    external_id: String,
    /// Empty = a whole record, else the name of a part.
    shape: String,
    /// Where it stands.
    state: RowState,
    /// What has to arrive first.
    waits_for: Option<String>,
    /// What happens if the catalogue has it already.
    collision: Collision,
    /// How often it was tried.
    attempts: u32,
    /// Why it was refused.
    error: Option<StagedError>,
    /// The import that brought it.
    import_id: Option<String>,
    /// Of what it says.
    content_hash: String,
    /// When the sender saw it.
    #[schema(value_type = Option<String>, format = "date-time")]
    observed_at: Option<jiff::Timestamp>,
    /// Staged first.
    #[schema(value_type = Option<String>, format = "date-time")]
    created_at: Option<jiff::Timestamp>,
    /// Changed last.
    #[schema(value_type = Option<String>, format = "date-time")]
    updated_at: Option<jiff::Timestamp>,
    /// What it says; only of a single row, and only until it is processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
}

/// Why a record was refused.
#[derive(Debug, Serialize, ToSchema)]
struct StagedError {
    /// For grouping.
    code: String,
    /// For people.
    message: String,
}

/// A page of staged records.
#[derive(Debug, Serialize, ToSchema)]
struct StagedPage {
    /// Oldest first.
    rows: Vec<Staged>,
    /// For the next page; nothing = this was the last.
    next_cursor: Option<String>,
}

/// Which rows.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `init`, `processing`, `processed` or `with_errors`.
    #[param(required = false, nullable = false, pattern = "^(init|processing|processed|with_errors)$")]
    state: Option<String>,
    /// Only of this source.
    #[param(required = false, nullable = false)]
    source: Option<String>,
    /// `next_cursor` of the page before.
    #[param(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// 1 to 500.
    #[param(required = false, nullable = false, minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
}

/// How many were staged.
#[derive(Debug, Serialize, ToSchema)]
struct StagedCount {
    /// Records.
    staged: usize,
}

/// Under which terms.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StageQuery {
    /// `upsert` (default), `skip`, `fail` or `replace`: what happens if the catalogue has it already.
    #[param(required = false, nullable = false, inline, value_type = Collision)]
    collision: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(stage))
        .routes(routes!(list))
        .routes(routes!(show, discard))
        .routes(routes!(requeue))
}

fn staged(kind: RecordKind, row: StagedRow, whole: bool) -> Staged {
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).ok();
    let payload = if whole { row.payload.and_then(|json| RawValue::from_string(json).ok()) } else { None };
    Staged {
        id: row.id,
        kind,
        source_name: row.source_name,
        external_id: row.external_id,
        shape: row.shape,
        state: row.state,
        waits_for: row.waits_for,
        collision: row.collision,
        attempts: row.attempts,
        error: row.error_code.map(|code| StagedError { code, message: row.error_message.unwrap_or_default() }),
        import_id: row.import.map(|id| id.to_string()),
        content_hash: row.content_hash,
        observed_at: row.observed_at.and_then(time),
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
        payload,
    }
}

fn kind_of(name: &str) -> Result<RecordKind, Refusal> {
    name.parse().map_err(|_| Refusal::http(StatusCode::NOT_FOUND, "There is no such kind of records"))
}

fn unknown() -> Refusal {
    Refusal::http(StatusCode::NOT_FOUND, "There is no such staged record")
}

/// Stage records
///
/// They are kept as they are and brought into the catalogue by their jobs. Whatever was staged under the same id before
/// gives way. All are taken, or none.
#[utoipa::path(
    post,
    path = "/api/v1/staging",
    operation_id = "stageRecords",
    tag = "staging",
    security(("internal_token" = []), ("bearer" = [])),
    params(StageQuery),
    request_body(content = [RecordBody], example = json!([{"kind": "character", "source_name": "kodik-shikimori", "external_id": "73", "payload": {"name": "Aoi Mori"}}])),
    responses((status = 202, description = "They are staged", body = StagedCount)),
)]
async fn stage(
    State(shared): State<Shared>,
    InQuery(query): InQuery<StageQuery>,
    Sent(bodies): Sent<Vec<Box<RawValue>>>,
) -> Result<(StatusCode, Json<StagedCount>), Refusal> {
    let collision: Collision = match query.collision.as_deref() {
        None => Collision::default(),
        Some(word) => word.parse().map_err(|error| Refusal::invalid(format!("collision {error}")))?,
    };
    if bodies.len() > MOST {
        return Err(Refusal::invalid(format!("more than {MOST} records in one request")));
    }
    let mut records = Vec::with_capacity(bodies.len());
    for (index, body) in bodies.iter().enumerate() {
        let record = Record::parse(body.get().as_bytes())
            .map_err(|refused| Refusal::invalid(format!("record {index}: {refused}")))?;
        records.push(record);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let staged = records.len();
    shared
        .staging
        .stage(records, Context { collision, import: None, now })
        .await
        .map_err(|error| Refusal::failed("Failed to stage the records", &error))?;
    Ok((StatusCode::ACCEPTED, Json(StagedCount { staged })))
}

/// Staged records
#[utoipa::path(
    get,
    path = "/api/v1/staging/{kind}",
    operation_id = "listStaged",
    tag = "staging",
    security(("internal_token" = []), ("bearer" = [])),
    params(("kind" = String, Path, description = "`series`, `release`, `character` or `pet`"), ListQuery),
    responses(
        (status = 200, description = "One page", body = StagedPage),
        (status = 404, description = "There is no such kind of records"),
    ),
)]
async fn list(
    State(shared): State<Shared>,
    InPath(kind): InPath<String>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Json<StagedPage>, Refusal> {
    let kind = kind_of(&kind)?;
    let state = query
        .state
        .as_deref()
        .map(|word| word.parse().map_err(|error| Refusal::invalid(format!("state {error}"))))
        .transpose()?;
    let limit = query.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::invalid(format!("limit is not between 1 and {}", PAGE.1)));
    }
    let after = match query.cursor.as_deref() {
        None => 0,
        Some(text) if text.len() > 18 || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(Refusal::invalid("cursor is not one that was given out"));
        }
        Some(text) => text.parse().map_err(|_| Refusal::invalid("cursor is not one that was given out"))?,
    };
    // One more tells whether there is another page.
    let filter = Filter { state, source: query.source, after, limit: limit + 1 };
    let mut rows = shared
        .staging
        .list(kind, filter)
        .await
        .map_err(|error| Refusal::failed("Failed to read the staged records", &error))?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.id.to_string());
    Ok(Json(StagedPage { rows: rows.into_iter().map(|row| staged(kind, row, false)).collect(), next_cursor }))
}

/// One staged record
#[utoipa::path(
    get,
    path = "/api/v1/staging/{kind}/{id}",
    operation_id = "getStaged",
    tag = "staging",
    security(("internal_token" = []), ("bearer" = [])),
    params(("kind" = String, Path, description = "`series`, `release`, `character` or `pet`"), ("id" = i64, Path, description = "The row")),
    responses(
        (status = 200, description = "The record", body = Staged),
        (status = 404, description = "There is no such staged record"),
    ),
)]
async fn show(
    State(shared): State<Shared>,
    InPath((kind, id)): InPath<(String, i64)>,
) -> Result<Json<Staged>, Refusal> {
    let kind = kind_of(&kind)?;
    let row = shared
        .staging
        .get(kind, id)
        .await
        .map_err(|error| Refusal::failed("Failed to read the staged record", &error))?;
    row.map(|row| Json(staged(kind, row, true))).ok_or_else(unknown)
}

/// Put a refused record back into the queue
#[utoipa::path(
    post,
    path = "/api/v1/staging/{kind}/{id}/requeue",
    operation_id = "requeueStaged",
    tag = "staging",
    security(("internal_token" = []), ("bearer" = [])),
    params(("kind" = String, Path, description = "`series`, `release`, `character` or `pet`"), ("id" = i64, Path, description = "The row")),
    responses(
        (status = 200, description = "It is in the queue", body = Staged),
        (status = 404, description = "There is no such staged record"),
        (status = 409, description = "It was not refused"),
    ),
)]
async fn requeue(
    State(shared): State<Shared>,
    InPath((name, id)): InPath<(String, i64)>,
) -> Result<Json<Staged>, Refusal> {
    let kind = kind_of(&name)?;
    let requeued = shared
        .staging
        .requeue(kind, id)
        .await
        .map_err(|error| Refusal::failed("Failed to queue the staged record", &error))?;
    match requeued {
        Requeued::Done => show(State(shared), InPath((name, id))).await,
        Requeued::Unknown => Err(unknown()),
        Requeued::Refused(state) => {
            let message = format!("Only a refused, whole record can be queued again; this one is {state}");
            Err(Refusal::coded(StatusCode::CONFLICT, "not_refused", message))
        }
    }
}

/// Throw a staged record away
///
/// What it has brought into the catalogue stays there.
#[utoipa::path(
    delete,
    path = "/api/v1/staging/{kind}/{id}",
    operation_id = "discardStaged",
    tag = "staging",
    security(("internal_token" = []), ("bearer" = [])),
    params(("kind" = String, Path, description = "`series`, `release`, `character` or `pet`"), ("id" = i64, Path, description = "The row")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such staged record"),
    ),
)]
async fn discard(
    State(shared): State<Shared>,
    InPath((kind, id)): InPath<(String, i64)>,
) -> Result<StatusCode, Refusal> {
    let kind = kind_of(&kind)?;
    let gone = shared
        .staging
        .discard(kind, id)
        .await
        .map_err(|error| Refusal::failed("Failed to discard the staged record", &error))?;
    if gone { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}
