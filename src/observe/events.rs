//! Every event the crawl and the server report: one function each, log line and metric together. Metric names live only here.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

/// One attempt ended with an answer.
pub fn request_finished(service: &'static str, endpoint: &'static str, status: u16, elapsed: Duration) {
    counter!("parser_http_requests_total", "service" => service, "endpoint" => endpoint, "status" => status.to_string())
        .increment(1);
    histogram!("parser_http_request_duration_seconds", "service" => service).record(elapsed.as_secs_f64());
    debug!(service, endpoint, status, elapsed_ms = millis(elapsed), "request finished");
}

/// One attempt ended without an answer.
pub fn request_failed(service: &'static str, endpoint: &'static str, reason: &str, elapsed: Duration) {
    counter!("parser_http_request_failures_total", "service" => service, "endpoint" => endpoint).increment(1);
    debug!(service, endpoint, reason, elapsed_ms = millis(elapsed), "request failed");
}

/// Another attempt will follow.
pub fn retry_scheduled(service: &'static str, endpoint: &'static str, attempt: u32, delay: Duration, reason: &str) {
    counter!("parser_http_retries_total", "service" => service).increment(1);
    warn!(service, endpoint, attempt, delay_ms = millis(delay), reason, "retrying");
}

/// The service answered 429.
pub fn throttled(service: &'static str, endpoint: &'static str, wait: Duration) {
    counter!("parser_http_throttled_total", "service" => service).increment(1);
    warn!(service, endpoint, wait_ms = millis(wait), "rate-limited by the service, waiting");
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

/// A list page is landed.
pub fn page_landed(page: u64, materials: usize, rejected: usize, total: Option<u64>) {
    counter!("parser_crawl_pages_total").increment(1);
    counter!("parser_crawl_materials_total").increment(materials as u64);
    if rejected > 0 {
        counter!("parser_crawl_materials_rejected_total").increment(rejected as u64);
        warn!(page, rejected, "materials that cannot be read are kept aside");
    }
    info!(page, materials, total, "page landed");
}

/// A title is finished and marked. `outcome`: `created`, `updated`, `unchanged`, `failed`, `skipped`.
pub fn title_finished(series: u64, title: &str, outcome: &'static str, reason: Option<&str>, elapsed: Duration) {
    counter!("parser_crawl_titles_total", "outcome" => outcome).increment(1);
    histogram!("parser_crawl_title_duration_seconds").record(elapsed.as_secs_f64());
    match (outcome, reason) {
        ("failed", reason) => warn!(series, title, outcome, reason, "title finished"),
        (_, reason) => info!(series, title, outcome, reason, "title finished"),
    }
}

/// Materials that never became a title count as one title each. `outcome`: `skipped`, `failed`.
pub fn materials_left_out(outcome: &'static str, reason: &str, count: u64) {
    if count > 0 {
        counter!("parser_crawl_titles_total", "outcome" => outcome).increment(count);
        info!(outcome, reason, count, "materials without a title");
    }
}

/// Records were written for a title.
pub fn records_written(kind: &'static str, count: u64) {
    if count > 0 {
        counter!("parser_load_records_total", "kind" => kind).increment(count);
    }
}

/// A run begins or goes on. `from`: `start`, `resume`.
pub fn run_started(mode: &str, from: &'static str, phase: &'static str, page: u32) {
    counter!("parser_crawl_runs_started_total", "mode" => mode.to_owned()).increment(1);
    info!(mode, from, phase, page, "run started");
}

/// A run ended. `end`: `finished`, `stopped`, `failed`.
pub fn run_ended(mode: &str, end: &'static str, elapsed: Duration) {
    gauge!("parser_crawl_run_duration_seconds").set(elapsed.as_secs_f64());
    gauge!("parser_crawl_last_run_finished", "end" => end).set(1.0);
    // For an alert on a cron job that has not run.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into a double exactly")]
    gauge!("parser_crawl_last_run_timestamp_seconds").set(jiff::Timestamp::now().as_second() as f64);
    info!(mode, end, elapsed_ms = millis(elapsed), "run ended");
}

/// The listing's cursor is no longer accepted; the pages are walked again from the first.
pub fn cursor_refused(page: u64) {
    counter!("parser_crawl_cursor_refused_total").increment(1);
    warn!(page, "the source no longer accepts the saved cursor; walking the pages again from the first");
}

/// An incremental run without a watermark lists everything.
pub fn no_watermark() {
    info!("nothing has finished yet, so there is no watermark: running `full` instead of `incremental`");
}

/// The landed pages of an unfinished run are gone.
pub fn landing_lost() {
    warn!("the landed pages of the unfinished run are gone; listing again from the first page");
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

/// Opening the state had something to mend or to tell.
pub fn state_notice(notice: &str) {
    warn!(notice, "state");
}

/// The list of translations could not be had; names of materials without one stay unknown.
pub fn translations_unknown(reason: &str) {
    warn!(service = "kodik", reason, "the list of translations is not available");
}

/// A setting names a translation that the source does not have.
pub fn no_such_translation(name: &str) {
    warn!(name, "TRANSLATION_PRIORITIES or TRANSLATIONS_EXCLUDED names a translation that the source does not have");
}

/// Another process holds the catalogue's write lock, a change collided with another, or the server is away.
pub fn store_locked(reason: &str, delay: Duration) {
    counter!("parser_store_locked_total").increment(1);
    warn!(reason, delay_ms = millis(delay), "the catalogue cannot take it now, trying again");
}

/// A number also in JSON, where `u128` would become a text.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The server has answered a request. `route` is the pattern, not the address.
pub fn request_served(method: &str, route: &str, status: u16, elapsed: Duration, trace_id: &str) {
    counter!("parser_server_requests_total", "method" => method.to_owned(), "route" => route.to_owned(),
        "status" => status.to_string())
    .increment(1);
    histogram!("parser_server_request_duration_seconds", "route" => route.to_owned()).record(elapsed.as_secs_f64());
    debug!(method, route, status, elapsed_ms = elapsed.as_millis(), trace_id, "request served");
}

/// A request could not be served; the client was not told why, but has the trace id.
pub fn serving_failed(route: &str, reason: &str, trace_id: &str) {
    counter!("parser_server_failures_total", "route" => route.to_owned()).increment(1);
    error!(route, reason, trace_id, "request failed");
}

/// A request is worked on, until the guard is dropped.
pub fn request_in_flight() -> InFlight {
    gauge!("parser_server_requests_in_flight").increment(1.0);
    InFlight(())
}

/// See [`request_in_flight`].
#[derive(Debug)]
pub struct InFlight(());

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("parser_server_requests_in_flight").decrement(1.0);
    }
}

