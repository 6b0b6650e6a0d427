//! `/staging`: how many records are in which state. `/staging/{kind}`: the rows. `/staging/{kind}/{id}`: one of them,
//! to read, to queue again, to throw away.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{StatusCode, Uri};
use jiff::Timestamp;

use super::filters;
use super::frame::{Frame, Place, html, query};
use super::paging::Asked;
use super::session::Visit;
use super::shown::{Badge, moment};
use crate::backend::BackendError;
use crate::backend::staging::Requeued;
use crate::model::RecordKind;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::staging::{Filter, KindCounts, StagedRow, State as Stage};

/// Rows of a list. Few, because what is not processed carries its payload.
const SIZE: u32 = 25;

/// Characters of a payload that a page shows.
const LONGEST: usize = 50_000;

/// The counts of one kind.
#[derive(Debug, Clone)]
pub(super) struct ShownCounts {
    pub(super) kind: &'static str,
    pub(super) counts: KindCounts,
}

/// The counts of all kinds.
pub(super) async fn counted(shared: &Shared) -> Result<Vec<ShownCounts>, Refusal> {
    let counts = shared.dashboard.kept.staging(shared).await.map_err(|error| failed(&error))?;
    Ok(RecordKind::ALL.iter().zip(counts).map(|(kind, counts)| ShownCounts { kind: kind.as_str(), counts }).collect())
}

fn failed(error: &BackendError) -> Refusal {
    Refusal::failed("The staging tables do not answer.", error)
}

pub(super) fn badge(state: Stage, waits: bool) -> Badge {
    let (word, class) = match state {
        Stage::Init if waits => ("waiting", "muted"),
        Stage::Init => ("to do", "busy"),
        Stage::Processing => ("in work", "busy"),
        Stage::Processed => ("done", "good"),
        Stage::WithErrors => ("refused", "bad"),
    };
    Badge { word, class }
}

/// A row as the pages show it.
#[derive(Debug, Clone)]
struct ShownRow {
    id: i64,
    record: String,
    shape: String,
    badge: Badge,
    why: String,
    code: String,
    attempts: u32,
    import: Option<String>,
    collision: &'static str,
    content_hash: String,
    observed_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    requeueable: bool,
}

impl ShownRow {
    fn of(row: &StagedRow) -> Self {
        let why = match (&row.error_message, &row.waits_for) {
            (Some(message), _) => message.clone(),
            (None, Some(other)) => format!("waits for {other}; goes on by itself when that has come"),
            (None, None) => String::new(),
        };
        Self {
            id: row.id,
            record: format!("{} {}", row.source_name, row.external_id),
            shape: if row.shape.is_empty() { "whole record".to_owned() } else { row.shape.clone() },
            badge: badge(row.state, row.waits_for.is_some()),
            why,
            code: row.error_code.clone().unwrap_or_default(),
            attempts: row.attempts,
            import: row.import.map(|id| id.to_string()),
            collision: row.collision.as_str(),
            content_hash: row.content_hash.clone(),
            observed_at: row.observed_at.map(moment),
            created_at: moment(row.created_at),
            updated_at: moment(row.updated_at),
            requeueable: row.state == Stage::WithErrors && row.shape.is_empty(),
        }
    }
}

#[derive(Template)]
#[template(path = "staging.html")]
struct StagingPage {
    frame: Frame,
    staged: Vec<ShownCounts>,
}

/// `GET /staging`.
pub(super) async fn all(State(shared): State<Shared>, Extension(visit): Extension<Visit>) -> Result<Response, Refusal> {
    let staged = counted(&shared).await?;
    Ok(html(&StagingPage { frame: Frame::new(&visit, Place::Staging, "Staging"), staged }))
}

#[derive(Template)]
#[template(path = "rows.html")]
struct RowsPage {
    frame: Frame,
    form_token: String,
    notice: Option<&'static str>,
    kind: &'static str,
    state: String,
    /// The word in addresses, and the one that is shown.
    states: Vec<(&'static str, &'static str)>,
    source: String,
    rows: Vec<ShownRow>,
    first: Option<String>,
    next: Option<String>,
    refused: u64,
}

