//! Files of JSON lines into tables: those of one table one after the other, different tables side by side.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;

use super::Context;
use super::args::{AtomicArg, SchemaArg};
use super::bars::{All, Bar};
use super::rejects::Rejects;
use super::report::Line;
use crate::backend::imports::{BulkBegin, BulkBegun, BulkFile};
use crate::bulk::BulkError;
use crate::bulk::inputs::Source;
use crate::bulk::tables::{self, Meter, Options, Parsers, Summary};
use crate::cli::exit::Exit;
use crate::cli::messages;
use crate::error::{Fault as _, chain};
use crate::model::{ImportFormat, ImportStatus};
use crate::store::imported;
use crate::store::sql::Engine;
use crate::store::{Store, StoreError};

/// Rows of a transaction with `--atomic batch`, if nobody says otherwise.
const BATCH: u32 = 50_000;

/// Tables that are written at once. The embedded file has one writer: while it writes one, the next is parsed.
const ON_FILE: usize = 2;
const ON_SERVER: usize = 4;

/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(100);

/// A file and its table.
#[derive(Debug, Clone)]
pub(super) struct TableFile {
    pub(super) source: Source,
    pub(super) table: String,
}

/// Are these tables ours to make? The first that is not, as a message and a hint.
pub(super) async fn refused(context: &Context<'_>, files: &[TableFile]) -> Result<Option<String>, StoreError> {
    let names: HashSet<String> = files.iter().map(|file| file.table.clone()).collect();
    context
        .imports
        .store()
        .read(move |session| {
            for name in names {
                if imported::is_own(session, &name)? {
                    return Ok(Some(name));
                }
            }
            Ok(None)
        })
        .await
}

/// Imports them; what became of each, in order, and the worst of it.
pub(super) async fn each(context: &Context<'_>, files: Vec<TableFile>) -> Result<(Vec<Line>, Exit), StoreError> {
    let begun = begin(context, &files).await?;
    let server = context.imports.store().engine() == Engine::Postgres;
    let connections = context.settings.database.connections.saturating_sub(1).max(1);
    let at_once = if server { ON_SERVER.min(connections) } else { ON_FILE };
    let threads = context.args.workers.map_or_else(cores, usize::from);
    let meters: Vec<_> = files.iter().map(|_| Arc::new(Meter::default())).collect();
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        groups.entry(file.table.to_lowercase()).or_default().push(index);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    let parsers = Parsers::new(threads, at_once.min(groups.len()));
    let all = All::new(files.iter().map(|file| &file.source), meters.clone());
    let each = Each { context, files: &files, begun, parsers, meters, all, over: AtomicBool::new(false) };
    let groups = futures::stream::iter(groups).map(|group| each.group(group)).buffer_unordered(at_once);
    let mut done: Vec<_> = groups.collect::<Vec<_>>().await.into_iter().flatten().collect();
    each.all.finish();
    done.sort_by_key(|(index, _)| *index);
    each.report(done).await
}

/// One for each core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

async fn begin(context: &Context<'_>, files: &[TableFile]) -> Result<Option<BulkBegun>, StoreError> {
    let args = context.args;
    if args.dry_run {
        return Ok(None);
    }
    let options = json!({
        "table": args.table, "key": args.key,
        "schema": if args.schema == SchemaArg::Freeze { "freeze" } else { "evolve" },
        "atomic": if args.atomic == AtomicArg::Batch { "batch" } else { "file" },
    });
    let mut tables: Vec<_> = files.iter().map(|file| file.table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    let source = if tables.len() > 3 { format!("{} tables", tables.len()) } else { tables.join(", ") };
    let new = BulkBegin {
        format: ImportFormat::Tables,
        options: Some(options.to_string()),
        source,
        processor: format!("parser/{}", env!("CARGO_PKG_VERSION")),
        files: files.iter().map(|file| file.source.address()).collect(),
        piece_rows: u64::from(args.batch_size.unwrap_or(BATCH)),
        resume: args.resume,
    };
    context.begin(new).await.map(Some)
}

struct Each<'a> {
    context: &'a Context<'a>,
    files: &'a [TableFile],
    begun: Option<BulkBegun>,
    parsers: Parsers,
    meters: Vec<Arc<Meter>>,
    all: All,
    /// The store is down, or somebody stopped it: no more files.
    over: AtomicBool,
}

