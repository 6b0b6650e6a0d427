//! Every span that the product opens: one function each, as in `events`. Names and fields live only here.
//!
//! Spans at `info` are context of the log as well: their fields stand in every line that is logged inside them. Those at
//! `debug` are for traces, and for a log that asks for that much.

use std::fmt::Display;

use tracing::field::Empty;
use tracing::{Span, debug_span, info_span};

/// A request that the server answers. `route` is the pattern, not the address.
pub fn request(method: &str, route: &str, trace_id: &str) -> Span {
    debug_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request_id = trace_id,
    )
}

/// The request of this span was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    failed(span, status >= 500);
}

/// What this span is about did not succeed.
pub fn failed(span: &Span, failed: bool) {
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// A batch of an import arrives with its request.
pub fn receive(import: &impl Display) -> Span {
    debug_span!("receive batch", %import)
}

/// A batch is fetched from where it lies. Both are the store's numbers.
pub fn fetch(import: i64, batch: i64) -> Span {
    info_span!("fetch batch", import, batch)
}

/// A record of an import is brought in.
pub fn record(import: &str, batch: i64, result: i64) -> Span {
    debug_span!("import record", import, batch, result)
}

/// Messages of one partition, from this offset on, are worked on together.
pub fn messages(topic: &str, partition: i32, offset: i64, count: usize) -> Span {
    info_span!(
        "messages",
        otel.name = format!("process {topic}"),
        otel.kind = "consumer",
        topic,
        partition,
        offset,
        count,
    )
}

/// A title of the crawl on its way from raw to loaded.
pub fn title(series: u64) -> Span {
    debug_span!("load title", series)
}

/// A job works. `job`: `series`, `release`, `character`, `pet`.
pub fn job(job: &'static str) -> Span {
    info_span!("job", otel.name = format!("job {job}"), otel.status_code = Empty, job)
}
