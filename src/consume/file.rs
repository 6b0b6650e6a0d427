//! A message that names a file: an import of it, and waiting for how that ends.
//!
//! The import is made under the job's id, so whoever gets the message again (this process after a crash, another one
//! after a rebalance) finds the same import and waits for it. The rows are brought in by the workers of bulk files, in
//! whichever process; nothing of an import is lost or done twice when the one that asked for it goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{self, POINTS};
use super::desk::{Desk, Ended, Stop, now, stopped};
use super::letters::Lists;
use super::patience::Verdict;
use super::request::{Planned, Refusal, Stage, Task, harmless};
use crate::backend::BackendError;
use crate::backend::imports::{Create, ImportView, Imports, ImportsError};
use crate::model::messages::TransferStatus;
use crate::model::{Collision, ImportFormat, ImportId, ImportStatus, NodesOptions, RowCounts};
use crate::observe::kafka as events;
use crate::store::imports::{self, BatchPage, Process};
use crate::store::messages::{self, Claim, JobEnd};
use crate::store::sql::{Session, SqlError};
use crate::store::{StoreError, imports::FailedRow};

/// How often it is asked how far an import is, if nobody says that there is news.
const LOOK: Duration = Duration::from_millis(300);

/// Why a file was not brought in.
enum Trouble {
    /// It was told to let go.
    Stopped,
    /// It never will be.
    Refused(String, String),
    /// The store is away.
    Away(StoreError),
    /// Somebody else has done it.
    Duplicate(String),
}

impl From<ImportsError> for Trouble {
    fn from(error: ImportsError) -> Self {
        match error {
            ImportsError::Backend(BackendError::Store(error)) => match super::patience::verdict(&error) {
                Verdict::Never => Self::Refused("refused".to_owned(), error.to_string()),
                // A collision is over as soon as it is tried again.
                Verdict::Away | Verdict::Again => Self::Away(error),
            },
            ImportsError::Refused(refused) => Self::Refused("file_refused".to_owned(), refused.to_string()),
        }
    }
}

/// Imports the file of a message; `false`: it was told to stop before.
pub(super) async fn work(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> bool {
    let mut outage = 0;
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
                let (domain, group) = planned.names();
                let (domain, group) = (domain.map(str::to_owned), group.map(str::to_owned));
                let refusal = Refusal { stage: Stage::Work, code, message: harmless(&message), domain, group };
                return desk.bury(planned, refusal, 1, stop).await;
            }
            Err(Trouble::Away(error)) => error,
        };
        outage += 1;
        if !desk.sit_out(outage, &error, stop).await {
            return false;
        }
    }
}

async fn import(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> Result<Ended, Trouble> {
    let Task::File { domain, group, path } = &planned.task else { return Err(Trouble::Stopped) };
    let begun = Instant::now();
    let job = begin(desk, planned, stop).await?;
    let import = start(&desk.imports, &job, domain, group.as_deref(), path).await?;
    let view = wait(desk, planned, &job, import, stop).await?;
    let rows = view.rows.unwrap_or_default();
    events::file_rate(rows.total(), begun.elapsed());
    let failed = failures(desk, view.import.number).await.map_err(Trouble::Away)?;
    end(desk, planned, job, import, (&view, rows), failed, stop).await
}

/// The job's id: a new one, or that under which it was begun before.
async fn begin(desk: &Desk, planned: &Arc<Planned>, stop: &Stop) -> Result<String, Trouble> {
    let (one, terms) = (Arc::clone(planned), desk.terms());
    let begun = desk.write(POINTS, stop, move || {
        let (one, terms) = (Arc::clone(&one), terms.clone());
        move |session: &Session<'_>| {
            let (domain, group) = one.names();
            if let Some(refusal) = batch::known(session, &terms, domain.unwrap_or_default(), group)? {
                return Ok(Err(refusal));
            }
            let job = batch::new_job(&one, None);
            let claims = messages::claim(session, std::slice::from_ref(&job), terms.window, terms.now)?;
            Ok(Ok(claims.into_iter().next().unwrap_or(Claim::New)))
        }
    });
    match begun.await.map_err(gone)? {
        Err(refusal) => Err(Trouble::Refused(refusal.code, refusal.message)),
        Ok(Claim::New) => Ok(planned.job.clone()),
        Ok(Claim::Begun(id)) => Ok(id),
        Ok(Claim::Done(id)) => Err(Trouble::Duplicate(id)),
    }
}

fn gone((verdict, reason): (Verdict, String)) -> Trouble {
    match verdict {
        Verdict::Away => Trouble::Stopped,
        Verdict::Again | Verdict::Never => Trouble::Refused("refused".to_owned(), reason),
    }
}