type Outcome = (usize, Result<Summary, BulkError>);

impl Each<'_> {
    /// Files of one table.
    async fn group(&self, group: Vec<usize>) -> Vec<Outcome> {
        let mut done = Vec::new();
        for index in group {
            if self.over.load(Ordering::Relaxed) || *self.context.stop.borrow() {
                break;
            }
            let outcome = self.file(index).await;
            // The next file would meet the same store.
            if matches!(outcome, Err(BulkError::Store(_))) {
                self.over.store(true, Ordering::Relaxed);
            }
            done.push((index, outcome));
        }
        done
    }

    async fn file(&self, index: usize) -> Result<Summary, BulkError> {
        let (context, file, meter) = (self.context, &self.files[index], &self.meters[index]);
        let args = context.args;
        let known = self.bulk_file(index);
        let batch = (args.atomic == AtomicArg::Batch)
            .then(|| known.map_or_else(|| u64::from(args.batch_size.unwrap_or(BATCH)), |known| known.piece_rows));
        let options = Options {
            source: file.source.clone(),
            table: file.table.clone(),
            key: args.key.clone(),
            frozen: args.schema == SchemaArg::Freeze,
            batch,
            max_errors: args.most_errors(),
            max_line: context.settings.objects.max_line,
            spool: false,
            long: context.long.clone(),
        };
        let bar = Bar::new(file.source.name());
        let (imports, sources, stop) = (context.imports, context.sources, context.stop.clone());
        let importing = async {
            if let Some(known) = known {
                tables::import(imports, sources, known, &options, &self.parsers, meter, stop).await
            } else {
                let table = self.known(&file.table).await?;
                tables::check(imports, table, sources, &options, &self.parsers, meter, stop).await
            }
        };
        tokio::pin!(importing);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut importing => break done,
                () = tokio::time::sleep(TICK) => {
                    bar.follow(meter);
                    self.all.follow();
                }
            }
        };
        bar.finish();
        done
    }

    /// What a dry run may know of a table: it looks without changing a byte.
    async fn known(&self, table: &str) -> Result<Option<imported::Definition>, StoreError> {
        let Some(store) = Store::open_read_only(self.context.location).await? else { return Ok(None) };
        let table = table.to_owned();
        // A store of an older version has no such tables.
        Ok(store.read(move |session| imported::find(session, &table)).await.unwrap_or_default())
    }

    fn bulk_file(&self, index: usize) -> Option<&BulkFile> {
        self.begun.as_ref().and_then(|begun| begun.files.get(index))
    }

    async fn report(&self, done: Vec<Outcome>) -> Result<(Vec<Line>, Exit), StoreError> {
        let (mut lines, mut exit, mut rejected, mut rejects) = (Vec::new(), Exit::Done, false, Rejects::default());
        let complete = done.len() == self.files.len();
        for (index, outcome) in done {
            let file = &self.files[index];
            let end = match outcome {
                Ok(summary) => {
                    rejected |= !matches!(summary.status, ImportStatus::Completed | ImportStatus::Started);
                    if !summary.status.is_final() {
                        exit = exit.max_of(Exit::Interrupted);
                    }
                    Ok((summary.status, summary.reason, summary.rows))
                }
                Err(error) => {
                    exit = exit.max_of(Exit::of(error.party()));
                    let text = self.context.redactor.redact(&chain(&error)).into_owned();
                    messages::error(&text, error.hint().as_deref());
                    Err(text)
                }
            };
            let written = match (self.bulk_file(index), &end) {
                (Some(known), Ok((_, _, rows))) if rows.failed > 0 => {
                    rejects.of_lines(self.context, known.batch, &file.source).await
                }
                _ => None,
            };
            lines.push(Line {
                file: file.source.to_string(),
                kind: "table",
                table: Some(file.table.clone()),
                import: self.begun.as_ref().map(|begun| begun.import.to_string()),
                rejects: written,
                end,
            });
        }
        if !complete {
            exit = exit.max_of(Exit::Interrupted);
        }
        Ok((lines, if exit == Exit::Done && rejected { Exit::SomeFailed } else { exit }))
    }
}
