//! `parser import`: files of nodes into the store, one after the other, each resumable.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::backend::imports::{BulkBegin, BulkFile, Imports, Limits};
use crate::bulk::BulkError;
use crate::bulk::nodes::{self, Options, Progress, Summary};
use crate::config::{Layers, LogFormat, Needs, Settings};
use crate::error::{Fault as _, chain};
use crate::model::{ImportFormat, ImportStatus, NodesOptions, RowCounts};
use crate::observe::Redactor;
use crate::observe::logging::{self, LogOptions};
use crate::store::imports::failed_rows;
use crate::store::objects::{ObjectUrl, Sources};
use crate::store::{Location, Store, StoreError};

use super::exit::Exit;
use super::signals::Signals;
use super::{bars, complain, messages, place, print_bytes, table};

pub(super) const HELP: &str = "\
Exit codes:
  0    every row is in
  1    finished, some rows were rejected
  2    usage, settings, or a header without the columns that are needed
  3    a file could not be read; `--resume` goes on
  4    the store refused or is down; `--resume` goes on
  130  stopped by SIGINT; `--resume` goes on   (143: by SIGTERM)";

/// Failed rows that are read from the store at once.
const PAGE: u32 = 1000;

/// `parser import`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub struct ImportArgs {
    /// Files, folders (their `.csv`, `.csv.gz` and `.csv.zst`), `s3://bucket/key`, `http(s)://host/path`.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,

    /// What the files hold.
    #[arg(long, value_enum)]
    pub kind: KindArg,

    /// `sqlite:PATH`, `postgres://…`, or `env:NAME` of a variable that holds it. Default: the database of the settings.
    #[arg(long, value_name = "DATABASE")]
    pub into: Option<String>,

    /// Whose nodes they are.
    #[arg(long, value_name = "ID")]
    pub domain: String,

    /// The group of all rows; without it each row names its own.
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,

    /// The files are lists of reference ids, one a line, without a header (with `--group`).
    #[arg(long, requires = "group")]
    pub refs: bool,

    /// Rows of one transaction. Default: `IMPORT_BULK_ROWS`, or what suits the database.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub batch_size: Option<u32>,

    /// Transactions on their way at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: u8,

    /// What a row that cannot be stored does: it is left out, or it ends the import of its file.
    #[arg(long, value_enum, default_value_t = OnErrorArg::Skip)]
    pub on_error: OnErrorArg,

    /// End the import of a file after more rejected rows than this.
    #[arg(long, value_name = "N")]
    pub max_errors: Option<u64>,

    /// Write rejected rows here, as they are in the file, with their reasons beside them.
    #[arg(long, value_name = "DIR")]
    pub rejects: Option<PathBuf>,

    /// Go on with the unfinished imports of these files, leaving out the batches that are in.
    #[arg(long)]
    pub resume: bool,

    /// Read and check everything, write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// Nodes: a reference id, a group, a type, and metadata.
    Nodes,
}

/// What a bad row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnErrorArg {
    /// It is left out.
    Skip,
    /// It ends the import of its file; batches that are in stay in.
    Stop,
}

