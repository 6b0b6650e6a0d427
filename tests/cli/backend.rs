//! A backend that speaks the import contract strictly: token, keys, order, upsert; it counts, remembers and obeys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `anime`, `episodes`, `video`.
    pub(crate) kind: String,
    pub(crate) body: Value,
}

type Rule = Box<dyn FnMut(&str, &Value) -> Option<(u16, Value)> + Send>;

#[derive(Default)]
struct Inner {
    token: String,
    anime: BTreeMap<String, Value>,
    episodes: BTreeMap<String, Value>,
    videos: BTreeMap<String, Value>,
    calls: Vec<Call>,
    rule: Option<Rule>,
    /// Episodes that are not taken.
    closed: BTreeSet<String>,
}

/// A running backend. Dropping it stops it.
pub(crate) struct Backend {
    url: String,
    inner: Arc<Mutex<Inner>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start(token: &str) -> Self {
        let inner = Arc::new(Mutex::new(Inner { token: token.to_owned(), ..Inner::default() }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { url, inner, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about every request with a good token before the contract does; `None` = the contract decides.
    pub(crate) fn rule(&self, rule: impl FnMut(&str, &Value) -> Option<(u16, Value)> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    pub(crate) fn no_rule(&self) {
        self.lock().rule = None;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// All that is stored, as text: equal text = equal content.
    pub(crate) fn content(&self) -> String {
        let inner = self.lock();
        let all = json!({ "anime": inner.anime, "episodes": inner.episodes, "videos": inner.videos });
        serde_json::to_string_pretty(&all).expect("text")
    }

    /// Refuses (or takes again) one episode; the others of its request are taken.
    pub(crate) fn close(&self, episode: &str, closed: bool) {
        let mut inner = self.lock();
        if closed {
            inner.closed.insert(episode.to_owned());
        } else {
            inner.closed.remove(episode);
        }
    }

    /// Forgets a title, as a restored backup would.
    pub(crate) fn lose(&self, series: &str) {
        let mut inner = self.lock();
        let of_it = format!("{series}:");
        inner.anime.remove(series);
        inner.episodes.retain(|id, _| !id.starts_with(&of_it));
        inner.videos.retain(|id, _| !id.starts_with(&of_it));
    }

    /// Stored series, episodes and videos.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let inner = self.lock();
        (inner.anime.len(), inner.episodes.len(), inner.videos.len())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let kind = uri.path().strip_prefix("/api/v1/internal/import/").unwrap_or_default().to_owned();
    let (status, reply) = inner.answer(&kind, &headers, &body);
    // What the crawler asks to learn which API this is does not belong to the contract.
    if !kind.is_empty() {
        inner.calls.push(Call { kind, body });
    }
    (StatusCode::from_u16(status).expect("a status"), axum::Json(reply)).into_response()
}

impl Inner {
    fn answer(&mut self, kind: &str, headers: &HeaderMap, body: &Value) -> (u16, Value) {
        let token = headers.get("x-internal-token").and_then(|token| token.to_str().ok());
        if token != Some(self.token.as_str()) {
            return error(403, "Invalid internal token");
        }
        if let Some(rule) = &mut self.rule
            && let Some(decided) = rule(kind, body)
        {
            return decided;
        }
        match kind {
            "anime" => self.anime(body),
            "episodes" => self.import_episodes(body),
            "video" => self.video(body),
            _ => (404, json!({ "detail": "Not Found" })),
        }
    }

    fn anime(&mut self, body: &Value) -> (u16, Value) {
        let keys = [
            "source_name",
            "source_id",
            "title",
            "alternative_titles",
            "description",
            "year",
            "status",
            "poster",
            "genres",
        ];
        if let Some(fault) = wrong_keys(body, &keys) {
            return fault;
        }
        self.anime.insert(text(&body["source_id"]), body.clone());
        (200, json!({ "success": true, "message": "Anime imported", "errors": null }))
    }

    fn import_episodes(&mut self, body: &Value) -> (u16, Value) {
        if let Some(fault) = wrong_keys(body, &["source_name", "anime_source_id", "episodes"]) {
            return fault;
        }
        let series = text(&body["anime_source_id"]);
        if !self.anime.contains_key(&series) {
            return error(404, &format!("Anime not found: kodik-shikimori/{series}"));
        }
        let episodes = body["episodes"].as_array().cloned().unwrap_or_default();
        let mut errors = Vec::new();
        for episode in &episodes {
            if let Some(fault) = wrong_keys(episode, &["source_episode_id", "number", "title", "is_available"]) {
                return fault;
            }
            let id = text(&episode["source_episode_id"]);
            if self.closed.contains(&id) {
                errors.push(format!("Episode {} (ID: {id}): number is taken", episode["number"]));
            } else {
                self.episodes.insert(id, episode.clone());
            }
        }
        let (total, success) = (episodes.len(), errors.is_empty());
        let imported = total - errors.len();
        (200, json!({ "success": success, "total": total, "imported": imported, "errors": errors }))
    }

    fn video(&mut self, body: &Value) -> (u16, Value) {
        if let Some(fault) = wrong_keys(body, &["source_name", "source_episode_id", "player"])
            .or_else(|| wrong_keys(&body["player"], &["type", "url", "source_name", "priority"]))
        {
            return fault;
        }
        let episode = text(&body["source_episode_id"]);
        if !self.episodes.contains_key(&episode) {
            return error(404, &format!("Episode not found: kodik-shikimori/{episode}"));
        }
        self.videos.insert(format!("{episode} {}", text(&body["player"]["url"])), body.clone());
        (200, json!({ "success": true, "message": "Video imported", "errors": null }))
    }
}

/// The contract's answer to a body with other keys than these.
fn wrong_keys(body: &Value, keys: &[&str]) -> Option<(u16, Value)> {
    let found: BTreeSet<&str> = body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let wanted: BTreeSet<&str> = keys.iter().copied().collect();
    let detail: Vec<_> = wanted
        .symmetric_difference(&found)
        .map(|key| json!({ "type": "missing", "loc": ["body", key], "msg": "Field required, or not wanted" }))
        .collect();
    (!detail.is_empty()).then(|| (422, json!({ "detail": detail })))
}

/// The newer of the contract's two error envelopes.
pub(crate) fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({ "error": { "code": "HTTP_ERROR", "message": message, "trace_id": "t-1" } }))
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
