//! What orchestrators and Prometheus ask.
//!
//! `/healthz` says that the process answers, `/readyz` that its store does. `/metrics` is for this machine and for
//! whoever has the token: it tells how much is imported and read, which is nobody else's business. A request that came
//! through a proxy is not this machine's, even when the proxy is here.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refusal;
use super::app::Shared;
use super::auth;
use crate::error::chain;

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "status": "ok" }))]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
}

const WELL: Json<Health> = Json(Health { status: "ok" });

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready)).routes(routes!(metrics))
}

/// Does the process answer?
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "server",
    responses((status = 200, description = "It does", body = Health)),
)]
async fn alive() -> Json<Health> {
    WELL
}

/// Does the store answer?
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "server",
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It does not"),
    ),
)]
async fn ready(State(shared): State<Shared>) -> Result<Json<Health>, Refusal> {
    let asked = async { tokio::try_join!(shared.catalogue.ping(), shared.catalogue.ping()) };
    match tokio::time::timeout(shared.limits.request_timeout, asked).await {
        Ok(Ok(_)) => Ok(WELL),
        Ok(Err(error)) => Err(Refusal::busy("The store does not answer", 5).because(chain(&error))),
        Err(_) => Err(Refusal::busy("The store does not answer", 5).because("timed out")),
    }
}

/// Prometheus metrics
///
/// For this machine, and for whoever has the token.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "server",
    security((), ("internal_token" = []), ("bearer" = [])),
    responses((status = 200, description = "Prometheus text", content_type = "text/plain", body = String)),
)]
async fn metrics(State(shared): State<Shared>, Extension(Peer(peer)): Extension<Peer>, headers: HeaderMap) -> Response {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    let here = peer.ip().to_canonical().is_loopback() && !proxied;
    if !here && !auth::carries_token(&shared, &headers) {
        return auth::wrong().into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.metrics.render()).into_response()
}