/// `GET /staging/{kind}`.
pub(super) async fn rows(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    kind: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let kind = known(kind.ok().map(|Path(kind)| kind).as_deref())?;
    let asked = Asked::of(&uri);
    let state: Option<Stage> = asked.text("state").parse().ok();
    let source = asked.text("source").to_owned();
    let after = asked.text("after").parse::<i64>().unwrap_or(0).max(0);
    let filter = Filter { state, source: (!source.is_empty()).then(|| source.clone()), after, limit: SIZE + 1 };
    let mut found = shared.staging.list(kind, filter).await.map_err(|error| failed(&error))?;
    let more = found.len() > SIZE as usize;
    found.truncate(SIZE as usize);
    let word = state.map_or("", Stage::as_str);
    let address = |after: Option<i64>| {
        let after = after.map(|after| after.to_string());
        let all = [("state", word), ("source", source.as_str()), ("after", after.as_deref().unwrap_or(""))];
        let pairs: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = query(&pairs);
        if query.is_empty() { format!("/staging/{kind}") } else { format!("/staging/{kind}?{query}") }
    };
    let next = found.last().filter(|_| more).map(|last| address(Some(last.id)));
    let first = (after > 0).then(|| address(None));
    let counts = shared.staging.counts(kind).await.map_err(|error| failed(&error))?;
    Ok(html(&RowsPage {
        frame: Frame::new(&visit, Place::Staging, format!("Staging: {kind}")),
        form_token: visit.form_token.clone(),
        notice: match asked.text("done") {
            "requeued" => Some("Everything that was refused is in the queue again; the job takes it up when it runs."),
            "discarded" => Some("The row is gone. What it had brought into the catalogue stays there."),
            _ => None,
        },
        kind: kind.as_str(),
        state: word.to_owned(),
        states: Stage::ALL.map(|state| (state.as_str(), badge(state, false).word)).to_vec(),
        rows: found.iter().map(ShownRow::of).collect(),
        source,
        first,
        next,
        refused: counts.with_errors,
    }))
}

#[derive(Template)]
#[template(path = "row.html")]
struct RowPage {
    frame: Frame,
    form_token: String,
    notice: Option<&'static str>,
    kind: &'static str,
    row: ShownRow,
    payload: Option<String>,
    cut: bool,
}

/// `GET /staging/{kind}/{id}`.
pub(super) async fn row(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    place: Result<Path<(String, i64)>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (kind, id) = placed(place)?;
    let found = shared.staging.get(kind, id).await.map_err(|error| failed(&error))?.ok_or_else(unknown)?;
    let payload = found.payload.as_deref().map(pretty);
    let cut = payload.as_ref().is_some_and(|text| text.chars().nth(LONGEST).is_some());
    let row = ShownRow::of(&found);
    Ok(html(&RowPage {
        frame: Frame::new(&visit, Place::Staging, format!("Staged {kind} {}", row.record)),
        form_token: visit.form_token.clone(),
        notice: (Asked::of(&uri).text("done") == "requeued")
            .then_some("It is in the queue again; the job takes it up when it runs."),
        kind: kind.as_str(),
        row,
        payload: payload.map(|text| text.chars().take(LONGEST).collect()),
        cut,
    }))
}

/// JSON as people read it. What is none is shown as it is.
fn pretty(text: &str) -> String {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
    parsed.ok().and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}

/// `POST /staging/{kind}/requeue`: everything that was refused.
pub(super) async fn requeue_all(
    State(shared): State<Shared>,
    kind: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let kind = known(kind.ok().map(|Path(kind)| kind).as_deref())?;
    shared.staging.requeue_all(kind).await.map_err(|error| failed(&error))?;
    Ok(Redirect::to(&format!("/staging/{kind}?done=requeued")).into_response())
}

/// `POST /staging/{kind}/{id}/requeue`.
pub(super) async fn requeue(
    State(shared): State<Shared>,
    place: Result<Path<(String, i64)>, PathRejection>,
) -> Result<Response, Refusal> {
    let (kind, id) = placed(place)?;
    match shared.staging.requeue(kind, id).await.map_err(|error| failed(&error))? {
        Requeued::Done => Ok(Redirect::to(&format!("/staging/{kind}/{id}?done=requeued")).into_response()),
        Requeued::Unknown => Err(unknown()),
        Requeued::Refused(_) => Err(Refusal::http(
            StatusCode::CONFLICT,
            "Only whole records that were refused can be queued again; this one is in another state by now.",
        )),
    }
}

/// `POST /staging/{kind}/{id}/discard`.
pub(super) async fn discard(
    State(shared): State<Shared>,
    place: Result<Path<(String, i64)>, PathRejection>,
) -> Result<Response, Refusal> {
    let (kind, id) = placed(place)?;
    if !shared.staging.discard(kind, id).await.map_err(|error| failed(&error))? {
        return Err(unknown());
    }
    Ok(Redirect::to(&format!("/staging/{kind}?done=discarded")).into_response())
}

fn known(kind: Option<&str>) -> Result<RecordKind, Refusal> {
    kind.and_then(|kind| kind.parse().ok())
        .ok_or_else(|| Refusal::http(StatusCode::NOT_FOUND, "There is no such kind of records."))
}

fn placed(place: Result<Path<(String, i64)>, PathRejection>) -> Result<(RecordKind, i64), Refusal> {
    let Path((kind, id)) = place.map_err(|_| unknown())?;
    Ok((known(Some(&kind))?, id))
}

fn unknown() -> Refusal {
    Refusal::http(StatusCode::NOT_FOUND, "There is no such row; it may have been thrown away.")
}