pub(super) fn execute(args: &ImportArgs, layers: &Layers, folder: &Path) -> Exit {
    let settings = match Settings::load(layers, Needs::default()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let mut secrets = settings.secrets();
    let location = match args.into.as_deref().map(place::argument) {
        None => place::catalogue(&settings.database, &super::run::paths(&settings, folder)),
        Some(Ok(other)) => {
            secrets.extend(other.secrets());
            place::other(&settings.database, &other, folder)
        }
        Some(Err(problem)) => {
            messages::error(&format!("--into {problem}"), Some("`sqlite:PATH` or `postgres://…`"));
            return Exit::Usage;
        }
    };
    let redactor = Redactor::new(&secrets);
    logging::init(LogOptions {
        filter: settings.output.log_level.clone(),
        json: settings.output.log_format == LogFormat::Json,
        colour: bars::wanted() && std::env::var_os("NO_COLOR").is_none(),
        redactor: redactor.clone(),
        suspend: bars::suspend,
    });
    let urls = match addresses(&args.paths) {
        Ok(urls) => urls,
        Err(text) => {
            messages::error(&text, None);
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    runtime.block_on(run(args, &settings, &location, urls, &redactor))
}

async fn run(
    args: &ImportArgs,
    settings: &Settings,
    location: &Location,
    urls: Vec<ObjectUrl>,
    redactor: &Redactor,
) -> Exit {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            messages::error(&format!("cannot wait for signals: {error}"), None);
            return Exit::Usage;
        }
    };
    let sources = match Sources::unrestricted(&settings.objects) {
        Ok(sources) => sources,
        Err(error) => return complain(&error, redactor),
    };
    // In a dry run nothing is asked of the store; it gets one of its own that nobody keeps.
    let scratch = args.dry_run.then(tempfile::tempdir).transpose().ok().flatten();
    let scratch = scratch.as_ref().map(|folder| Location::File(folder.path().join("scratch.db")));
    let store = match Store::open(scratch.as_ref().unwrap_or(location), 0).await {
        Ok(store) => store,
        Err(error) => return complain(&error, redactor),
    };
    let (stop, stopped) = watch::channel(false);
    let limits = Limits { bulk: settings.imports.bulk.clone(), ..Limits::default() };
    let imports = Imports::new(Arc::new(store), limits, None);
    let importing = each(args, settings, &imports, &sources, urls, stopped, redactor);
    tokio::pin!(importing);
    let mut signalled = None;
    loop {
        tokio::select! {
            biased;
            exit = &mut importing => return signalled.filter(|_| exit == Exit::Interrupted).unwrap_or(exit),
            signal = signals.next() => {
                // The second one: at once.
                if signalled.is_some() {
                    return signal;
                }
                signalled = Some(signal);
                // Whoever listens is still there: it is being waited for.
                let _ = stop.send(true);
            }
        }
    }
}

/// Imports the files; [`Exit::Interrupted`] when it was stopped.
async fn each(
    args: &ImportArgs,
    settings: &Settings,
    imports: &Imports,
    sources: &Sources,
    urls: Vec<ObjectUrl>,
    stop: watch::Receiver<bool>,
    redactor: &Redactor,
) -> Exit {
    let (mut exit, mut printed, mut rejected) = (Exit::Done, Vec::new(), false);
    let nodes = NodesOptions { domain: args.domain.clone(), group: args.group.clone(), refs: args.refs };
    let begun = if args.dry_run { Ok((None, Vec::new())) } else { begin(args, imports, &nodes, &urls).await };
    let (import, files) = match begun {
        Ok(begun) => begun,
        Err(error) => return complain(&error, redactor),
    };
    for (index, url) in urls.into_iter().enumerate() {
        let options = Options {
            url: Some(url.clone()),
            nodes: nodes.clone(),
            batch: args.batch_size.map_or_else(|| imports.piece_rows(), u64::from),
            in_flight: usize::from(args.workers),
            max_errors: if args.on_error == OnErrorArg::Stop { Some(0) } else { args.max_errors },
            max_row: settings.objects.max_line,
        };
        let bar = Bar::new(&url);
        let file = files.get(index);
        let imported = match file {
            Some(file) => nodes::import(imports, sources, file, &options, &bar, stop.clone()).await,
            None => nodes::check(imports, sources, &options, &bar, stop.clone()).await,
        };
        bar.0.finish_and_clear();
        let imported = match (imported, file) {
            (Ok(summary), Some(file)) => {
                write_rejects(args, imports.store(), file.batch, &url, &summary).await.map(|()| summary)
            }
            (imported, _) => imported,
        };
        match imported {
            Ok(summary) => {
                rejected |= !matches!(summary.status, ImportStatus::Completed | ImportStatus::Started);
                let unfinished = !summary.status.is_final();
                printed.push((url.to_string(), Ok(summary)));
                if unfinished {
                    exit = Exit::Interrupted;
                    break;
                }
            }
            Err(error) => {
                exit = Exit::of(error.party());
                let text = redactor.redact(&chain(&error)).into_owned();
                messages::error(&text, error.hint().as_deref());
                printed.push((url.to_string(), Err(text)));
                // The next file would meet the same store.
                if matches!(error, BulkError::Store(_)) {
                    break;
                }
            }
        }
    }
    if matches!(exit, Exit::Interrupted | Exit::Source | Exit::Backend) && !args.dry_run {
        messages::say("to go on, run the same command with `--resume`");
    }
    let shown = if args.json { as_json(import.as_deref(), &printed) } else { as_table(&printed) };
    let shown = print_bytes(shown.as_bytes());
    match exit {
        Exit::Done if rejected => Exit::SomeFailed,
        Exit::Done => shown,
        exit => exit,
    }
}

/// Begins the import, or finds the one to go on with: its id, and its files as they were asked for.
async fn begin(
    args: &ImportArgs,
    imports: &Imports,
    nodes: &NodesOptions,
    urls: &[ObjectUrl],
) -> Result<(Option<String>, Vec<BulkFile>), StoreError> {
    let new = BulkBegin {
        format: ImportFormat::Nodes,
        options: serde_json::to_string(nodes).ok(),
        source: nodes.domain.clone(),
        processor: format!("parser/{}", env!("CARGO_PKG_VERSION")),
        files: urls.iter().map(address).collect(),
        piece_rows: args.batch_size.map_or_else(|| imports.piece_rows(), u64::from),
        resume: args.resume,
    };
    let begun = imports.begin_bulk(new).await?;
    Ok((Some(begun.import.to_string()), begun.files))
}

/// Where a file is, whichever folder the command is run in.
fn address(url: &ObjectUrl) -> String {
    match url {
        ObjectUrl::File(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
        other => other.whole(),
    }
}

/// The files to read; those of a folder in the order of their names.
fn addresses(paths: &[String]) -> Result<Vec<ObjectUrl>, String> {
    let mut urls = Vec::new();
    for path in paths {
        match ObjectUrl::parse(path).map_err(|error| error.to_string())? {
            ObjectUrl::File(folder) if folder.is_dir() => {
                let unreadable = |error: std::io::Error| format!("`{}` cannot be read: {error}", folder.display());
                let mut files = Vec::new();
                for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
                    let file = entry.map_err(unreadable)?.path();
                    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
                    let known = [".csv", ".csv.gz", ".csv.zst"].iter().any(|end| name.ends_with(end));
                    if known && !name.starts_with('.') && file.is_file() {
                        files.push(file);
                    }
                }
                if files.is_empty() {
                    return Err(format!("`{}` holds no `.csv`, `.csv.gz` or `.csv.zst` file", folder.display()));
                }
                files.sort();
                urls.extend(files.into_iter().map(ObjectUrl::File));
            }
            url => urls.push(url),
        }
    }
    Ok(urls)
}

/// Rejected rows under the file's own columns, ready to be mended and imported; and why, line by line.
async fn write_rejects(
    args: &ImportArgs,
    store: &Store,
    batch: i64,
    url: &ObjectUrl,
    summary: &Summary,
) -> Result<(), BulkError> {
    let Some(folder) = &args.rejects else { return Ok(()) };
    if summary.rows.failed == 0 {
        return Ok(());
    }
    let stem = url.name().trim_end_matches(".gz").trim_end_matches(".zst").trim_end_matches(".csv");
    let paths = (folder.join(format!("{stem}.csv")), folder.join(format!("{stem}.reasons.jsonl")));
    let fault = |error: std::io::Error| StoreError::from_io(folder, crate::error::Party::Backend, &error);
    let open = |path: &Path| File::create(path).map(BufWriter::new).map_err(fault);
    std::fs::create_dir_all(folder).map_err(fault)?;
    let (mut rows, mut reasons) = (open(&paths.0)?, open(&paths.1)?);
    if !args.refs {
        writeln!(rows, "{}", summary.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","))
            .map_err(fault)?;
    }
    let mut after = 0;
    loop {
        let some = store.read(move |session| failed_rows(session, batch, after, PAGE)).await?;
        let Some(last) = some.last() else { break };
        after = last.line;
        for failure in &some {
            let row = failure.original.as_deref().unwrap_or_default().trim_ascii_end();
            let reason = json!({ "line": failure.line, "reference_id": failure.external_id, "code": failure.code,
                "message": failure.message });
            rows.write_all(row).and_then(|()| rows.write_all(b"\n")).map_err(fault)?;
            writeln!(reasons, "{reason}").map_err(fault)?;
        }
    }
    rows.flush().and_then(|()| reasons.flush()).map_err(fault)?;
    Ok(())
}