/// A request was not what its route asks for; the client was not told which field.
pub fn request_refused(route: &str, reason: &str, trace_id: &str) {
    warn!(route, reason, trace_id, "request refused");
}

/// A part of a title arrived. `kind`: `anime`, `episodes`, `video`; `outcome`: `created`, `updated`, `unchanged`,
/// `partial`, `orphan`.
pub fn part_imported(kind: &'static str, outcome: &'static str) {
    counter!("parser_server_imports_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// The server accepts connections.
pub fn server_started(address: std::net::SocketAddr) {
    nodes_begin();
    info!(%address, "serving");
}

/// The server stops: it accepts no more and finishes what is in flight.
pub fn server_stopping(connections: usize) {
    info!(connections, "stopping: finishing requests in flight");
}

/// The deadline passed; these connections were cut.
pub fn server_cut(connections: usize) {
    warn!(connections, "requests in flight did not finish in time and were cut");
}

/// A run ended, but how its services fared could not be kept beside the state.
pub fn health_not_kept(reason: &str) {
    warn!(reason, "cannot keep the services' health for the dashboard");
}

/// Somebody tried to sign in to the dashboard with a wrong token.
pub fn login_failed(peer: std::net::IpAddr) {
    counter!("parser_dashboard_logins_failed_total").increment(1);
    warn!(%peer, "a sign-in with a wrong token was refused");
}

/// An object's source broke; reading goes on at this byte after a wait.
pub fn object_resumed(kind: &'static str, offset: u64, failures: u32, reason: &str, wait: Duration) {
    counter!("parser_objects_resumed_total", "kind" => kind).increment(1);
    warn!(kind, offset, failures, reason, wait_ms = millis(wait), "reading an object broke, going on");
}

/// A connection is open as long as what this returns lives.
pub fn connection_open() -> OpenConnection {
    gauge!("parser_server_connections").increment(1.0);
    OpenConnection(())
}

/// See [`connection_open`].
#[derive(Debug)]
pub struct OpenConnection(());

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!("parser_server_connections").decrement(1.0);
    }
}

