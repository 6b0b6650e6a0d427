//! A backend that speaks the import contract, in the test process: keeps what it is sent, can refuse a title and can
//! let its callers wait.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

/// The token it wants.
pub(crate) const TOKEN: &str = "backend-token";

#[derive(Default)]
struct Kept {
    records: BTreeMap<String, Value>,
    /// When each request came.
    times: Vec<Duration>,
    refused: BTreeSet<String>,
}

struct Shared {
    started: Instant,
    kept: Mutex<Kept>,
    open: watch::Sender<bool>,
}

/// A running backend; dropping it stops it.
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { started: Instant::now(), kept: Mutex::default(), open: watch::Sender::new(true) });
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let app = Router::new().route("/api/v1/internal/import/{kind}", post(import)).with_state(state);
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, app).into_future() => served.unwrap(),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The settings that lead to it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [("BACKEND_BASE_URL", format!("http://{}", self.address)), ("INTERNAL_TOKEN", TOKEN.to_owned())]
    }

    /// When each request came, since the start.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.shared.kept.lock().unwrap().times.clone()
    }

    /// Everything it was sent, by key: equal = the same catalogue.
    pub(crate) fn records(&self) -> BTreeMap<String, Value> {
        self.shared.kept.lock().unwrap().records.clone()
    }

    /// Says no to a title.
    pub(crate) fn refuse(&self, title: u64) {
        self.shared.kept.lock().unwrap().refused.insert(title.to_string());
    }

    /// Says yes to everything again.
    pub(crate) fn accept(&self) {
        self.shared.kept.lock().unwrap().refused.clear();
    }

    /// Answers nobody until told otherwise.
    pub(crate) fn hold(&self) {
        self.shared.open.send_replace(false);
    }

    /// Answers again.
    pub(crate) fn release(&self) {
        self.shared.open.send_replace(true);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.release();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn import(
    State(shared): State<Arc<Shared>>,
    Path(kind): Path<String>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    shared.kept.lock().unwrap().times.push(shared.started.elapsed());
    let _ = shared.open.subscribe().wait_for(|open| *open).await;
    let mut kept = shared.kept.lock().unwrap();
    match take(&mut kept, &kind, body) {
        Ok(()) => (StatusCode::OK, Json(json!({ "success": true, "message": "taken" }))),
        Err((status, message)) => (status, Json(json!({ "detail": message }))),
    }
}

fn take(kept: &mut Kept, kind: &str, body: Value) -> Result<(), (StatusCode, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lost = |what: &str, id: &str| (StatusCode::NOT_FOUND, format!("{what} not found: {id}"));
    match kind {
        "anime" => {
            let id = text(&body["source_id"]);
            if kept.refused.contains(&id) {
                return Err((StatusCode::UNPROCESSABLE_ENTITY, format!("title {id} is refused")));
            }
            kept.records.insert(format!("series {id}"), body);
        }
        "episodes" => {
            let series = text(&body["anime_source_id"]);
            if !kept.records.contains_key(&format!("series {series}")) {
                return Err(lost("Anime", &series));
            }
            for episode in body["episodes"].as_array().unwrap_or(&Vec::new()) {
                kept.records.insert(format!("episode {}", text(&episode["source_episode_id"])), episode.clone());
            }
        }
        _ => {
            let episode = text(&body["source_episode_id"]);
            if !kept.records.contains_key(&format!("episode {episode}")) {
                return Err(lost("Episode", &episode));
            }
            kept.records.insert(format!("video {episode} {}", body["player"]["url"]), body);
        }
    }
    Ok(())
}
