//! Files that were asked for by API or message: claimed for a while, imported, given back when the process ends.
//!
//! A claim is renewed while the file is worked on; whatever a dead process held is claimed by the next one, which goes
//! on behind the pieces that are in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::inputs::Source;
use super::nodes::{self, Options, Progress};
use super::{BulkError, Summary, registry, tables};
use crate::backend::imports::{BulkFile, BulkWork, Imports, backoff};
use crate::backend::tasks;
use crate::error::{Fault as _, Severity};
use crate::model::{Atomic, ImportFormat, NodesOptions, RowCounts, TableSchema, TablesOptions};
use crate::observe::events;
use crate::store::StoreError;
use crate::store::imported;
use crate::store::imports::Patience;
use crate::store::objects::{ObjectUrl, Sources};
use crate::store::sql::Engine;

/// How long nobody looks for a file, unless somebody says that there is one: other processes do not.
const IDLE: Duration = Duration::from_millis(500);

/// Imports files that wait for a worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    imports: Imports,
    sources: Sources,
    max_row: usize,
}

/// What came of a claimed file.
type Worked = Result<Option<Summary>, BulkError>;

impl Worker {
    /// Reads what `sources` allows, rows of at most `max_row` bytes.
    pub fn new(imports: Imports, sources: Sources, max_row: usize) -> Self {
        Self { imports, sources, max_row }
    }