/// A record of an import is decided.
pub fn import_record_ended(status: &'static str, attempts: u32) {
    counter!("parser_import_records_total", "status" => status).increment(1);
    histogram!("parser_import_record_attempts").record(f64::from(attempts));
}

/// A record of an import is tried again.
pub fn import_record_retried(attempts: u32, reason: &str) {
    counter!("parser_import_record_retries_total").increment(1);
    warn!(attempts, reason, "a record is tried again");
}

/// A batch is fetched again.
pub fn import_fetch_retried(attempts: u32, reason: &str) {
    counter!("parser_import_fetch_retries_total").increment(1);
    counter!("node_import_io_errors_total").increment(1);
    warn!(attempts, reason, "a batch is fetched again");
}

/// A batch cannot be fetched.
pub fn import_fetch_failed(reason: &str) {
    counter!("parser_import_fetch_failures_total").increment(1);
    counter!("node_import_io_errors_total").increment(1);
    warn!(reason, "a batch cannot be fetched");
}

/// The workers of imports have trouble with their store; they try again.
pub fn import_work_failed(reason: &str) {
    counter!("parser_import_work_failures_total").increment(1);
    warn!(reason, "the import workers cannot work at the moment");
}

/// A job begins. `job`: `series`, `release`, `character`, `pet`.
pub fn job_started(job: &'static str) {
    info!(job, "job started");
}

/// A job ended.
pub fn job_ended(job: &'static str, written: u64, unchanged: u64, waiting: u64, failed: u64, error: Option<&str>) {
    let counts = [("written", written), ("unchanged", unchanged), ("waiting", waiting), ("failed", failed)];
    for (outcome, count) in counts {
        counter!("parser_job_records_total", "job" => job, "outcome" => outcome).increment(count);
    }
    counter!("parser_job_runs_total", "job" => job, "end" => if error.is_some() { "failed" } else { "finished" })
        .increment(1);
    match error {
        None => info!(job, written, unchanged, waiting, failed, "job ended"),
        Some(error) => error!(job, written, unchanged, waiting, failed, error, "job failed"),
    }
}

/// The store refuses a staged record, which is kept aside.
pub fn record_parked(kind: &'static str, id: i64, reason: &str) {
    counter!("parser_staging_parked_total", "kind" => kind).increment(1);
    warn!(kind, id, reason, "record parked");
}

/// The schedule of the jobs could not be read; it is tried again soon.
pub fn schedule_failed(reason: &str) {
    warn!(reason, "cannot see which jobs are due");
}

/// The import of a run could not be closed; it stays open at the backend until somebody closes it.
pub fn import_not_closed(import: &str, reason: &str) {
    counter!("parser_load_imports_not_closed_total").increment(1);
    warn!(import, reason, "the run's import could not be closed");
}