/// Makes the import and its only batch, or finds them.
async fn start(
    imports: &Imports,
    job: &str,
    domain: &str,
    group: Option<&str>,
    path: &str,
) -> Result<ImportId, Trouble> {
    let options = NodesOptions { domain: domain.to_owned(), group: group.map(str::to_owned), refs: false };
    let create = Create {
        source: domain.to_owned(),
        processor: "parser consume".to_owned(),
        expected_count: None,
        notes: Some(format!("message job {job}")),
        collision: Collision::Upsert,
        process: Process::Now,
        format: ImportFormat::Nodes,
        options: serde_json::to_string(&options).ok(),
    };
    let created = imports.create(create, Some(format!("message {job}"))).await?;
    let id = &created.import.import.id;
    let import: ImportId =
        id.parse().map_err(|_| Trouble::Refused("unreadable".to_owned(), format!("`{id}` is no import's id")))?;
    if created.import.finalised_at.is_none() {
        match imports.receive_url(import, Some("file".to_owned()), path.to_owned()).await {
            Ok(_) => {}
            Err(error) => {
                // Nothing will ever come: without an end it would stay open. What matters is said by the error.
                let _ = imports.cancel(import).await;
                return Err(error.into());
            }
        }
        imports.finalise(import).await?;
    }
    Ok(import)
}

async fn wait(desk: &Desk, planned: &Planned, job: &str, import: ImportId, stop: &Stop) -> Result<ImportView, Trouble> {
    let mut news = desk.imports.news();
    let mut told = Instant::now();
    loop {
        let view = desk.imports.get(import).await?;
        if view.import.status.is_final() {
            return Ok(view);
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
    let end = JobEnd {
        status: TransferStatus::Processing,
        total: rows.total(),
        processed: rows.processed(),
        reason: None,
        failed_ids: None,
    };
    let letter = desk.post.status(planned, job, &end, Lists { rest: rest(import), ..Lists::default() });
    let outgoing = super::outbox::outgoing(&letter);
    if let Err(error) = desk.producer.send(&outgoing).await {
        events::produce_failed("progress", &outgoing.topic, &error.to_string());
    }
}

fn rest(import: ImportId) -> String {
    format!("/api/v1/imports/{import}/results?status=failed")
}

/// Rows that are not in, as many as are told.
async fn failures(desk: &Desk, import: imports::Number) -> Result<Vec<FailedRow>, StoreError> {
    let cap = u32::try_from(desk.post.cap()).unwrap_or(u32::MAX);
    let read = desk.store.read(move |session| {
        let page = BatchPage { status: None, after: 0, limit: 1 };
        match imports::batches(session, import, page)?.first() {
            Some(batch) if cap > 0 => imports::failed_rows(session, batch.number, 0, cap),
            _ => Ok(Vec::new()),
        }
    });
    read.await
}

/// Ends the job as the import has ended, and says so.
async fn end(
    desk: &Desk,
    planned: &Arc<Planned>,
    job: String,
    import: ImportId,
    (view, rows): (&ImportView, RowCounts),
    failed: Vec<FailedRow>,
    stop: &Stop,
) -> Result<Ended, Trouble> {
    let complete = view.import.status == ImportStatus::Completed;
    let reason = view.import.reason.clone().unwrap_or_else(|| match view.import.status {
        ImportStatus::Cancelled => "somebody cancelled the import".to_owned(),
        _ => format!("{} of {} rows are not in", rows.failed, rows.total()),
    });
    if !complete && rows.processed() == 0 {
        // Nothing of it is in: the file is not there, is no file of nodes, or has no good row.
        return Err(Trouble::Refused("file_failed".to_owned(), reason));
    }
    let ids: Vec<String> =
        failed.iter().map(|row| row.external_id.clone().unwrap_or_else(|| format!("line {}", row.line))).collect();
    let end = JobEnd {
        status: if complete { TransferStatus::Completed } else { TransferStatus::Failed },
        total: rows.total(),
        processed: rows.processed(),
        reason: (!complete).then(|| harmless(&reason)),
        failed_ids: (!ids.is_empty()).then(|| serde_json::to_string(&ids).unwrap_or_default()),
    };
    let lists = || Lists { failed: ids.clone(), rest: rest(import), success: Vec::new() };
    let letter = desk.post.status(planned, &job, &end, lists());
    let (id, written, owner) = (job.clone(), end.clone(), desk.terms().owner);
    let ours = desk.write(POINTS, stop, move || {
        let (id, end, letter, owner) = (id.clone(), written.clone(), letter.clone(), owner.clone());
        move |session: &Session<'_>| -> Result<Option<messages::Letter>, SqlError> {
            if !messages::finish(session, &id, &end, now())? {
                return Ok(None);
            }
            messages::put(session, std::slice::from_ref(&letter), &owner, now())?;
            Ok(Some(letter))
        }
    });
    match ours.await.map_err(gone)? {
        Some(letter) => Ok(Ended::new(planned, job, end, None, vec![letter])),
        None => Err(Trouble::Duplicate(job)),
    }
}
