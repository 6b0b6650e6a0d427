//! A message that names a file: an import of it, and waiting for how that ends.
//!
//! The import is made under the job's id, so whoever gets the message again (this process after a crash, another one
//! after a rebalance) finds the same import and waits for it. The rows are brought in by the workers of bulk files, in
//! whichever process; nothing of an import is lost or done twice when the one that asked for it goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{self, Burial, POINTS};
use super::desk::{Desk, Ended, Stop, stopped};
use super::letters::Lists;
use super::patience::Verdict;
use super::request::{Planned, Refusal, Stage, Task, harmless};
use crate::backend::BackendError;
use crate::backend::imports::{ImportView, ImportsError, Told};
use crate::backend::nodes::{FileOf, enqueue};
use crate::model::messages::TransferStatus;
use crate::model::{ImportFormat, ImportId, ImportStatus, NodesOptions, RowCounts};
use crate::observe::kafka as events;
use crate::store::StoreError;
use crate::store::imports::{FailedRow, Patience};
use crate::store::messages::{self, Claim, JobEnd};
use crate::store::objects::ObjectUrl;
use crate::store::sql::{Session, SqlError};

/// How often it is asked how far an import is, if nobody says that there is news.
const LOOK: Duration = Duration::from_millis(300);

/// Why a file was not brought in.
enum Trouble {
    /// It was told to let go.
    Stopped,
    /// It never will be.
    Refused(String, String),
    /// It could not be read to its end; what of it is in stays in.
    Cut(String, Box<Part>),
    /// A transaction of the job collided with others; what of the file is in, if it was its last.
    Again(String, Option<Box<Part>>),
    /// The store is away.
    Away(StoreError),
    /// Somebody else has done it.
    Duplicate(String),
}

/// A file as far as it is in.
struct Part {
    rows: RowCounts,
    lists: Lists,
    /// How often it was tried.
    attempts: u32,
}

impl Part {
    fn partly(self) -> (u64, u64, Lists) {
        (self.rows.processed(), self.rows.total(), self.lists)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match super::patience::verdict(&error) {
            Verdict::Never => Self::Refused("refused".to_owned(), error.to_string()),
            // A collision is over as soon as it is tried again.
            Verdict::Away | Verdict::Again => Self::Away(error),
        }
    }
}

impl From<ImportsError> for Trouble {
    fn from(error: ImportsError) -> Self {
        match error {
            ImportsError::Backend(BackendError::Store(error)) => error.into(),
            ImportsError::Refused(refused) => Self::Refused("file_refused".to_owned(), refused.to_string()),
        }
    }
}

