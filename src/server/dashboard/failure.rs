//! Refusals as pages: what went wrong, under which number the log has more, and the way back.

use askama::Template;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;

use super::frame::{Frame, html_with};
use crate::server::answer::Refusal;
use crate::server::trace::{OwnBody, TraceId};

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    status: u16,
    message: String,
    trace_id: String,
}

/// Gives refusals of these routes a body that a person can read. The log still gets them.
pub(super) async fn as_page(request: Request, next: Next) -> Response {
    let trace_id = request.extensions().get::<TraceId>().map(|id| id.0.clone()).unwrap_or_default();
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>().cloned() else { return response };
    let status = refusal.status();
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        status if status.is_server_error() => "Something went wrong here",
        _ => "That did not work",
    };
    let message = refusal.message().to_owned();
    let mut page =
        html_with(status, &FailurePage { frame: Frame::outside(title), status: status.as_u16(), message, trace_id });
    page.extensions_mut().insert(refusal);
    page.extensions_mut().insert(OwnBody);
    page
}
