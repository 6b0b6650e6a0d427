//! Every event of `parser consume`: one function each, log line and metric together.
//!
//! The predecessor's names are kept as aliases beside ours, as Prometheus showed them, where we count the same thing:
//! `deploy/README.md` lists them, and those that have no counterpart.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::events;
use super::repeats::Repeats;

// While a broker is away the client says so twenty times a second.
static SAID: Repeats = Repeats::new();
static FAILED: Repeats = Repeats::new();

/// A number also in JSON, where `u128` would become a text.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The client library said something.
pub fn client_said(level: &'static str, facility: &str, text: &str) {
    match level {
        "error" | "warn" => {
            let Some(left_out) = SAID.again(facility, Instant::now()) else { return };
            if level == "error" {
                error!(facility, text, left_out, "Kafka client");
            } else {
                warn!(facility, text, left_out, "Kafka client");
            }
        }
        _ => debug!(facility, text, "Kafka client"),
    }
}

/// A broker, or the way to it, has failed; the client goes on trying.
pub fn broker_failed(problem: &str, reason: &str) {
    counter!("parser_kafka_broker_errors_total").increment(1);
    if let Some(left_out) = FAILED.again(problem, Instant::now()) {
        warn!(problem, reason, left_out, "Kafka is not as it should be");
    }
}

/// How many messages of a partition are not done.
pub fn lag(topic: &str, partition: i32, lag: i64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    gauge!("parser_kafka_lag", "topic" => topic.to_owned(), "partition" => partition.to_string()).set(lag as f64);
}

/// Where paused partitions end could not be asked; their lag stays what it was.
pub fn ends_unknown(reason: &str) {
    debug!(reason, "cannot ask where paused partitions end");
}

/// The broker does not know a topic; it is asked again.
pub fn topic_asked_again(topic: &str, reason: &str) {
    debug!(topic, reason, "asking for a topic again");
}

/// Partitions came.
pub fn partitions_assigned(count: usize) {
    counter!("parser_kafka_rebalances_total", "kind" => "assigned").increment(1);
    info!(count, "partitions assigned");
}

/// Partitions go.
pub fn partitions_revoked(count: usize, lost: bool) {
    counter!("parser_kafka_rebalances_total", "kind" => if lost { "lost" } else { "revoked" }).increment(1);
    info!(count, lost, "partitions revoked");
}

/// Offsets could not be committed; they are committed again, or the messages come again and change nothing.
pub fn commit_failed(reason: &str) {
    counter!("parser_kafka_commit_failures_total").increment(1);
    warn!(reason, "offsets could not be committed");
}

/// Messages were read.
pub fn consumed(count: usize) {
    counter!("parser_kafka_consumed_total").increment(count as u64);
}

/// So many messages are held, read and not done.
pub fn in_flight(count: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    let count = count as f64;
    gauge!("parser_kafka_in_flight").set(count);
    gauge!("kafka_consumer_executor_queue_size").set(count);
}

/// Where a message came from and which job it is; fields of every line about it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The job.
    pub job: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Messages were brought in together (files are not: how long they take is the duration of their job).
pub fn worked(count: usize, elapsed: Duration) {
    histogram!("parser_kafka_work_duration_seconds").record(elapsed.as_secs_f64());
    histogram!("kafka_processing_time_seconds").record(elapsed.as_secs_f64());
    debug!(count, elapsed_ms = millis(elapsed), "messages done");
}

/// A message is done. `kind`: `references`, `file`, `catalogue`, `unreadable`; `outcome`: `completed`, `failed`,
/// `duplicate`.
pub fn processed(about: About<'_>, kind: &'static str, outcome: &'static str, reason: Option<&str>) {
    counter!("parser_kafka_processed_total", "kind" => kind, "outcome" => outcome).increment(1);
    let About { job, topic, partition, offset } = about;
    if outcome == "failed" {
        counter!("parser_kafka_failures_total").increment(1);
        counter!("kafka_processing_errors_total").increment(1);
        warn!(job, topic, partition, offset, kind, outcome, reason, "message done");
    } else {
        debug!(job, topic, partition, offset, kind, outcome, "message done");
    }
}