    /// Works until `stop` says so; then finishes what is on its way and gives the files back.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            let free = running.len() < self.imports.limits().bulk.files;
            if free {
                match self.imports.claim_bulk().await {
                    Ok(Some(work)) => {
                        let (worker, stop) = (self.clone(), stop.clone());
                        running.spawn(async move { worker.work(work, stop).await });
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => events::import_work_failed(&error.to_string()),
                }
            }
            tokio::select! {
                Some(done) = running.join_next() => {
                    let _ = tasks::outcome(done);
                }
                () = self.imports.bulk_waiting(), if free => {}
                () = tokio::time::sleep(IDLE), if free => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        while let Some(done) = running.join_next().await {
            let _ = tasks::outcome(done);
        }
    }

    /// Works on one file and says what has become of it.
    async fn work(&self, work: BulkWork, stop: watch::Receiver<bool>) {
        let worked = self.hold(&work, stop).await;
        let settled = match worked {
            Ok(Some(summary)) if summary.status.is_final() => Ok(()),
            // The process ends: somebody else goes on at once.
            Ok(Some(_)) => self.imports.give_back_bulk(&work, 0, false).await,
            // Cancelled, or taken over.
            Ok(None) => Ok(()),
            Err(error) => self.failed(&work, &error).await,
        };
        if let Err(error) = settled {
            // The claim lapses, and somebody goes on.
            events::import_work_failed(&error.to_string());
        }
    }

    async fn failed(&self, work: &BulkWork, error: &BulkError) -> Result<(), StoreError> {
        let reason = error.to_string();
        let (tries, wait) = match work.file.patience {
            Some(Patience { tries, first_wait }) => (tries, backoff::jittered_from(first_wait, work.attempts)),
            None => (self.imports.limits().attempts, backoff::jittered(work.attempts)),
        };
        // Whoever asked by a message waits for a store that is away, however long that takes.
        let away = work.file.patience.is_some() && error.is_store_away();
        if error.severity() == Severity::Transient && (away || work.attempts < tries) {
            events::import_fetch_retried(work.attempts, &reason);
            return self.imports.give_back_bulk(work, wait, !away).await;
        }
        events::import_fetch_failed(&reason);
        self.imports.end_file(&work.file, Some(reason)).await.map(drop)
    }

    /// Imports a file and renews the claim meanwhile; `None` when it was lost.
    async fn hold(&self, work: &BulkWork, mut stop: watch::Receiver<bool>) -> Worked {
        let (halt, halted) = watch::channel(false);
        let heard = Heard::default();
        let importing = self.import(work, &heard, halted);
        // Beside the import, never instead of it: what is not polled could hold the connection that the other waits for.
        let renewing = async {
            let mut turns = tokio::time::interval((self.imports.limits().lease / 3).max(Duration::from_millis(10)));
            loop {
                turns.tick().await;
                // A store that is away is noticed by the import itself.
                if let Ok(false) = self.imports.hold_bulk(&work.file, heard.progress()).await {
                    return;
                }
            }
        };
        tokio::pin!(importing, renewing);
        let (mut lost, mut stopping) = (false, false);
        loop {
            tokio::select! {
                done = &mut importing => return done.map(|summary| Some(summary).filter(|_| !lost)),
                () = &mut renewing, if !lost => {
                    lost = true;
                    halt.send_replace(true);
                }
                // Whoever could say so is gone: that is an end, too.
                () = async { drop(stop.wait_for(|stop| *stop).await) }, if !stopping => {
                    stopping = true;
                    halt.send_replace(true);
                }
            }
        }
    }

    async fn import(&self, work: &BulkWork, heard: &Heard, stop: watch::Receiver<bool>) -> Result<Summary, BulkError> {
        let BulkWork { file, format, options, .. } = work;
        match format {
            ImportFormat::Nodes => self.nodes(file, options.as_deref().unwrap_or_default(), heard, stop).await,
            ImportFormat::Tables => self.tables(file, options.as_deref().unwrap_or_default(), heard, stop).await,
            // No worker of rows claims them.
            ImportFormat::Records => Err(BulkError::Options("records are no rows".to_owned())),
        }
    }

    async fn nodes(
        &self,
        file: &BulkFile,
        options: &str,
        heard: &Heard,
        stop: watch::Receiver<bool>,
    ) -> Result<Summary, BulkError> {
        let nodes: NodesOptions =
            serde_json::from_str(options).map_err(|error| BulkError::Options(error.to_string()))?;
        let url = file.url.as_deref().map(ObjectUrl::parse).transpose()?;
        let in_flight = self.imports.bulk_in_flight();
        let options =
            Options { url, nodes, in_flight, max_errors: None, max_row: self.max_row, batch: file.piece_rows };
        nodes::import(&self.imports, &self.sources, file, &options, heard, stop).await
    }

    async fn tables(
        &self,
        file: &BulkFile,
        options: &str,
        heard: &Heard,
        stop: watch::Receiver<bool>,
    ) -> Result<Summary, BulkError> {
        let options: TablesOptions =
            serde_json::from_str(options).map_err(|error| BulkError::Options(error.to_string()))?;
        let url = ObjectUrl::parse(file.url.as_deref().unwrap_or_default())?;
        let source = Source::Object(url);
        let table = match options.table {
            Some(table) => registry::table_named(&table).filter(|name| *name == table),
            None => registry::table_of(&source),
        };
        let table = table.ok_or_else(|| BulkError::Options(format!("`{source}` names no table")))?;
        let name = table.clone();
        if self.imports.store().read(move |session| imported::is_own(session, &name)).await? {
            let reason = format!("`{table}` is a table of the program itself, or may become one");
            return Err(BulkError::Options(reason));
        }
        // The embedded file has one writer, for whom everybody else waits.
        let near = matches!(source, Source::Object(ObjectUrl::File(_)));
        let spool = self.imports.store().engine() == Engine::Sqlite && !near;
        let options = tables::Options {
            source,
            table,
            key: options.key,
            frozen: options.schema == TableSchema::Freeze,
            batch: (options.atomic == Atomic::Batch).then_some(file.piece_rows),
            max_errors: None,
            max_line: self.max_row,
            spool,
            long: None,
        };
        let parsers = tables::Parsers::new(1, 1);
        let done = tables::import(&self.imports, &self.sources, file, &options, &parsers, &heard.meter, stop).await?;
        Ok(Summary { status: done.status, reason: done.reason, rows: done.rows, columns: Vec::new() })
    }
}

/// Whether something has come in since it was asked last.
#[derive(Debug, Default)]
struct Heard {
    rows: AtomicU64,
    meter: Arc<tables::Meter>,
    told: AtomicU64,
}

impl Heard {
    fn progress(&self) -> bool {
        let rows = self.rows.load(Ordering::Relaxed) + self.meter.rows.load(Ordering::Relaxed);
        self.told.swap(rows, Ordering::Relaxed) != rows
    }
}

impl Progress for Heard {
    fn at(&self, rows: &RowCounts, _: u64, _: Option<u64>) {
        self.rows.store(rows.total(), Ordering::Relaxed);
    }
}
