//! Files of catalogue records: the imports API without the network. Each file is a batch that is fetched, staged and
//! brought in by the same workers, in this process; whoever is stopped leaves the queue in the store and goes on with it.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;

use super::inputs::Source;
use super::long_lines::LongLines;
use super::tables::stdin;
use crate::backend::imports::{BatchView, Create, Imports, ImportsError, Refused};
use crate::model::{Collision, ImportFormat, ImportId, ImportStatus, RowCounts};
use crate::store::imports::{self, BatchPage, Number, Process};
use crate::store::objects::unpacked;

/// Who these imports are of: how they are found again.
pub const SOURCE: &str = "parser import";

/// How often it is looked how far they are.
const LOOK: Duration = Duration::from_millis(50);

/// Unfinished imports that are looked through.
const PAGE: u32 = 200;

/// What is to be done, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Go on with an unfinished import of one of these files.
    pub resume: bool,
    /// More failed records than this end it.
    pub max_errors: Option<u64>,
    /// Where the lines of standard input that are too long are kept; none = nowhere.
    pub long: Option<LongLines>,
}

/// How a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended; if it has not, it can be gone on with.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What became of its records.
    pub rows: RowCounts,
    /// Its number, for its failed records.
    pub batch: Option<Number>,
}

/// Imports them; the import, and what became of each. `progress` hears how many records are decided, how many there are
/// so far, and how many failed.
pub async fn import(
    imports: &Imports,
    files: &[Source],
    options: &Options,
    progress: impl Fn(u64, u64, u64),
    stop: watch::Receiver<bool>,
) -> Result<(ImportId, Vec<Summary>), ImportsError> {
    let (over, ended) = watch::channel(false);
    let worker = imports.clone();
    let working = tokio::spawn(async move { worker.work(ended).await });
    let done = run(imports, files, options, progress, stop).await;
    // It listens until it is told.
    let _ = over.send(true);
    let _ = working.await;
    let id = done?;
    let found = imports.batches(id, BatchPage { status: None, after: 0, limit: u32::MAX }).await?;
    let mut summaries = Vec::with_capacity(files.len());
    for file in files {
        let of = |view: &&BatchView| match file {
            Source::Stdin => view.batch.batch.storage_url.is_none() && !view.batch.superseded,
            Source::Object(_) => view.batch.batch.storage_url == Some(file.address()),
        };
        summaries.push(match found.iter().find(of) {
            Some(view) => summary(imports, view).await?,
            None => Summary { status: ImportStatus::Created, reason: None, rows: RowCounts::default(), batch: None },
        });
    }
    Ok((id, summaries))
}

async fn run(
    imports: &Imports,
    files: &[Source],
    options: &Options,
    progress: impl Fn(u64, u64, u64),
    mut stop: watch::Receiver<bool>,
) -> Result<ImportId, ImportsError> {
    let id = match if options.resume { unfinished(imports, files).await? } else { None } {
        Some(id) => id,
        None => begin(imports).await?,
    };
    for file in files {
        if *stop.borrow() {
            return Ok(id);
        }
        let sent = match file {
            Source::Object(_) => imports.receive_url(id, None, file.address()).await,
            Source::Stdin => {
                let input = stdin();
                let bytes = unpacked(input.url.clone(), input.kept).boxed();
                let bytes = match &options.long {
                    Some(long) => long.watch(bytes),
                    None => bytes,
                };
                let receiving = imports.receive_lines(id, None, bytes, None);
                tokio::select! {
                    received = receiving => received,
                    Ok(_) = stop.wait_for(|stop| *stop) => return Ok(id),
                }
            }
        };
        match sent {
            // It is there from the time before.
            Ok(_) | Err(ImportsError::Refused(Refused::SamePlace | Refused::Finalised | Refused::Ended(_))) => {}
            Err(error) => {
                // Nothing half begun is left to be gone on with.
                imports.cancel(id).await?;
                return Err(error);
            }
        }
    }
    imports.finalise(id).await?;
    loop {
        let view = imports.get(id).await?;
        let results = &view.totals.results;
        progress(results.succeeded() + results.failed, results.total(), results.failed);
        if view.import.status.is_final() || *stop.borrow() {
            return Ok(id);
        }
        if options.max_errors.is_some_and(|most| results.failed > most) {
            imports.cancel(id).await?;
            return Ok(id);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // Whoever gave the signal waits for this.
            _ = stop.changed() => {}
        }
    }
}

async fn begin(imports: &Imports) -> Result<ImportId, ImportsError> {
    let create = Create {
        source: SOURCE.to_owned(),
        processor: format!("parser/{}", env!("CARGO_PKG_VERSION")),
        expected_count: None,
        notes: None,
        collision: Collision::Upsert,
        process: Process::Now,
        format: ImportFormat::Records,
        options: None,
    };
    let made = imports.create(create, None).await?;
    made.import.import.id.parse().map_err(|_| Refused::NoSuchImport.into())
}

/// The newest import of the command line that is not at its end and has one of these files.
async fn unfinished(imports: &Imports, files: &[Source]) -> Result<Option<ImportId>, ImportsError> {
    let wanted: Vec<_> = files.iter().map(Source::address).collect();
    for status in [ImportStatus::Started, ImportStatus::Created] {
        for view in imports.list(Some(status), None, PAGE).await? {
            if view.import.import.source != SOURCE {
                continue;
            }
            let Ok(id) = view.import.import.id.parse() else { continue };
            let batches = imports.batches(id, BatchPage { status: None, after: 0, limit: u32::MAX }).await?;
            let has =
                |batch: &BatchView| batch.batch.batch.storage_url.as_ref().is_some_and(|url| wanted.contains(url));
            if batches.iter().any(has) {
                return Ok(Some(id));
            }
        }
    }
    Ok(None)
}

async fn summary(imports: &Imports, view: &BatchView) -> Result<Summary, ImportsError> {
    let number = view.batch.number;
    let updated = imports.store().read(move |session| imports::updated(session, number)).await?;
    let counts = &view.counts;
    let rows = RowCounts {
        inserted: counts.completed.saturating_sub(updated),
        updated,
        unchanged: counts.unchanged,
        duplicates: 0,
        failed: counts.failed,
    };
    let batch = &view.batch.batch;
    Ok(Summary { status: batch.status, reason: batch.reason.clone(), rows, batch: Some(number) })
}
