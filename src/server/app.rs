//! The routes and what they share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use http::StatusCode;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

use super::answer::Refusal;
use super::background::Background;
use super::dashboard::{Dashboard, DashboardOptions};
use super::openapi::Description;
use super::token::Token;
use super::{auth, browse, contract, dashboard, docs, gate, imports, jobs, negotiate, probes, schemas, staging, trace};
use crate::backend::Catalogue;
use crate::backend::imports::Imports;
use crate::backend::jobs::Jobs;
use crate::backend::staging::Staging;
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
    /// How many of one token.
    pub(super) max_requests_per_token: usize,
}

/// What handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Inner>);

/// See [`Shared`].
#[derive(Debug)]
pub(super) struct Inner {
    /// Takes imports and answers readers.
    pub(super) catalogue: Catalogue,
    /// Imports, and their workers.
    pub(super) imports: Imports,
    /// Who watches imports.
    pub(super) streams: imports::Streams,
    /// Who may import.
    pub(super) token: Token,
    /// Bounds.
    pub(super) limits: Limits,
    /// Free places for requests.
    pub(super) places: Semaphore,
    /// Those of them that the token may take.
    pub(super) token_places: Semaphore,
    /// What operators do with staged records.
    pub(super) staging: Staging,
    /// The four jobs.
    pub(super) jobs: Jobs,
    /// Those of them that run here.
    pub(super) background: Background,
    /// What `/metrics` shows.
    pub(super) metrics: Metrics,
    /// For browsers.
    pub(super) dashboard: Dashboard,
    /// What the routes say about themselves, as soon as they are known.
    pub(super) description: OnceLock<Description>,
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) catalogue: Catalogue,
    pub(super) imports: Imports,
    pub(super) jobs: Jobs,
    pub(super) token: Token,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) dashboard: DashboardOptions,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { catalogue, imports, jobs, token, limits, metrics, dashboard } = parts;
        Self(Arc::new(Inner {
            staging: Staging::new(Arc::clone(catalogue.store())),
            background: Background::new(jobs.clone()),
            streams: imports::Streams::default(),
            places: Semaphore::new(limits.max_requests),
            token_places: Semaphore::new(limits.max_requests_per_token),
            description: OnceLock::new(),
            dashboard: Dashboard::new(&token, dashboard),
            catalogue,
            imports,
            jobs,
            token,
            limits,
            metrics,
        }))
    }
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The routes of our own, which all need the token. A new area is one line here.
fn own() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(imports::routes()).merge(jobs::routes()).merge(staging::routes())
}

/// All routes. Probes have no limits: a busy server is alive.
pub(super) fn router(shared: Shared) -> Router {
    let state = || shared.clone();
    let own = own()
        .layer(from_fn_with_state(state(), negotiate::negotiated))
        .layer(from_fn_with_state(state(), auth::authorised));
    let contract = contract::routes().route_layer(from_fn_with_state(state(), auth::with_token));
    let public = browse::routes().route_layer(from_fn(browse::for_browsers));
    let bounded = own.merge(contract).merge(public).route_layer(from_fn_with_state(state(), gate::bounded));
    let (router, api) =
        probes::routes().merge(docs::routes()).merge(schemas::routes()).merge(bounded).split_for_parts();
    // Only the first router of a server makes it, and there is only one.
    let _ = shared.description.set(Description::of(&api));
    // Pages are no part of the API, so they are not described with it.
    let pages = dashboard::routes(&shared);
    router
        .merge(pages)
        .fallback(async || Refusal::http(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || Refusal::http(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(from_fn(gate::proportionate))
        .layer(from_fn(trace::trace))
        .with_state(shared)
}
