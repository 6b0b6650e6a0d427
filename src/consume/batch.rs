//! Many messages in one transaction: their jobs, their nodes and records, and what is told about them.
//!
//! What fails as a whole is done one by one, so that a message that can never be done (a poison) costs its neighbours a
//! transaction each and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::desk::{Desk, Ended, Gone, Stop};
use super::letters::Lists;
use super::patience::Verdict;
use super::request::{Planned, Refusal, Stage, Task, harmless, is_reference};
use crate::backend::importer::{self, Context, Processed};
use crate::backend::nodes::{References, Request, import_references};
use crate::model::Collision;
use crate::model::messages::TransferStatus;
use crate::observe::kafka as events;
use crate::store::messages::{self, Claim, JobEnd, JobKind, Letter, NewJob};
use crate::store::nodes::has_group;
use crate::store::sql::{Session, SqlError};
use crate::store::sqlite::CrashPoints;

pub(super) const POINTS: CrashPoints =
    CrashPoints { before: "messages.batch.before_commit", after: "messages.batch.after_commit" };

/// Does messages; those that are not files. Gives how many of them, from the first on, are done: fewer than all only
/// if it was told to stop.
pub(super) async fn work(desk: &Desk, planned: Vec<Arc<Planned>>, stop: &Stop) -> usize {
    let begun = Instant::now();
    // Tries that have failed and may succeed another time.
    let mut failed = 0;
    if planned.len() > 1 {
        let together: Arc<[Arc<Planned>]> = planned.clone().into();
        loop {
            match attempt(desk, &together, stop).await {
                Ok(ended) => {
                    desk.tell(ended).await;
                    events::worked(planned.len(), begun.elapsed());
                    return planned.len();
                }
                Err(Gone::Stopped) => return 0,
                Err(Gone::Again(reason)) => {
                    failed += 1;
                    events::tried_again(planned.len(), &reason);
                    if !desk.pause(failed + 1, stop).await {
                        return 0;
                    }
                    // The last try is each one's own: it is nobody's fault but one's.
                    if failed + 1 >= desk.tries() {
                        break;
                    }
                }
                Err(Gone::Never(_)) => break,
            }
        }
    }
    for (index, one) in planned.iter().enumerate() {
        if !alone(desk, one, failed, stop).await {
            return index;
        }
    }
    events::worked(planned.len(), begun.elapsed());
    planned.len()
}

/// Does one message, which failed so often with others, or makes a dead letter of it; `false`: it was told to stop
/// before.
async fn alone(desk: &Desk, planned: &Arc<Planned>, failed: u32, stop: &Stop) -> bool {
    let one: Arc<[Arc<Planned>]> = Arc::from([Arc::clone(planned)]);
    let mut tries = (failed + 1).min(desk.tries());
    loop {
        let reason = match attempt(desk, &one, stop).await {
            Ok(ended) => {
                desk.tell(ended).await;
                return true;
            }
            Err(Gone::Stopped) => return false,
            Err(Gone::Again(reason)) if tries < desk.tries() => {
                tries += 1;
                if !desk.again(planned, tries, &reason, stop).await {
                    return false;
                }
                continue;
            }
            Err(Gone::Again(reason)) => ("conflict", reason),
            Err(Gone::Never(reason)) => ("refused", reason),
        };
        let (domain, group) = planned.names();
        let refusal = Refusal {
            stage: Stage::Work,
            code: reason.0.to_owned(),
            message: harmless(&reason.1),
            domain: domain.map(str::to_owned),
            group: group.map(str::to_owned),
        };
        return desk.bury(planned, Burial::whole(refusal, tries), stop).await;
    }
}

async fn attempt(desk: &Desk, planned: &Arc<[Arc<Planned>]>, stop: &Stop) -> Result<Vec<Ended>, Gone> {
    desk.write(POINTS, stop, || {
        let (planned, terms) = (Arc::clone(planned), desk.terms());
        move |session: &Session<'_>| bring_in(session, &planned, &terms)
    })
    .await
    .map_err(|(verdict, reason)| match verdict {
        Verdict::Away => Gone::Stopped,
        Verdict::Again => Gone::Again(reason),
        Verdict::Never => Gone::Never(reason),
    })
}

/// What a transaction has to know.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) make_groups: bool,
    pub(super) sameness: messages::Sameness,
    pub(super) post: super::letters::Post,
    pub(super) owner: messages::Owner,
    pub(super) now: i64,
}

