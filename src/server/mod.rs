//! The import API over HTTP, and what readers ask of the catalogue. Routes only: the work is the backend's.
//!
//! | route | who may | what |
//! |---|---|---|
//! | `POST /api/v1/internal/import/{anime,episodes,video}` | the token | the existing contract, see `contract` |
//! | `GET /api/v1/anime`, `/{slug}`, `/{slug}/episodes` | everybody | see `browse` |
//! | `/`, `/catalogue`, `/sources`, … | a session | pages for a browser, see `dashboard` |
//! | `/api/v1/jobs`, `/api/v1/staging` | the token | see `jobs`, `staging` |
//! | `GET /healthz`, `/readyz` | everybody | see `probes` |
//! | `GET /metrics` | this machine, or the token | Prometheus text |
//! | `GET /openapi.json`, `/docs` | everybody | see `docs` |
//! | `GET /schemas`, `/schemas/{name}` | everybody | what messages must be, see `schemas` |

mod alone;
mod answer;
mod app;
mod auth;
mod background;
mod body;
mod browse;
mod contract;
mod dashboard;
mod described;
mod docs;
mod error;
mod gate;
mod imports;
mod jobs;
mod listen;
mod negotiate;
mod openapi;
mod params;
mod patient;
mod payload;
mod probes;
mod schemas;
mod staging;
mod token;
mod trace;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::backend::imports::{Imports, Limits};
use crate::backend::jobs::{JobOptions, Jobs};
use crate::backend::{BackendError, Catalogue};
use crate::bulk::Worker;
use crate::config::{ImportSettings, KafkaSettings, ObjectSettings};
use crate::observe::events;
use crate::observe::metrics::Metrics;
use crate::store::objects::Sources;
use crate::store::{Location, Store};

pub use alone::Probes;
pub use dashboard::DashboardOptions;
pub use error::ServerError;
pub use token::{Obtained, SHORTEST_PUBLIC, Token, obtain};

/// Connections of an embedded catalogue for questions, beside the one for changes.
const READERS: usize = 2;

/// How often recorded durations are folded into the metrics' buckets.
const FOLD: Duration = Duration::from_secs(5);

/// Workers have at least this long to give back what they hold.
const GIVING_BACK: Duration = Duration::from_millis(250);

/// What a server needs.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 = any free one.
    pub listen: SocketAddr,
    /// Who may import.
    pub token: Token,
    /// Where the catalogue is.
    pub catalog: Location,
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
    /// What bounds imports.
    pub imports: ImportSettings,
    /// Where batches may be fetched from.
    pub objects: ObjectSettings,
    /// When the jobs run, and how.
    pub jobs: JobOptions,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The pages for browsers.
    pub dashboard: DashboardOptions,
    /// Where messages come from, for their dead letters.
    pub kafka: KafkaSettings,
}

/// A server that is bound and has its catalogue open, but accepts nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: app::Shared,
    worker: Worker,
    patience: listen::Patience,
}

impl Server {
    /// Opens the catalogue (and brings its tables up to date), then binds.
    pub async fn bind(options: Options) -> Result<Self, ServerError> {
        let Options { listen, token, catalog, max_body, request_timeout, shutdown, metrics, dashboard, .. } = options;
        let Options { max_requests, max_requests_per_token, idle_timeout, imports, objects, kafka, .. } = options;
        let patience = listen::Patience { idle: idle_timeout, end: shutdown };
        let sources = Sources::listed(&objects)?;
        let store = Arc::new(Store::open(&catalog, READERS).await.map_err(BackendError::from)?);
        let jobs = Jobs::new(Arc::clone(&store), options.jobs);
        jobs.prepare().await?;
        let bounds = Limits {
            record_bytes: objects.max_line,
            batch_bytes: imports.max_batch,
            workers: imports.workers,
            attempts: imports.attempts,
            lease: imports.lease,
            idle: request_timeout,
            bulk: imports.bulk,
        };
        let imports = Imports::new(Arc::clone(&store), bounds, Some(sources.clone()));
        let worker = Worker::new(imports.clone(), sources, objects.max_line);
        // The contract names the source in every request.
        let catalogue = Catalogue::new(store, "");
        catalogue.prepare_search().await?;
        let listener =
            TcpListener::bind(listen).await.map_err(|source| ServerError::Bind { address: listen, source })?;
        let address = listener.local_addr().map_err(|source| ServerError::Bind { address: listen, source })?;
        let limits = app::Limits { max_body, request_timeout, max_requests, max_requests_per_token };
        let parts = app::Parts { catalogue, imports, jobs, token, limits, metrics, dashboard, kafka };
        Ok(Self { listener, address, state: app::Shared::new(parts), worker, patience })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its store, for whatever else this process does with it.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(self.state.catalogue.store())
    }

    /// Its imports, whose workers run with it.
    pub fn imports(&self) -> Imports {
        self.state.imports.clone()
    }

    /// Serves until `stop` is ready; then accepts no more, finishes what is in flight (within the deadline), and closes
    /// the catalogue.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, address, state, worker, patience } = self;
        events::server_started(address);
        let metrics = state.metrics.clone();
        let folding = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(FOLD);
            loop {
                ticks.tick().await;
                metrics.fold();
            }
        });
        let (stopping, stopped) = tokio::sync::watch::channel(false);
        let imports = state.imports.clone();
        let mut working = tokio::spawn(async move { tokio::join!(imports.work(stopped.clone()), worker.run(stopped)) });
        let streams = state.streams.clone();
        let (told, since) = tokio::sync::watch::channel(Instant::now());
        let stop = async move {
            stop.await;
            told.send_replace(Instant::now());
            // Watchers would hold up the end.
            streams.close();
        };
        state.background.keep_schedule();
        listen::serve(listener, app::router(state.clone()), stop, patience).await;
        // Jobs end after the batch they are at; what they leave is theirs whose lease is next.
        let left = patience.end.saturating_sub(since.borrow().elapsed()).max(GIVING_BACK);
        let _ = tokio::time::timeout(left, state.background.finish()).await;
        folding.abort();
        // Records in work finish, the others are given back, in what is left of the time.
        stopping.send_replace(true);
        let left = patience.end.saturating_sub(since.borrow().elapsed()).max(GIVING_BACK);
        if tokio::time::timeout(left, &mut working).await.is_err() {
            working.abort();
            events::import_work_failed("the workers did not finish in time; their claims lapse");
        }
        // Closing folds the write-ahead log back, which waits for the disk. The thread cannot fail: it only drops.
        let _ = tokio::task::spawn_blocking(move || drop(state)).await;
    }
}
