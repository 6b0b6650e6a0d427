//! The routes and what they share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use http::StatusCode;
use tokio::sync::Semaphore;

use super::answer::Refusal;
use super::dashboard::{Dashboard, DashboardOptions};
use super::token::Token;
use super::{browse, contract, dashboard, gate, probes, trace};
use crate::backend::Catalogue;
use crate::observe::metrics::Metrics;

/// What bounds a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of its body.
    pub(super) max_body: usize,
    /// From its head to its answer.
    pub(super) request_timeout: Duration,
    /// How many others may be in work.
    pub(super) max_requests: usize,
}

/// What handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Inner>);

/// See [`Shared`].
#[derive(Debug)]
pub(super) struct Inner {
    /// Takes imports and answers readers.
    pub(super) catalogue: Catalogue,
    /// Who may import.
    pub(super) token: Token,
    /// Bounds.
    pub(super) limits: Limits,
    /// Free places for requests.
    pub(super) places: Semaphore,
    /// What `/metrics` shows.
    pub(super) metrics: Metrics,
    /// For browsers.
    pub(super) dashboard: Dashboard,
}

impl Shared {
    pub(super) fn new(
        catalogue: Catalogue,
        token: Token,
        limits: Limits,
        metrics: Metrics,
        dashboard: DashboardOptions,
    ) -> Self {
        let places = Semaphore::new(limits.max_requests);
        let dashboard = Dashboard::new(&token, dashboard);
        Self(Arc::new(Inner { catalogue, token, limits, places, metrics, dashboard }))
    }
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// All routes. Probes have no limits: a busy server is alive.
pub(super) fn router(shared: Shared) -> Router {
    let imports = Router::new()
        .route("/api/v1/internal/import/anime", post(contract::anime))
        .route("/api/v1/internal/import/episodes", post(contract::episodes))
        .route("/api/v1/internal/import/video", post(contract::video))
        .route_layer(from_fn_with_state(shared.clone(), gate::with_token));
    let public = Router::new()
        .route("/api/v1/anime", get(browse::list))
        .route("/api/v1/anime/{slug}", get(browse::series))
        .route("/api/v1/anime/{slug}/episodes", get(browse::episodes))
        .route_layer(from_fn(browse::for_browsers));
    let pages = dashboard::routes(&shared);
    let bounded = imports.merge(public).merge(pages).route_layer(from_fn_with_state(shared.clone(), gate::bounded));
    Router::new()
        .route("/healthz", get(probes::alive))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .merge(bounded)
        .fallback(async || Refusal::http(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || Refusal::http(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(from_fn(trace::trace))
        .with_state(shared)
}