/// All of it, in the caller's transaction.
fn bring_in(session: &Session<'_>, planned: &[Arc<Planned>], terms: &Terms) -> Result<Vec<Ended>, SqlError> {
    let mut seen = Seen::new();
    let refusals: Vec<Option<Refusal>> =
        planned.iter().map(|one| refusal(session, one, terms, &mut seen)).collect::<Result<_, _>>()?;
    let jobs: Vec<NewJob> =
        planned.iter().zip(&refusals).map(|(one, refusal)| new_job(one, refusal.as_ref())).collect();
    let claims = messages::claim(session, &jobs, terms.sameness, terms.now)?;
    let mut imports = references(session, planned, &jobs, &claims, &refusals, terms)?;
    let (mut ended, mut letters) = (Vec::with_capacity(planned.len()), Vec::new());
    for (((one, claim), refusal), job) in planned.iter().zip(claims).zip(refusals).zip(jobs) {
        let import = imports.remove(&job.id);
        let id = match claim {
            Claim::Done(id) => {
                ended.push(Ended::duplicate(one, id));
                continue;
            }
            Claim::New => job.id,
            Claim::Begun(id) => id,
        };
        let (end, refusal) = match &one.task {
            Task::Record(record) if refusal.is_none() => {
                let (end, refusal) = catalogue(session, record, terms.now)?;
                if !messages::finish(session, &id, &end, terms.now)? {
                    // The same message came twice in one go.
                    ended.push(Ended::duplicate(one, id));
                    continue;
                }
                (end, refusal)
            }
            _ => (job.end, refusal),
        };
        let mut written = vec![terms.post.status(one, &id, &end, lists(one, &end, import))];
        if let Some(refusal) = &refusal {
            written.push(terms.post.dead(&one.message, &id, refusal, 1, terms.now));
        }
        letters.extend(written.iter().cloned());
        ended.push(Ended::new(one, id, end, refusal, written, terms.owner.clone()));
    }
    messages::put(session, &letters, &terms.owner, terms.now)?;
    Ok(ended)
}

/// Makes the nodes of messages that are ours; the import of each, by the job's id.
fn references(
    session: &Session<'_>,
    planned: &[Arc<Planned>],
    begun: &[NewJob],
    claims: &[Claim],
    refusals: &[Option<Refusal>],
    terms: &Terms,
) -> Result<HashMap<String, String>, SqlError> {
    let (mut jobs, mut requests) = (Vec::new(), Vec::new());
    for (((one, job), claim), refusal) in planned.iter().zip(begun).zip(claims).zip(refusals) {
        if let (Task::References { domain, group, ids }, Claim::New, None) = (&one.task, claim, refusal) {
            jobs.push(job.id.clone());
            requests.push(References {
                request: asked(one, &job.id, None),
                domain: domain.clone(),
                group: group.clone(),
                ids: ids.clone(),
                tells_above: Some(terms.post.cap()),
            });
        }
    }
    let made = import_references(session, &requests, terms.now)?;
    Ok(jobs.into_iter().zip(made.into_iter().map(|made| made.import.to_string())).collect())
}

/// A message as whoever makes imports sees it.
pub(super) fn asked(planned: &Planned, job: &str, key: Option<String>) -> Request {
    let position = &planned.message.position;
    Request {
        id: job.to_owned(),
        key,
        source: position.partition.topic.clone(),
        processor: format!("parser/{}", env!("CARGO_PKG_VERSION")),
        notes: Some(format!("message {}/{}, job {job}", position.partition, position.offset)),
    }
}

/// Groups that were looked for in a transaction, domain first: are they there?
pub(super) type Seen = HashMap<(String, String), bool>;

/// Why a message will never be done, as far as can be told before it is tried.
fn refusal(
    session: &Session<'_>,
    planned: &Planned,
    terms: &Terms,
    seen: &mut Seen,
) -> Result<Option<Refusal>, SqlError> {
    match &planned.task {
        Task::Nothing(refusal) => Ok(Some(refusal.clone())),
        Task::References { domain, group, ids } if !ids.iter().any(|id| is_reference(id)) => {
            Ok(Some(refuse("no_reference", "none of its ids can be a reference id".to_owned(), domain, Some(group))))
        }
        Task::References { domain, group, .. } => known(session, terms, (domain, Some(group)), seen),
        Task::File { .. } | Task::Record(_) => Ok(None),
    }
}

/// Is the group one that messages may name?
pub(super) fn known(
    session: &Session<'_>,
    terms: &Terms,
    (domain, group): (&str, Option<&str>),
    seen: &mut Seen,
) -> Result<Option<Refusal>, SqlError> {
    let Some(name) = group.filter(|_| !terms.make_groups) else { return Ok(None) };
    let key = (domain.to_owned(), name.to_owned());
    let there = match seen.get(&key) {
        Some(there) => *there,
        None => *seen.entry(key).or_insert(has_group(session, domain, name)?),
    };
    let message = || format!("there is no group `{name}` in `{domain}` (`parser groups add` makes it)");
    Ok((!there).then(|| refuse("unknown_group", message(), domain, group)))
}

fn refuse(code: &str, message: String, domain: &str, group: Option<&str>) -> Refusal {
    let (domain, group) = (Some(domain.to_owned()), group.map(str::to_owned));
    Refusal { stage: Stage::Work, code: code.to_owned(), message, domain, group }
}

