//! Probes of a process that serves nothing else: `/healthz`, `/readyz`, `/metrics`, open to whoever reaches the address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::net::TcpListener;

use super::{ServerError, listen};
use crate::observe::events;
use crate::observe::metrics::Metrics;
use crate::store::Store;

/// For the store's answer, and for slow clients.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers of such a process.
pub struct Probes {
    listener: TcpListener,
    address: SocketAddr,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probes").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Probes {
    /// Binds.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let fault = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`. Ready = the store answers and `ready` says so.
    pub async fn run(
        self,
        metrics: Metrics,
        store: Arc<Store>,
        ready: impl Fn() -> bool + Clone + Send + Sync + 'static,
        stop: impl Future<Output = ()>,
    ) {
        events::server_started(self.address);
        let is_ready = move || {
            let (store, ready) = (Arc::clone(&store), ready.clone());
            async move {
                let answers = tokio::time::timeout(PATIENCE, store.ping()).await;
                match (ready(), answers) {
                    (true, Ok(Ok(()))) => (StatusCode::OK, "ok\n"),
                    (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "no broker answers\n"),
                    (_, Ok(Err(_)) | Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
                }
            }
        };
        let text = move || {
            let metrics = metrics.clone();
            async move { rendered(&metrics) }
        };
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(is_ready))
            .route("/metrics", get(text));
        let patience = listen::Patience { idle: PATIENCE, end: Duration::from_secs(1) };
        listen::serve(self.listener, router, stop, patience).await;
    }
}

fn rendered(metrics: &Metrics) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}