fn quoted(name: &str) -> String {
    if name.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

type Printed = [(String, Result<Summary, String>)];

fn as_json(import: Option<&str>, printed: &Printed) -> String {
    let files: Vec<Value> = printed
        .iter()
        .map(|(file, outcome)| match outcome {
            Ok(Summary { status, reason, rows: sums, .. }) => json!({
                "file": file, "status": capitals(*status), "reason": reason, "total": sums.total(),
                "processed": sums.processed(), "inserted": sums.inserted, "updated": sums.updated,
                "unchanged": sums.unchanged, "duplicates": sums.duplicates, "failed": sums.failed,
            }),
            Err(error) => json!({ "file": file, "status": "ERROR", "reason": error }),
        })
        .collect();
    format!("{}\n", json!({ "import": import, "files": files }))
}

fn as_table(printed: &Printed) -> String {
    let mut shown =
        table::plain(&["file", "status", "rows", "inserted", "updated", "unchanged", "duplicates", "failed"]);
    for (file, outcome) in printed {
        match outcome {
            Ok(Summary { status, rows: sums, reason, .. }) => {
                let status =
                    reason.as_ref().map_or_else(|| capitals(*status), |why| format!("{}: {why}", capitals(*status)));
                let numbers = [sums.total(), sums.inserted, sums.updated, sums.unchanged, sums.duplicates, sums.failed];
                shown.add_row([file.clone(), status].into_iter().chain(numbers.map(table::grouped)));
            }
            Err(_) => {
                shown.add_row([file.as_str(), "ERROR"]);
            }
        }
    }
    super::harmless(&format!("{shown}\n")).into_owned()
}

/// A status in the capitals of reports.
fn capitals(status: ImportStatus) -> String {
    status.as_str().to_uppercase()
}

/// How far one file is, on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(url: &ObjectUrl) -> Self {
        if !bars::wanted() {
            return Self(ProgressBar::hidden());
        }
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::no_length().with_style(style).with_prefix(super::harmless(url.name()).into_owned());
        Self(bars::add(bar))
    }
}

impl Progress for Bar {
    fn at(&self, sums: &RowCounts, read: u64, length: Option<u64>) {
        if let Some(length) = length {
            self.0.set_length(length);
        }
        self.0.set_position(read);
        let elapsed = self.0.elapsed().as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate to look at"
        )]
        let rate = (sums.total() as f64 / elapsed) as u64;
        self.0.set_message(format!(
            "{} rows  {}/s  {} failed",
            table::grouped(sums.total()),
            table::grouped(rate),
            sums.failed
        ));
    }
}