/// A job as it begins, or ends at once where nothing can come between.
pub(super) fn new_job(planned: &Planned, refusal: Option<&Refusal>) -> NewJob {
    let end = match (&planned.task, refusal) {
        (_, Some(refusal)) => failed(refusal, 0),
        (Task::References { ids, .. }, None) => {
            let processed = ids.iter().filter(|id| is_reference(id)).count() as u64;
            let failed = ids.len() as u64 - processed;
            let whole = failed == 0;
            JobEnd {
                status: if whole { TransferStatus::Completed } else { TransferStatus::Failed },
                total: processed + failed,
                processed,
                reason: (!whole).then(|| format!("{failed} of the ids cannot be reference ids")),
            }
        }
        (_, None) => JobEnd::begun(),
    };
    let (domain, group) = planned.names();
    let position = &planned.message.position;
    NewJob {
        // Of this try alone: had an earlier one been committed without an answer, its job would be another one's.
        id: Uuid::now_v7().to_string(),
        mark: planned.mark.clone(),
        content: planned.content.clone(),
        topic: position.partition.topic.clone(),
        partition: position.partition.number,
        offset: position.offset,
        kind: planned.kind(),
        domain: domain.map(str::to_owned),
        group: group.map(str::to_owned),
        end,
        sent_at: planned.sent_at,
    }
}

/// How a job ends that is refused.
pub(super) fn failed(refusal: &Refusal, total: u64) -> JobEnd {
    JobEnd {
        status: TransferStatus::Failed,
        total,
        processed: 0,
        reason: Some(harmless(&format!("{}: {}", refusal.code, refusal.message))),
    }
}

fn catalogue(
    session: &Session<'_>,
    record: &importer::Record,
    now: i64,
) -> Result<(JobEnd, Option<Refusal>), SqlError> {
    let context = Context { collision: Collision::Upsert, import: None, now };
    Ok(match importer::import_record(session, record, &context)? {
        Processed::Refused { code, message } => {
            let refusal = Refusal { stage: Stage::Work, code: code.to_owned(), message, domain: None, group: None };
            (failed(&refusal, 1), Some(refusal))
        }
        // What waits for its other end is kept and completes by itself.
        Processed::Written { .. } | Processed::Unchanged | Processed::Waiting { .. } => {
            (JobEnd { status: TransferStatus::Completed, total: 1, processed: 1, reason: None }, None)
        }
    })
}

fn lists(planned: &Planned, end: &JobEnd, import: Option<String>) -> Lists {
    let (mut success, mut failed) = (Vec::new(), Vec::new());
    match &planned.task {
        Task::References { ids, .. } if end.processed > 0 => {
            for id in ids {
                if is_reference(id) { success.push(id.trim().to_owned()) } else { failed.push(harmless(id)) }
            }
        }
        Task::Record(record) => {
            if end.processed > 0 { &mut success } else { &mut failed }.push(record.external_id.clone());
        }
        _ => {}
    }
    Lists { success, failed, import, replaced: 0 }
}

/// A message that is given up.
#[derive(Debug, Clone)]
pub(super) struct Burial {
    pub(super) refusal: Refusal,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// What of it is in all the same: how much, of how much, and what is listed of it.
    pub(super) partly: (u64, u64, Lists),
}

impl Burial {
    /// Nothing of it is in.
    pub(super) fn whole(refusal: Refusal, attempts: u32) -> Self {
        Self { refusal, attempts, partly: (0, 0, Lists::default()) }
    }
}

/// Ends a job as failed and keeps its message as a dead letter, in the caller's transaction.
pub(super) fn bury(
    session: &Session<'_>,
    planned: &Planned,
    burial: &Burial,
    terms: &Terms,
) -> Result<Ended, SqlError> {
    let Burial { refusal, attempts, partly: (processed, total, lists) } = burial;
    let job =
        NewJob { end: JobEnd { processed: *processed, ..failed(refusal, *total) }, ..new_job(planned, Some(refusal)) };
    let claim = messages::claim(session, std::slice::from_ref(&job), terms.sameness, terms.now)?;
    let id = match claim.into_iter().next() {
        Some(Claim::Done(id)) => return Ok(Ended::duplicate(planned, id)),
        Some(Claim::Begun(id)) => {
            if !messages::finish(session, &id, &job.end, terms.now)? {
                return Ok(Ended::duplicate(planned, id));
            }
            id
        }
        Some(Claim::New) | None => job.id,
    };
    let letters: Vec<Letter> = vec![
        terms.post.status(planned, &id, &job.end, lists.clone()),
        terms.post.dead(&planned.message, &id, refusal, *attempts, terms.now),
    ];
    messages::put(session, &letters, &terms.owner, terms.now)?;
    Ok(Ended::new(planned, id, job.end, Some(refusal.clone()), letters, terms.owner.clone()))
}

/// May it go into a transaction with others?
pub(super) fn is_small(planned: &Planned) -> bool {
    planned.kind() != JobKind::File
}