/// A job has ended. `processed`: what of it is in; `since`: from its message's being sent, by its sender's clock.
pub fn job_ended(kind: &'static str, status: &'static str, processed: u64, since: Duration) {
    counter!("parser_kafka_jobs_total", "kind" => kind, "status" => status).increment(1);
    histogram!("parser_kafka_job_duration_seconds", "kind" => kind).record(since.as_secs_f64());
    if !NODES.contains(&kind) {
        return;
    }
    histogram!("node_import_total_duration_seconds").record(since.as_secs_f64());
    counter!("parser_kafka_nodes_total").increment(processed);
    counter!("node_import_processed_total").increment(processed);
    match status {
        "COMPLETED" => counter!("node_import_jobs_completed_total").increment(1),
        _ => counter!("node_import_jobs_failed_total").increment(1),
    }
}

/// Rows per second of a file, once it is in; until the next one with rows is.
pub fn file_rate(rows: u64, elapsed: Duration) {
    if rows == 0 {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    gauge!("parser_kafka_file_rows_per_second").set(rows as f64 / elapsed.as_secs_f64().max(0.001));
}

/// A message is tried again.
pub fn retried(about: About<'_>, tries: u32, delay: Duration, reason: &str) {
    counter!("parser_kafka_retries_total").increment(1);
    let About { job, topic, partition, offset } = about;
    warn!(job, topic, partition, offset, tries, delay_ms = millis(delay), reason, "a message is tried again");
}

/// So many messages were tried again together, or one of a file so often.
pub fn tried_again(count: usize, reason: &str) {
    counter!("parser_kafka_retries_total").increment(count as u64);
    if count > 0 {
        warn!(count, reason, "tries failed and are made again");
    }
}

/// A message is a dead letter. `stage`, as Kafka Connect says it: `VALUE_CONVERTER`, it cannot be read; `TASK_PUT`, it
/// cannot be done.
pub fn dead_lettered(about: About<'_>, stage: &'static str, code: &str, reason: &str) {
    counter!("parser_kafka_dead_letters_total", "stage" => stage).increment(1);
    counter!("kafka_dlq_messages_total").increment(1);
    let About { job, topic, partition, offset } = about;
    warn!(job, topic, partition, offset, stage, code, reason, "dead letter");
}

/// The store is away: nothing is lost, everything waits.
pub fn store_waited_for(reason: &str, delay: Duration) {
    gauge!("parser_kafka_waiting_for_store").set(1.0);
    counter!("parser_kafka_store_outages_total").increment(1);
    warn!(reason, delay_ms = millis(delay), "the store is away, waiting");
}

/// The store is back.
pub fn store_is_back() {
    gauge!("parser_kafka_waiting_for_store").set(0.0);
    info!("the store is back");
}

/// A message of ours is written. `kind`: `status`, `dead_letter`, `progress`.
pub fn produced(kind: &'static str, elapsed: Duration) {
    counter!("parser_kafka_produced_total", "kind" => kind).increment(1);
    histogram!("parser_kafka_produce_duration_seconds", "kind" => kind).record(elapsed.as_secs_f64());
    histogram!("kafka_send_duration_seconds").record(elapsed.as_secs_f64());
    if kind == "dead_letter" {
        histogram!("kafka_dlq_send_duration_seconds").record(elapsed.as_secs_f64());
    }
}

/// A message of ours could not be written; it is written later.
pub fn produce_failed(kind: &'static str, topic: &str, reason: &str) {
    counter!("parser_kafka_produce_failures_total", "kind" => kind).increment(1);
    counter!("kafka_send_failures_total").increment(1);
    if kind == "dead_letter" {
        counter!("kafka_dlq_send_failures_total").increment(1);
    }
    warn!(kind, topic, reason, "a message could not be published, trying again later");
}

/// A message will never be written, because the broker refuses it; it stays in the store.
pub fn produce_refused(kind: &'static str, job: &str, topic: &str, reason: &str) {
    counter!("parser_kafka_produce_refused_total", "kind" => kind).increment(1);
    counter!("kafka_send_failures_total").increment(1);
    if kind == "dead_letter" {
        counter!("kafka_dlq_send_failures_total").increment(1);
    }
    error!(kind, job, topic, reason, "the broker refuses a message");
}

/// What another process may have published before it ended was looked for. `found`: so many had been.
pub fn outbox_recovered(looked_for: usize, found: usize) {
    counter!("parser_kafka_outbox_recovered_total").increment(looked_for as u64);
    info!(looked_for, found, "took over messages that somebody else was publishing");
}

/// Letters in the store cannot be read, and will never be published.
pub fn outbox_unreadable(count: u64) {
    counter!("parser_kafka_outbox_unreadable_total").increment(count);
    error!(count, "letters in the outbox cannot be read and are left out; `refused` in message_outbox says which");
}

/// A topic was not there and is now.
pub fn topic_made(topic: &str) {
    info!(topic, "made a topic");
}

/// The outbox cannot be worked on; it is tried again.
pub fn outbox_failed(reason: &str) {
    counter!("parser_kafka_outbox_failures_total").increment(1);
    warn!(reason, "the outbox cannot be worked on at the moment");
}

/// What was done with dead letters that are no more is forgotten.
pub fn marks_forgotten(count: u64) {
    debug!(count, "forgot what was done with dead letters that are no more");
}

/// That could not be; whoever deals with letters next does it.
pub fn marks_kept(reason: &str) {
    debug!(reason, "cannot forget what was done with dead letters that are no more");
}

/// Kinds of jobs that make nodes.
const NODES: [&str; 2] = ["references", "file"];

/// Every counter, at 0: one that begins with its first event hides that event from whoever asks how much it grew.
fn begin_counters() {
    for name in [
        "parser_kafka_broker_errors_total",
        "parser_kafka_commit_failures_total",
        "parser_kafka_consumed_total",
        "parser_kafka_failures_total",
        "parser_kafka_nodes_total",
        "parser_kafka_outbox_failures_total",
        "parser_kafka_outbox_recovered_total",
        "parser_kafka_outbox_unreadable_total",
        "parser_kafka_retries_total",
        "parser_kafka_store_outages_total",
        "kafka_dlq_messages_total",
        "kafka_dlq_send_failures_total",
        "kafka_processing_errors_total",
        "kafka_send_failures_total",
        "node_import_jobs_completed_total",
        "node_import_jobs_failed_total",
        "node_import_processed_total",
    ] {
        counter!(name).increment(0);
    }
    for kind in ["references", "file", "catalogue", "unreadable"] {
        for status in ["COMPLETED", "FAILED"] {
            counter!("parser_kafka_jobs_total", "kind" => kind, "status" => status).increment(0);
        }
        for outcome in ["completed", "failed", "duplicate"] {
            counter!("parser_kafka_processed_total", "kind" => kind, "outcome" => outcome).increment(0);
        }
    }
    for stage in ["VALUE_CONVERTER", "TASK_PUT"] {
        counter!("parser_kafka_dead_letters_total", "stage" => stage).increment(0);
    }
    for kind in ["status", "dead_letter"] {
        counter!("parser_kafka_produced_total", "kind" => kind).increment(0);
        counter!("parser_kafka_produce_failures_total", "kind" => kind).increment(0);
        counter!("parser_kafka_produce_refused_total", "kind" => kind).increment(0);
    }
    for kind in ["assigned", "revoked", "lost"] {
        counter!("parser_kafka_rebalances_total", "kind" => kind).increment(0);
    }
    gauge!("parser_kafka_waiting_for_store").set(0.0);
}

/// Says what numbers mean where their names do not.
fn describe() {
    describe_histogram!(
        "parser_kafka_job_duration_seconds",
        "From a message's being sent, by its sender's clock, to its job's being ended."
    );
    describe_histogram!(
        "parser_kafka_work_duration_seconds",
        "Of small messages that were brought in together: from their beginning to their being in the store."
    );
    describe_gauge!("parser_kafka_file_rows_per_second", "Of the last file of which rows came in.");
    describe_gauge!("parser_kafka_lag", "Messages of a partition that are not done, told by the member that has it.");
    describe_counter!("parser_kafka_nodes_total", "Nodes of messages: of ids, and of rows of files.");
}

/// The consumer began.
pub fn consumer_started(group: &str, topics: &str) {
    describe();
    begin_counters();
    events::nodes_begin();
    info!(group, topics, "consuming");
}

/// The consumer ends: it finishes what it has begun.
pub fn consumer_stopping() {
    info!("stopping: finishing messages in flight");
}
