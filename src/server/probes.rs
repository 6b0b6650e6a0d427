//! What orchestrators and Prometheus ask.
//!
//! `/healthz` says that the process answers, `/readyz` that its store does. `/metrics` is for this machine and for
//! whoever has the token: it tells how much is imported and read, which is nobody else's business. A request that came
//! through a proxy is not this machine's, even when the proxy is here.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::answer::Refusal;
use super::app::Shared;
use super::gate;
use crate::error::chain;

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// `GET /healthz`.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`.
pub(super) async fn ready(State(shared): State<Shared>) -> Result<Json<serde_json::Value>, Refusal> {
    let asked = async { tokio::try_join!(shared.catalogue.ping(), shared.catalogue.ping()) };
    match tokio::time::timeout(shared.limits.request_timeout, asked).await {
        Ok(Ok(_)) => Ok(Json(json!({ "status": "ok" }))),
        Ok(Err(error)) => Err(Refusal::busy("The store does not answer", 5).because(chain(&error))),
        Err(_) => Err(Refusal::busy("The store does not answer", 5).because("timed out")),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(shared): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    let here = peer.ip().to_canonical().is_loopback() && !proxied;
    if !here && !gate::carries_token(&shared, &headers) {
        return Refusal::http(StatusCode::FORBIDDEN, "Invalid internal token").into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.metrics.render()).into_response()
}
