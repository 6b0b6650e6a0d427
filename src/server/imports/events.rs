//! Server-sent events: what happens to an import, as it happens.
//!
//! The first event is `snapshot`, the import as it is; then come `import` (its status), `batch` (a batch's status) and
//! `progress`. Each has the number of the store's event as its id, so a client that comes back with `Last-Event-ID`
//! misses nothing and sees nothing twice. The stream ends with the import.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::refuse::refusal;
use super::types::ShownImport;
use crate::model::ImportId;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::params::{InPath, InQuery};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Streams at once.
const STREAMS: usize = 64;

/// Something is sent at least this often, so that nobody between us takes the connection for dead.
const HEART_BEAT: Duration = Duration::from_secs(15);

/// How often the store is asked for what other servers did.
const LOOK: Duration = Duration::from_secs(1);

/// Events that are read at once.
const PAGE: u32 = 100;

/// Places of the streams, and when they have to end.
#[derive(Debug, Clone)]
pub(in crate::server) struct Streams {
    places: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(STREAMS)), closing: watch::Sender::new(false) }
    }
}

impl Streams {
    /// A place for one more stream, if there is one, and what tells when it has to end.
    pub(in crate::server) fn enter(&self) -> Option<(OwnedSemaphorePermit, watch::Receiver<bool>)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((place, self.closing.subscribe()))
    }

    /// Ends all streams: they would hold up the server's end.
    pub(in crate::server) fn close(&self) {
        self.closing.send_replace(true);
    }
}

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Like `Last-Event-ID`, for clients that cannot send headers; 0 = from the first event on.
    #[param(required = false, nullable = false, minimum = 0)]
    after: Option<u32>,
}

/// One event.
#[derive(ToSchema)]
#[schema(as = ServerSentEvent)]
#[expect(dead_code, reason = "only described: events are written as they are")]
struct ServerSent {
    /// Grows.
    id: String,
    /// `snapshot`, `import`, `batch` or `progress`.
    event: String,
    /// JSON.
    data: String,
}

/// Where a stream stands.
struct Watching {
    shared: Shared,
    id: ImportId,
    after: i64,
    news: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// What is sent first.
    first: Option<String>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// Watch an import
///
/// Server-sent events: `snapshot`, `import`, `batch`, `progress`. A client that comes back with `Last-Event-ID` goes on
/// where it was; after the end the answer is 204, which tells it not to come back.
#[utoipa::path(
    get,
    path = "/api/v1/imports/{id}/events",
    operation_id = "watchImport",
    tag = "imports",
    security(("internal_token" = []), ("bearer" = [])),
    params(("id" = inline(ImportId), Path, description = "The import"), Asked),
    responses(
        (status = 200, description = "Events until the import ends", content((ServerSent = "text/event-stream"))),
        (status = 204, description = "Nothing follows the event that was seen last"),
        (status = 404, description = "There is no such import"),
    ),
)]
async fn events(
    State(shared): State<Shared>,
    InPath(id): InPath<ImportId>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let after = last.or(asked.after).map(i64::from);
    let Some((place, closing)) = shared.streams.enter() else {
        return Err(Refusal::busy("Too many watchers at once", 5));
    };
    let news = shared.imports.news();
    let (first, after, ended) = if let Some(after) = after {
        let (events, ended) = shared.imports.events(id, after, 1).await.map_err(|error| refusal(&error))?;
        if ended && events.is_empty() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        (None, after, false)
    } else {
        let view = shared.imports.get(id).await.map_err(|error| refusal(&error))?;
        let (number, ended) = (view.import.events, view.import.status.is_final());
        let data = serde_json::to_string(&ShownImport::from(view)).unwrap_or_default();
        (Some(event(number, "snapshot", &data)), number, ended)
    };
    let watching = Watching { shared, id, after, news, closing, first, ended, _place: place };
    let body = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|text| (Ok::<_, std::convert::Infallible>(Bytes::from(text)), watching))
    });
    let mut response = ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some proxies would keep events until they have a page of them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Watching {
    /// What is sent next; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let beat = Instant::now() + HEART_BEAT;
        loop {
            if self.ended || *self.closing.borrow() {
                return None;
            }
            self.news.mark_unchanged();
            // The import is gone, or the store is: the client comes back and is told.
            let (events, ended) = self.shared.imports.events(self.id, self.after, PAGE).await.ok()?;
            self.ended = ended;
            if let Some(last) = events.last() {
                self.after = last.id;
                return Some(events.iter().map(|one| event(one.id, &one.kind, &one.data)).collect());
            }
            if ended {
                return None;
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                _ = self.news.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = tokio::time::sleep_until(beat) => return Some(": still here\n\n".to_owned()),
            }
        }
    }
}

/// One event on the wire; the data are JSON on one line.
fn event(id: i64, kind: &str, data: &str) -> String {
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
}
