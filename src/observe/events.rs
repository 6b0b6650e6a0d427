//! Every event the crawl reports: one function each, log line and metric together. Metric names live only here.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

/// One attempt ended with an answer.
pub fn request_finished(service: &'static str, endpoint: &'static str, status: u16, elapsed: Duration) {
    counter!("parser_http_requests_total", "service" => service, "endpoint" => endpoint, "status" => status.to_string())
        .increment(1);
    histogram!("parser_http_request_duration_seconds", "service" => service).record(elapsed.as_secs_f64());
    debug!(service, endpoint, status, elapsed_ms = elapsed.as_millis(), "request finished");
}

/// One attempt ended without an answer.
pub fn request_failed(service: &'static str, endpoint: &'static str, reason: &str, elapsed: Duration) {
    counter!("parser_http_request_failures_total", "service" => service, "endpoint" => endpoint).increment(1);
    debug!(service, endpoint, reason, elapsed_ms = elapsed.as_millis(), "request failed");
}

/// Another attempt will follow.
pub fn retry_scheduled(service: &'static str, endpoint: &'static str, attempt: u32, delay: Duration, reason: &str) {
    counter!("parser_http_retries_total", "service" => service).increment(1);
    warn!(service, endpoint, attempt, delay_ms = delay.as_millis(), reason, "retrying");
}

/// The service answered 429.
pub fn throttled(service: &'static str, endpoint: &'static str, wait: Duration) {
    counter!("parser_http_throttled_total", "service" => service).increment(1);
    warn!(service, endpoint, wait_ms = wait.as_millis(), "rate-limited by the service, waiting");
}

/// The circuit breaker changed: `closed`, `open`, `half_open`.
pub fn breaker_changed(service: &'static str, state: &'static str, reason: &str) {
    gauge!("parser_http_breaker_state", "service" => service).set(match state {
        "closed" => 0.0,
        "half_open" => 1.0,
        _ => 2.0,
    });
    if state == "closed" {
        info!(service, state, reason, "circuit breaker");
    } else {
        warn!(service, state, reason, "circuit breaker");
    }
}

/// A batch of titles got no usable GraphQL answer and is asked for one by one.
pub fn graphql_fell_back(titles: usize, reason: &str) {
    counter!("parser_graphql_fallbacks_total").increment(1);
    warn!(service = "shikimori", titles, reason, "GraphQL failed, asking for each title by REST");
}

/// A search answer is as long as it can be, so materials may be missing from it.
pub fn search_maybe_truncated(series: u64, materials: usize) {
    counter!("parser_search_maybe_truncated_total").increment(1);
    warn!(service = "kodik", series, materials, "the search answer is full, there may be more materials");
}