/// Imports the file of a message; `false`: it was told to stop before.
pub(super) async fn work(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> bool {
    // Of how it begins, and of how it ends.
    let mut tried = [1; 2];
    loop {
        let error = match import(desk, planned, stop).await {
            Ok(ended) => {
                desk.tell(vec![ended]).await;
                return true;
            }
            Err(Trouble::Stopped) => return false,
            Err(Trouble::Duplicate(id)) => {
                desk.tell(vec![Ended::duplicate(planned, id)]).await;
                return true;
            }
            Err(Trouble::Refused(code, message)) => {
                return desk.bury(planned, Burial::whole(refusal(planned, code, &message), 1), stop).await;
            }
            Err(Trouble::Cut(message, part)) => {
                let attempts = part.attempts;
                events::tried_again(retries(attempts), &message);
                let refusal = refusal(planned, "file_failed".to_owned(), &message);
                let burial = Burial { refusal, attempts, partly: part.partly() };
                return desk.bury(planned, burial, stop).await;
            }
            Err(Trouble::Again(reason, part)) => {
                let [begins, ends] = &mut tried;
                let tries = if part.is_some() { ends } else { begins };
                if *tries >= desk.tries() {
                    let refusal = refusal(planned, "conflict".to_owned(), &reason);
                    let partly = part.map_or_else(|| (0, 0, Lists::default()), |part| part.partly());
                    return desk.bury(planned, Burial { refusal, attempts: *tries, partly }, stop).await;
                }
                *tries += 1;
                if !desk.again(planned, *tries, &reason, stop).await {
                    return false;
                }
                continue;
            }
            Err(Trouble::Away(error)) => error,
        };
        if !desk.wait_for_store(error, stop).await {
            return false;
        }
    }
}

fn refusal(planned: &Planned, code: String, message: &str) -> Refusal {
    let (domain, group) = planned.names();
    let (domain, group) = (domain.map(str::to_owned), group.map(str::to_owned));
    Refusal { stage: Stage::Work, code, message: harmless(message), domain, group }
}

async fn import(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> Result<Ended, Trouble> {
    let begun = Instant::now();
    let (job, import) = begin(desk, planned, stop).await?;
    let (before, view) = wait(desk, planned, &job, import, stop).await?;
    // Another process may have brought in a part of it.
    events::file_rate(view.rows.unwrap_or_default().total().saturating_sub(before), begun.elapsed());
    let told = desk.imports.told(view.import.number, cap(desk)).await?;
    end(desk, planned, job, &view, told, stop).await
}

fn retries(attempts: u32) -> usize {
    usize::try_from(attempts.saturating_sub(1)).unwrap_or(0)
}

/// Entries of a list at most.
fn cap(desk: &Desk) -> u32 {
    u32::try_from(desk.post.cap()).unwrap_or(u32::MAX)
}

/// Begins the job and makes its import in one transaction, or finds both.
async fn begin(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> Result<(String, ImportId), Trouble> {
    let Task::File { path, .. } = &planned.task else { return Err(Trouble::Stopped) };
    let place = |error: &dyn std::fmt::Display| Trouble::Refused("file_refused".to_owned(), error.to_string());
    let url = ObjectUrl::parse(path).map_err(|error| place(&error))?;
    desk.sources.check(&url).map_err(|error| place(&error))?;
    let piece_rows = desk.imports.piece_rows();
    let first_wait = u64::try_from(desk.settings.backoff.as_millis()).unwrap_or(u64::MAX);
    let patience = Some(Patience { tries: desk.tries(), first_wait });
    let begun = desk.write(POINTS, stop, || {
        let (one, terms) = (Arc::clone(planned), desk.terms());
        move |session: &Session<'_>| {
            let Task::File { domain, group, path } = &one.task else { return Ok(Begun::Done(String::new())) };
            if let Some(refusal) = batch::known(session, &terms, (domain, group.as_deref()), &mut batch::Seen::new())? {
                return Ok(Begun::Refused(refusal));
            }
            let job = batch::new_job(&one, None);
            let claim = messages::claim(session, std::slice::from_ref(&job), terms.sameness, terms.now)?;
            let job = match claim.into_iter().next() {
                Some(Claim::Done(id)) => return Ok(Begun::Done(id)),
                Some(Claim::Begun(id)) => id,
                Some(Claim::New) | None => job.id,
            };
            let (domain, group) = (domain.clone(), group.clone());
            let options = NodesOptions { domain, group, refs: false, known_groups: !terms.make_groups };
            let file = FileOf {
                request: batch::asked(&one, &job, Some(format!("message {job}"))),
                format: ImportFormat::Nodes,
                options: serde_json::to_string(&options).map_err(|error| SqlError::Refused(error.to_string()))?,
                url: path.clone(),
                piece_rows,
                patience,
                // All of them: the status message has the first ones, and says where all are.
                tells: u32::MAX,
            };
            let import = enqueue(session, &file, terms.now)?.import;
            Ok(Begun::Ours(job, import))
        }
    });
    match begun.await.map_err(gone)? {
        Begun::Ours(job, import) => {
            desk.imports.wake_bulk();
            Ok((job, import))
        }
        Begun::Refused(refusal) => Err(Trouble::Refused(refusal.code, refusal.message)),
        Begun::Done(id) => Err(Trouble::Duplicate(id)),
    }
}

/// How a job begins.
enum Begun {
    Ours(String, ImportId),
    Refused(Refusal),
    Done(String),
}

fn gone((verdict, reason): (Verdict, String)) -> Trouble {
    match verdict {
        Verdict::Away => Trouble::Stopped,
        Verdict::Again => Trouble::Again(reason, None),
        Verdict::Never => Trouble::Refused("refused".to_owned(), reason),
    }
}

/// Waits until an import has ended; how many rows it had at first, and how it ended.
async fn wait(
    desk: &Desk,
    planned: &Planned,
    job: &str,
    import: ImportId,
    stop: &Stop,
) -> Result<(u64, ImportView), Trouble> {
    let mut news = desk.imports.news();
    let mut told = Instant::now();
    let mut before = None;
    loop {
        let view = desk.imports.get(import).await?;
        let before = *before.get_or_insert_with(|| view.rows.unwrap_or_default().total());
        if view.import.status.is_final() {
            return Ok((before, view));
        }
        if desk.settings.progress.is_some_and(|often| told.elapsed() >= often) {
            told = Instant::now();
            progress(desk, planned, job, import, view.rows.unwrap_or_default()).await;
        }
        tokio::select! {
            () = stopped(stop) => return Err(Trouble::Stopped),
            () = tokio::time::sleep(LOOK) => {}
            Ok(()) = news.changed() => {
                // News come often while rows are coming in.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Progress may be lost or come twice; the end may not.
async fn progress(desk: &Desk, planned: &Planned, job: &str, import: ImportId, rows: RowCounts) {
    let end =
        JobEnd { status: TransferStatus::Processing, total: rows.total(), processed: rows.processed(), reason: None };
    let letter = desk.post.status(planned, job, &end, Lists { import: Some(import.to_string()), ..Lists::default() });
    let outgoing = super::outbox::outgoing(&letter);
    let failed = |error: &dyn std::fmt::Display| {
        events::produce_failed("progress", &outgoing.topic, &error.to_string());
    };
    match desk.producer.send(&outgoing).await {
        Ok(delivery) => {
            let topic = outgoing.topic.clone();
            // Nobody waits for it, but it is to be seen.
            tokio::spawn(async move {
                if let Err(error) = delivery.await {
                    events::produce_failed("progress", &topic, &error.to_string());
                }
            });
        }
        Err(error) => failed(&error),
    }
}

/// Ends the job as the import has ended, and says so.
async fn end(
    desk: &Desk,
    planned: &Arc<Planned>,
    job: String,
    view: &ImportView,
    told: Told,
    stop: &Stop,
) -> Result<Ended, Trouble> {
    let rows = view.rows.unwrap_or_default();
    let complete = view.import.status == ImportStatus::Completed;
    let reason = view.import.reason.clone().unwrap_or_else(|| match view.import.status {
        ImportStatus::Cancelled => "somebody cancelled the import".to_owned(),
        _ => format!("{} of {} rows are not in", rows.failed, rows.total()),
    });
    let row = |row: FailedRow| row.external_id.unwrap_or_else(|| format!("line {}", row.line));
    let lists = Lists {
        success: told.done,
        failed: told.failed.into_iter().map(row).collect(),
        replaced: rows.duplicates,
        import: Some(view.import.import.id.clone()),
    };
    // Some bad rows are told of; everything else has to be done again: the file is not there, is no file of nodes, could
    // not be read to its end, or has no good row.
    if !complete && (!told.whole || rows.processed() == 0) {
        return Err(Trouble::Cut(reason, Box::new(Part { rows, lists, attempts: told.attempts.max(1) })));
    }
    events::tried_again(retries(told.attempts), "the file could not be read");
    let end = JobEnd {
        status: if complete { TransferStatus::Completed } else { TransferStatus::Failed },
        total: rows.total(),
        processed: rows.processed(),
        reason: (!complete).then(|| harmless(&reason)),
    };
    let letter = desk.post.status(planned, &job, &end, lists.clone());
    let ours = desk.write(POINTS, stop, || {
        let (id, end, letter, terms) = (job.clone(), end.clone(), letter.clone(), desk.terms());
        move |session: &Session<'_>| -> Result<Option<(messages::Letter, messages::Owner)>, SqlError> {
            if !messages::finish(session, &id, &end, terms.now)? {
                return Ok(None);
            }
            messages::put(session, std::slice::from_ref(&letter), &terms.owner, terms.now)?;
            Ok(Some((letter, terms.owner)))
        }
    });
    let ours = ours.await.map_err(|failed| match gone(failed) {
        Trouble::Again(reason, _) => {
            Trouble::Again(reason, Some(Box::new(Part { rows, lists, attempts: told.attempts.max(1) })))
        }
        other => other,
    })?;
    match ours {
        Some((letter, owner)) => Ok(Ended::new(planned, job, end, None, vec![letter], owner)),
        None => Err(Trouble::Duplicate(job)),
    }
}