/// A batch of nodes is in.
pub fn nodes_imported(rows: &crate::model::RowCounts) {
    let crate::model::RowCounts { inserted, updated, unchanged, duplicates, failed } = *rows;
    for (outcome, count) in [
        ("inserted", inserted),
        ("updated", updated),
        ("unchanged", unchanged),
        ("duplicate", duplicates),
        ("failed", failed),
    ] {
        counter!("parser_nodes_rows_total", "outcome" => outcome).increment(count);
    }
    counter!("node_import_batch_processed_total").increment(1);
    counter!("node_import_conflict_updates_total").increment(updated);
    debug!(inserted, updated, unchanged, duplicates, failed, "batch of nodes imported");
}

/// A transaction of rows of a file is in.
pub fn rows_imported(rows: &crate::model::RowCounts) {
    let crate::model::RowCounts { inserted, updated, unchanged, duplicates, failed } = *rows;
    for (outcome, count) in [
        ("inserted", inserted),
        ("updated", updated),
        ("unchanged", unchanged),
        ("duplicate", duplicates),
        ("failed", failed),
    ] {
        counter!("parser_table_rows_total", "outcome" => outcome).increment(count);
    }
    debug!(inserted, updated, unchanged, duplicates, failed, "rows of a file imported");
}

/// A file of a table is at its end.
pub fn table_file_finished(status: &'static str, rows: &crate::model::RowCounts) {
    counter!("parser_table_files_total", "status" => status).increment(1);
    info!(status, total = rows.total(), failed = rows.failed, "import of a file into a table finished");
}

/// A batch of nodes is tried again.
pub fn node_batch_retried(batch: u64, reason: &str, wait: Duration) {
    counter!("parser_nodes_batches_retried_total").increment(1);
    counter!("node_import_batch_error_total").increment(1);
    warn!(batch, reason, wait_s = wait.as_secs_f64(), "writing a batch of nodes again");
}

/// Counters of nodes, at 0: one that begins with its first event hides that event from whoever asks how much it grew.
pub(super) fn nodes_begin() {
    for name in [
        "parser_nodes_batches_retried_total",
        "parser_nodes_batch_timeouts_total",
        "node_import_batch_error_total",
        "node_import_batch_processed_total",
        "node_import_batch_timeout_total",
        "node_import_conflict_updates_total",
        "node_import_io_errors_total",
        "parser_import_fetch_failures_total",
        "parser_import_fetch_retries_total",
        "parser_import_work_failures_total",
    ] {
        counter!(name).increment(0);
    }
    for outcome in ["inserted", "updated", "unchanged", "duplicate", "failed"] {
        counter!("parser_nodes_rows_total", "outcome" => outcome).increment(0);
    }
}

/// A batch of nodes was copied to the server.
pub fn nodes_copied(elapsed: Duration) {
    histogram!("parser_nodes_copy_duration_seconds").record(elapsed.as_secs_f64());
}

/// A batch of nodes that was copied was merged into the tables.
pub fn nodes_merged(elapsed: Duration) {
    histogram!("parser_nodes_merge_duration_seconds").record(elapsed.as_secs_f64());
}

/// Writing a batch of nodes took longer than a batch of its size may take; it is undone and tried again.
pub fn node_batch_timed_out(limit: Duration) {
    counter!("parser_nodes_batch_timeouts_total").increment(1);
    counter!("node_import_batch_timeout_total").increment(1);
    warn!(limit_ms = millis(limit), "a batch of nodes took too long");
}

/// A file of nodes is at its end.
pub fn node_job_finished(status: &'static str, total: u64, failed: u64) {
    counter!("parser_nodes_jobs_total", "status" => status).increment(1);
    info!(status, total, failed, "import of nodes finished");
}

/// Spans could not be sent to the collector; they are lost.
pub fn traces_not_sent(spans: usize, reason: &str) {
    traces_lost(spans);
    warn!(spans, reason, "traces cannot be sent; work goes on without them");
}

/// The same, again.
pub fn traces_still_not_sent(spans: usize) {
    traces_lost(spans);
}

/// The collector takes spans again.
pub fn traces_sent_again() {
    info!("traces are sent again");
}

fn traces_lost(spans: usize) {
    counter!("parser_traces_lost_total").increment(spans as u64);
}
