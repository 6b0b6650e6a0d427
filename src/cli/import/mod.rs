//! `parser import`: files into the store, whatever they hold, each resumable.

mod args;
mod bars;
mod catalogue;
mod delete;
mod nodes;
mod rejects;
mod report;
mod resume;
mod sort;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::exit::Exit;
use super::signals::Signals;
use super::{bars as screen, complain, messages, place, print_bytes};
use crate::backend::imports::{BulkBegin, BulkBegun, Imports, Limits};
use crate::bulk::long_lines::LongLines;
use crate::config::{Layers, LogFormat, Needs, Settings};
use crate::observe::Redactor;
use crate::observe::logging::{self, LogOptions};
use crate::store::objects::Sources;
use crate::store::{Location, Store, StoreError, StoreErrorKind};
use report::Line;
use sort::Sorted;

pub(in crate::cli) use args::HELP;
pub use args::ImportArgs;

/// How long whatever writes into standard input may think.
const PIPE: Duration = Duration::from_secs(24 * 60 * 60);

/// What every kind needs.
struct Context<'a> {
    args: &'a ImportArgs,
    /// The store that is meant; in a dry run nothing of it is changed.
    location: &'a Location,
    settings: &'a Settings,
    imports: &'a Imports,
    sources: &'a Sources,
    redactor: &'a Redactor,
    /// Keeps what is rejected of standard input and too long to be held.
    long: Option<LongLines>,
    /// True = finish or undo what is on its way, and begin nothing more.
    stop: watch::Receiver<bool>,
}

impl Context<'_> {
    /// Begins an import. Whoever stops it does not wait until the store is free.
    async fn begin(&self, new: BulkBegin) -> Result<BulkBegun, StoreError> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            begun = self.imports.begin_bulk(new) => begun,
            Ok(_) = stop.wait_for(|stop| *stop) => {
                Err(self.imports.store().error(StoreErrorKind::Conflict("it was stopped".to_owned())))
            }
        }
    }
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
        colour: screen::wanted() && std::env::var_os("NO_COLOR").is_none(),
        redactor: redactor.clone(),
        suspend: screen::suspend,
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    let exit = runtime.block_on(run(args, &settings, &location, &redactor));
    // What is being parsed or read in vain is not waited for.
    runtime.shutdown_background();
    exit
}

async fn run(args: &ImportArgs, settings: &Settings, location: &Location, redactor: &Redactor) -> Exit {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            messages::error(&format!("cannot wait for signals: {error}"), None);
            return Exit::Usage;
        }
    };
    let (stop, stopped) = watch::channel(false);
    let importing = import(args, settings, location, redactor, stopped);
    tokio::pin!(importing);
    let mut signalled = None;
    loop {
        tokio::select! {
            biased;
            exit = &mut importing => return signalled.filter(|_| exit == Exit::Interrupted).unwrap_or(exit),
            signal = signals.next() => {
                // The second one: at once.
                if signalled.is_some() {
                    say_how_to_go_on(args, redactor);
                    return signal;
                }
                signalled = Some(signal);
                // Whoever listens is still there: it is being waited for.
                let _ = stop.send(true);
            }
        }
    }
}

async fn import(
    args: &ImportArgs,
    settings: &Settings,
    location: &Location,
    redactor: &Redactor,
    stop: watch::Receiver<bool>,
) -> Exit {
    let sources = match Sources::unrestricted(&settings.objects) {
        Ok(sources) => sources,
        Err(error) => return complain(&error, redactor),
    };
    // First, so that a wrong path makes no database.
    let sorted = match sort::sort(args, &sources).await {
        Ok(sorted) => sorted,
        Err(refused) => return refused.complain(redactor),
    };
    // In a dry run nothing is asked of the store; it gets one of its own that nobody keeps.
    let scratch = args.dry_run.then(tempfile::tempdir).transpose().ok().flatten();
    let scratch = scratch.as_ref().map(|folder| Location::File(folder.path().join("scratch.db")));
    let store = match Store::open(scratch.as_ref().unwrap_or(location), 0).await {
        Ok(store) => store,
        Err(error) => return complain(&error, redactor),
    };
    let limits = Limits {
        record_bytes: settings.objects.max_line,
        batch_bytes: u64::MAX,
        workers: settings.imports.workers,
        attempts: settings.imports.attempts,
        lease: settings.imports.lease,
        idle: PIPE,
        bulk: settings.imports.bulk.clone(),
    };
    let imports = Imports::new(Arc::new(store), limits, Some(sources.clone()));
    let rejects = args.rejects_folder().filter(|_| !args.dry_run);
    let long = rejects.map(|folder| LongLines::new(folder.to_owned(), settings.objects.max_line));
    let context = Context { args, location, settings, imports: &imports, sources: &sources, redactor, long, stop };
    let files = if args.delete_after { delete::files(&sorted) } else { delete::Files::new() };
    let Sorted { nodes, tables, catalogue } = sorted;
    match tables::refused(&context, &tables).await {
        Ok(None) => {}
        Ok(Some(name)) => {
            messages::error(
                &format!("`{name}` is a table of the program itself, or may become one"),
                Some("name another one by `--table NAME`"),
            );
            return Exit::Usage;
        }
        Err(error) => return complain(&error, redactor),
    }
    let (mut lines, mut exit): (Vec<Line>, _) = (Vec::new(), Exit::Done);
    // What is stopped begins nothing more, and what the store refuses it would refuse again.
    let goes_on = |exit: Exit| matches!(exit, Exit::Done | Exit::SomeFailed | Exit::Source | Exit::Usage);
    for kind in 0..3 {
        let done = match kind {
            0 if !catalogue.is_empty() => catalogue::each(&context, &catalogue).await,
            1 if !tables.is_empty() => tables::each(&context, tables.clone()).await,
            2 if !nodes.is_empty() => nodes::each(&context, &nodes).await,
            _ => continue,
        };
        let (more, how) = match done {
            Ok(done) => done,
            // Whoever has stopped it knows why the store was not waited for.
            Err(_) if *context.stop.borrow() => (Vec::new(), Exit::Interrupted),
            Err(error) => (Vec::new(), complain(&error, redactor)),
        };
        lines.extend(more);
        exit = if exit == Exit::SomeFailed && how != Exit::Done { how } else { exit.max_of(how) };
        if !goes_on(how) {
            break;
        }
    }
    if !args.dry_run {
        delete::completed(&context, &files, &lines).await;
    }
    if matches!(exit, Exit::Interrupted | Exit::Source | Exit::Backend) {
        say_how_to_go_on(args, redactor);
    }
    let shown = if args.json { report::as_json(&lines) } else { report::as_table(&lines) };
    exit.max_of(print_bytes(shown.as_bytes()))
}

/// Prints the command that goes on with what is not in.
fn say_how_to_go_on(args: &ImportArgs, redactor: &Redactor) {
    if args.dry_run {
        return;
    }
    let resume::Resume { command, hints } = resume::command(std::env::args_os().skip(1));
    let hints = hints.iter().flat_map(|hint| ["\nhint: ", hint]).collect::<String>();
    messages::say(&redactor.redact(&format!("not everything is in. To go on:\n  {command}{hints}")));
}
