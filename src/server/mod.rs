//! The import API over HTTP, and what readers ask of the catalogue. Routes only: the work is the backend's.
//!
//! | route | who may | what |
//! |---|---|---|
//! | `POST /api/v1/internal/import/{anime,episodes,video}` | the token | the existing contract, see `contract` |
//! | `GET /api/v1/anime`, `/{slug}`, `/{slug}/episodes` | everybody | see `browse` |
//! | `GET /healthz`, `/readyz` | everybody | see `probes` |
//! | `GET /metrics` | this machine, or the token | Prometheus text |
//! | `GET /openapi.json`, `/docs` | everybody | see `docs` |

mod answer;
mod app;
mod auth;
mod body;
mod browse;
mod contract;
mod described;
mod docs;
mod error;
mod gate;
mod listen;
mod negotiate;
mod openapi;
mod params;
mod patient;
mod payload;
mod probes;
mod token;
mod trace;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::backend::{BackendError, Catalogue};
use crate::observe::events;
use crate::observe::metrics::Metrics;
use crate::store::{Location, Store};

pub use error::ServerError;
pub use token::{Obtained, SHORTEST_PUBLIC, Token, obtain};

/// Connections of an embedded catalogue for questions, beside the one for changes.
const READERS: usize = 2;

/// How often recorded durations are folded into the metrics' buckets.
const FOLD: Duration = Duration::from_secs(5);

/// What a server needs.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 = any free one.
    pub listen: SocketAddr,
    /// Who may import.
    pub token: Token,
    /// The embedded catalogue's file.
    pub catalog: PathBuf,
    /// Bytes of a request body.
    pub max_body: usize,
    /// One request, from its head to its answer.
    pub request_timeout: Duration,
    /// Requests that are worked on at once.
    pub max_requests: usize,
    /// Those of them that belong to one token.
    pub max_requests_per_token: usize,
    /// How long a client may take for a request's head, and for the next bytes of an answer.
    pub idle_timeout: Duration,
    /// How long requests in flight may take once the server stops.
    pub shutdown: Duration,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// A server that is bound and has its catalogue open, but accepts nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: app::Shared,
    patience: listen::Patience,
}

impl Server {
    /// Opens the catalogue (and brings its tables up to date), then binds.
    pub async fn bind(options: Options) -> Result<Self, ServerError> {
        let Options { listen, token, catalog, max_body, request_timeout, shutdown, metrics, .. } = options;
        let Options { max_requests, max_requests_per_token, idle_timeout, .. } = options;
        let patience = listen::Patience { idle: idle_timeout, end: shutdown };
        let store = Store::open(&Location::File(catalog), READERS).await.map_err(BackendError::from)?;
        // The contract names the source in every request.
        let catalogue = Catalogue::new(Arc::new(store), "");
        let listener =
            TcpListener::bind(listen).await.map_err(|source| ServerError::Bind { address: listen, source })?;
        let address = listener.local_addr().map_err(|source| ServerError::Bind { address: listen, source })?;
        let limits = app::Limits { max_body, request_timeout, max_requests, max_requests_per_token };
        Ok(Self { listener, address, state: app::Shared::new(catalogue, token, limits, metrics), patience })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready; then accepts no more, finishes what is in flight (within the deadline), and closes
    /// the catalogue.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, address, state, patience } = self;
        events::server_started(address);
        let metrics = state.metrics.clone();
        let folding = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(FOLD);
            loop {
                ticks.tick().await;
                metrics.fold();
            }
        });
        listen::serve(listener, app::router(state.clone()), stop, patience).await;
        folding.abort();
        // Closing folds the write-ahead log back, which waits for the disk. The thread cannot fail: it only drops.
        let _ = tokio::task::spawn_blocking(move || drop(state)).await;
    }
}
