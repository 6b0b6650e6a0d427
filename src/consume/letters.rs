//! What is told: how a job ended, and messages that could not be worked on. Pure.

use crate::broker::{Header, Message};
use crate::config::KafkaSettings;
use crate::model::messages::{NodesTransferJobExchange, WholeLists};
use crate::store::messages::{JobEnd, Letter, LetterKind};

use super::request::{Planned, Refusal};

pub use crate::backend::dead_letters::JOB_ID;

/// Names of the context headers of a dead letter. Those that Kafka Connect has, under its names.
pub mod context {
    /// Topic the message came from.
    pub const TOPIC: &str = "__connect.errors.topic";
    /// Its partition.
    pub const PARTITION: &str = "__connect.errors.partition";
    /// Its offset.
    pub const OFFSET: &str = "__connect.errors.offset";
    /// Whose work it was: the consumer group.
    pub const CONNECTOR: &str = "__connect.errors.connector.name";
    /// Which of its tasks: there is one.
    pub const TASK: &str = "__connect.errors.task.id";
    /// Where it failed.
    pub const STAGE: &str = "__connect.errors.stage";
    /// What was working.
    pub const CLASS: &str = "__connect.errors.class.name";
    /// The error's name.
    pub const EXCEPTION: &str = "__connect.errors.exception.class.name";
    /// What it says.
    pub const MESSAGE: &str = "__connect.errors.exception.message";
    pub use crate::backend::dead_letters::{ATTEMPTS, TIME};
}

/// What letters are made from.
#[derive(Debug, Clone)]
pub(super) struct Post {
    group: String,
    dead_letters: String,
    status_suffix: String,
    cap: usize,
    link: Option<String>,
}

/// The lists of a status message.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    pub(super) success: Vec<String>,
    pub(super) failed: Vec<String>,
    /// What gave way to another of the same id: it counts as done and is in no list.
    pub(super) replaced: u64,
    /// The import that has all of it.
    pub(super) import: Option<String>,
}

impl Post {
    pub(super) fn new(settings: &KafkaSettings) -> Self {
        Self {
            group: settings.group.clone(),
            dead_letters: settings.dead_letters.clone(),
            status_suffix: settings.status_suffix.clone(),
            cap: settings.list_cap,
            link: settings.link.clone(),
        }
    }

    /// Entries of a list at most.
    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    /// Tells how a job ended, or how far it is.
    pub(super) fn status(&self, planned: &Planned, job: &str, end: &JobEnd, mut lists: Lists) -> Letter {
        let (domain, group) = planned.names();
        lists.success.truncate(self.cap);
        lists.failed.truncate(self.cap);
        let success_cut = lists.success.len() as u64 + lists.replaced != end.processed;
        let failed_cut = lists.failed.len() as u64 != end.total.saturating_sub(end.processed);
        let truncated = success_cut || failed_cut;
        let link = self.link.as_deref().unwrap_or_default();
        let more = lists.import.as_ref().map(|import| WholeLists {
            success_list: success_cut.then(|| format!("{link}/api/v1/imports/{import}/references")),
            failed_list: failed_cut.then(|| format!("{link}/api/v1/imports/{import}/results?status=failed")),
        });
        let exchange = NodesTransferJobExchange {
            job_id: job.to_owned(),
            import_id: lists.import,
            group_id: group.map(str::to_owned),
            domain_id: domain.map(str::to_owned),
            status: end.status,
            processed: end.processed,
            total: end.total,
            success_list: lists.success,
            failed_list: lists.failed,
            truncated,
            more: more.filter(|_| truncated),
            reason: end.reason.clone(),
        };
        // Of a request that does not say whose it is, the reply goes where its own key leads.
        let key = match (domain, group) {
            (Some(domain), Some(group)) => Some(format!("{domain}-{group}").into_bytes()),
            (Some(domain), None) => Some(format!("{domain}-").into_bytes()),
            _ => planned.message.key.clone(),
        };
        Letter {
            job: job.to_owned(),
            kind: LetterKind::Status,
            topic: format!("{}{}", planned.message.position.partition.topic, self.status_suffix),
            key,
            // A message of texts and numbers is always JSON.
            value: serde_json::to_vec(&exchange).ok(),
            headers: vec![text(JOB_ID, job), text("content-type", "application/json")],
            sent_at: None,
        }
    }

    /// The message as it was, with what was wrong.
    pub(super) fn dead(&self, message: &Message, job: &str, refusal: &Refusal, attempts: u32, now: i64) -> Letter {
        let position = &message.position;
        let mut headers: Vec<Header> = message.headers.clone();
        let time = jiff::Timestamp::from_millisecond(now).map(|at| at.to_string()).unwrap_or_default();
        headers.extend([
            text(context::TOPIC, &position.partition.topic),
            text(context::PARTITION, &position.partition.number.to_string()),
            text(context::OFFSET, &position.offset.to_string()),
            text(context::CONNECTOR, &self.group),
            text(context::TASK, "0"),
            text(context::STAGE, refusal.stage.as_str()),
            text(context::CLASS, "parser::consume"),
            text(context::EXCEPTION, &refusal.code),
            text(context::MESSAGE, &refusal.message),
            text(context::ATTEMPTS, &attempts.to_string()),
            text(context::TIME, &time),
            text(JOB_ID, job),
        ]);
        Letter {
            job: job.to_owned(),
            kind: LetterKind::DeadLetter,
            topic: self.dead_letters.clone(),
            key: message.key.clone(),
            value: message.value.clone(),
            headers,
            sent_at: message.sent_at,
        }
    }
}

fn text(name: &str, value: &str) -> Header {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}
