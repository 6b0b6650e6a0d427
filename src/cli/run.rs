//! `parser run`: builds everything a crawl needs from settings and flags, runs it, prints its summary.

use std::cell::RefCell;
use std::path::Path;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::checkpoint::{Checkpoint, StatePaths};
use crate::config::{BackendApi, BackendSettings, DatabasePlace, Layers, LogFormat, Needs, Settings};
use crate::crawl::{Crawl, CrawlError, End, Mode, Options, ReportWriter, Services, Silent, Stop, Summary, Watch};
use crate::error::Fault;
use crate::extract::{Drift, Kodik, KodikOptions, Shikimori, ShikimoriOptions, Sources};
use crate::http::Service;
use crate::load::batch::{self, Batch};
use crate::load::contract::{self, Contract};
use crate::load::{self, DryRun, Embedded, Loader};
use crate::model::SeriesId;
use crate::observe::logging::{self, LogOptions};
use crate::observe::metrics::Metrics;
use crate::observe::{Redactor, events};
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::store::landing::Landing;
use crate::store::sent::Sent;
use crate::transform::{Language, Rules};

use super::args::{ModeArg, RunArgs};
use super::bars::{self, Bars};
use super::exit::Exit;
use super::signals::Signals;
use super::{complain, messages, place, summary};

/// A boxed fault, for the many ways in which a run may not even start.
type Trouble = Box<dyn Fault>;

pub(super) fn execute(args: &RunArgs, mut layers: Layers, folder: &Path) -> Exit {
    // Two threads would only pass messages to each other: the crawl waits for services most of the time, and the
    // store has a thread of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    let sandbox = match args
        .sandbox
        .then(|| Sandbox::start(&SandboxOptions { limits: true, ..SandboxOptions::default() }))
        .transpose()
    {
        Ok(sandbox) => sandbox,
        Err(error) => {
            messages::error(&format!("cannot start the sandbox: {error}"), None);
            return Exit::Usage;
        }
    };
    apply_flags(args, sandbox.as_ref(), &mut layers);

    let mode = match mode(args) {
        Ok(mode) => mode,
        Err(message) => {
            messages::error(&message, None);
            return Exit::Usage;
        }
    };
    let needs = Needs { kodik_token: !args.from_landing };
    let settings = match Settings::load(&layers, needs) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let redactor = Redactor::new(&settings.secrets());
    let show_bars = bars::wanted() && !args.dry_run;
    // Bars tell a person what happens; one line for each title would drown them.
    let quiet = show_bars && layers.get("LOG_LEVEL").is_none();
    logging::init(LogOptions {
        filter: if quiet { "warn".to_owned() } else { settings.output.log_level.clone() },
        json: settings.output.log_format == LogFormat::Json,
        colour: bars::wanted() && std::env::var_os("NO_COLOR").is_none(),
        redactor: redactor.clone(),
        suspend: bars::suspend,
    });
    let metrics = Metrics::install();
    // Runs beside the crawl and ends with the runtime.
    drop(runtime.spawn(metrics.clone().keep_folded()));

    let paths = paths(&settings, folder);
    let bars = Bars::new();
    let watch: &dyn Watch = if show_bars { &bars } else { &Silent };
    let stop = Stop::default();
    let built = runtime.block_on(build(args, mode, &settings, &paths, watch, &stop));
    let crawl = match built {
        Ok(crawl) => crawl,
        Err(trouble) => return complain_about(trouble.as_ref(), &redactor),
    };
    for notice in crawl.checkpoint.notices() {
        events::state_notice(&notice.to_string());
    }
    let (result, signal) = drive(&runtime, crawl, &stop);
    bars.finish();
    if let Some(path) = &settings.output.metrics_file
        && !args.dry_run
        && let Err(error) = metrics.write_to(path)
    {
        let text = format!("cannot write the metrics `{}`: {error}", path.display());
        messages::error(&text, Some("check that the folder exists and may be written"));
    }
    let Some(result) = result else {
        let resume = summary::resume_command(args);
        messages::say(&format!("stopped at once; what was not marked is loaded again by `{resume}`"));
        return signal.unwrap_or(Exit::Interrupted);
    };
    summary::print(&result, args, &settings, &paths, &redactor);
    exit_of(&result, signal)
}

/// Runs the crawl until it ends. The first signal stops it cleanly, the second drops it where it is.
fn drive(runtime: &Runtime, crawl: Crawl<'_>, stop: &Stop) -> (Option<Summary>, Option<Exit>) {
    runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => {
                messages::say(&format!("warning: Ctrl-C will not be clean: {error}"));
                return (Some(crawl.run().await), None);
            }
        };
        let mut first = None;
        let run = crawl.run();
        tokio::pin!(run);
        loop {
            tokio::select! {
                biased;
                result = &mut run => return (Some(result), first),
                signal = signals.next() => {
                    if first.is_some() {
                        return (None, first);
                    }
                    first = Some(signal);
                    bars::suspend(&mut || messages::say("stopping: titles in flight finish; once more stops at once"));
                    stop.request();
                }
            }
        }
    })
}

fn exit_of(result: &Summary, signal: Option<Exit>) -> Exit {
    match &result.end {
        End::Failed(error) => Exit::of(error.party()),
        End::Stopped => signal.unwrap_or(Exit::Interrupted),
        End::Finished if result.failed() > 0 => Exit::SomeFailed,
        End::Finished => Exit::Done,
    }
}

fn apply_flags(args: &RunArgs, sandbox: Option<&Sandbox>, layers: &mut Layers) {
    if let Some(sandbox) = sandbox {
        layers.set_sandbox("KODIK_BASE_URL", &sandbox.kodik_url());
        layers.set_sandbox("SHIKIMORI_BASE_URL", &sandbox.shikimori_url());
        // Any token will do; a plain word would be blanked wherever it stands in a text.
        layers.set_sandbox("KODIK_API_TOKEN", &"bundled-sources-need-no-token");
    }
    if let Some(concurrency) = args.concurrency {
        layers.set_flag("CONCURRENCY", &concurrency);
    }
    if let Some(path) = &args.report {
        layers.set_flag("REPORT_PATH", &path.display());
    }
    if let Some(path) = &args.metrics_file {
        layers.set_flag("METRICS_FILE", &path.display());
    }
}

fn mode(args: &RunArgs) -> Result<Option<Mode>, String> {
    let mode = match args.mode {
        None => None,
        Some(ModeArg::Full) => Some(Mode::Full),
        Some(ModeArg::Incremental) => Some(Mode::Incremental),
        Some(ModeArg::Ongoing) => Some(Mode::Ongoing),
        Some(ModeArg::One) => {
            let id = args.source_id.as_deref().unwrap_or_default();
            Some(Mode::One(id.parse::<SeriesId>().map_err(|error| format!("--source-id: {error}"))?))
        }
    };
    if args.source_id.is_some() && !matches!(mode, Some(Mode::One(_))) {
        return Err("--source-id goes with --mode one".to_owned());
    }
    if args.from_landing && mode != Some(Mode::Full) {
        return Err("--from-landing goes with --mode full".to_owned());
    }
    Ok(mode)
}

/// The state's files, absolute; two of them may be set apart.
pub(super) fn paths(settings: &Settings, folder: &Path) -> StatePaths {
    let mut paths = StatePaths::resolve(&settings.state.path, folder);
    if let Some(landing) = &settings.state.landing {
        paths.landing = folder.join(landing);
    }
    if let Some(DatabasePlace::File(catalog)) = &settings.database.place {
        paths.catalog = folder.join(catalog);
    }
    paths
}

async fn build<'a>(
    args: &RunArgs,
    mode: Option<Mode>,
    settings: &Settings,
    paths: &StatePaths,
    progress: &'a dyn Watch,
    stop: &Stop,
) -> Result<Crawl<'a>, Trouble> {
    let mut options = Options::new(mode, settings);
    options.resume = args.resume;
    options.max_pages = args.max_pages;
    options.limit = args.limit;
    options.from_landing = args.from_landing;
    options.dry_run = args.dry_run;
    options.sandbox = args.sandbox;

    let now = Timestamp::now();
    let checkpoint = if args.dry_run {
        Checkpoint::open_read_only(paths, now).map_err(boxed)?
    } else {
        Checkpoint::open(paths, now, &command_line(args)).map_err(boxed)?
    };
    let landing = match (args.dry_run, args.from_landing) {
        (false, _) => Landing::open(&paths.landing).map_err(boxed)?,
        (true, true) => Landing::open_read_only(&paths.landing)
            .map_err(boxed)?
            .ok_or_else(|| boxed(CrawlError::NothingLanded { path: paths.landing.clone() }))?,
        (true, false) => Landing::open_temp().map_err(boxed)?,
    };
    let services = Services::new(settings).map_err(boxed)?;
    let drift = Drift::default();
    let loader = loader(args, settings, paths, &services, checkpoint.target().as_deref()).await?;
    let sources = match (&settings.kodik.token, args.from_landing) {
        (Some(token), false) => {
            let kodik = KodikOptions {
                types: settings.kodik.types.clone(),
                with_titles: settings.kodik.episode_titles,
                ..KodikOptions::default()
            };
            Some(Sources {
                kodik: Kodik::new(services.kodik.clone(), token.clone(), kodik, drift.clone()),
                shikimori: Shikimori::new(services.shikimori.clone(), ShikimoriOptions::default()),
                drift: drift.clone(),
            })
        }
        _ => None,
    };
    let report = match &settings.output.report {
        Some(path) if !args.dry_run => Some(
            ReportWriter::create(path)
                .map_err(|error| boxed(CrawlError::Report { path: path.clone(), reason: error.to_string() }))?,
        ),
        _ => None,
    };
    Ok(Crawl {
        sources,
        drift,
        landing,
        checkpoint,
        rules: rules(settings),
        loader,
        options,
        progress,
        stop: stop.clone(),
        report: report.map(RefCell::new),
        services: services.all().cloned().collect(),
        failures: RefCell::default(),
    })
}

async fn loader(
    args: &RunArgs,
    settings: &Settings,
    paths: &StatePaths,
    services: &Services,
    before: Option<&str>,
) -> Result<Loader, Trouble> {
    let source_name = settings.source_name.clone();
    let catalogue = place::catalogue(&settings.database, paths);
    let json = args.json;
    let show = move |preview: crate::load::Preview| summary::preview(&preview, json);
    match (&settings.backend, &services.backend, args.dry_run) {
        // Nobody is asked: what it spoke last time is what it speaks.
        (Some(backend), _, true)
            if backend.api == Some(BackendApi::Batch)
                || (backend.api.is_none() && before.is_some_and(|target| target.contains("batch:"))) =>
        {
            Ok(Loader::DryRun(DryRun::batch(&backend.base_url, &source_name, Box::new(show))))
        }
        (Some(backend), _, true) => {
            DryRun::contract(&backend.base_url, &source_name, &paths.sent, Box::new(show)).map(Loader::DryRun)
        }
        (_, _, true) => DryRun::embedded(catalogue, &source_name, Box::new(show)).await.map(Loader::DryRun),
        (Some(backend), Some(service), false)
            if speaks(backend, service).await.map_err(boxed)? == load::Speaks::Batch =>
        {
            Batch::new(batch::Settings {
                service: service.clone(),
                token: backend.token.clone(),
                source_name,
                timeout: settings.http.timeout,
            })
            .map(|batch| Loader::Batch(Box::new(batch)))
        }
        (Some(backend), Some(service), false) => Sent::open(&paths.sent).map_err(Into::into).and_then(|sent| {
            Contract::new(contract::Settings {
                service: service.clone(),
                token: backend.token.clone(),
                source_name,
                concurrency: settings.concurrency,
                sent,
            })
            .map(|contract| Loader::Contract(Box::new(contract)))
        }),
        _ => Embedded::open(catalogue, &source_name).await.map(Loader::Embedded),
    }
    .map_err(boxed)
}

/// How the backend is spoken to: as the settings say, else as it says itself.
async fn speaks(backend: &BackendSettings, service: &Service) -> Result<load::Speaks, load::LoadError> {
    match backend.api {
        Some(BackendApi::Batch) => Ok(load::Speaks::Batch),
        Some(BackendApi::Contract) => Ok(load::Speaks::Contract),
        None => load::ask(service, &backend.token).await,
    }
}

fn rules(settings: &Settings) -> Rules {
    let transform = &settings.transform;
    let base = &settings.shikimori.base_url;
    Rules {
        // Names that are no language were refused with the settings.
        title_preference: transform.title_languages.iter().filter_map(|name| name.parse().ok()).collect(),
        genre_language: if transform.genres_in_russian { Language::Russian } else { Language::English },
        translation_priorities: transform.translation_priorities.iter().filter_map(|name| name.parse().ok()).collect(),
        excluded_translations: transform.translations_excluded.iter().filter_map(|name| name.parse().ok()).collect(),
        include_specials: transform.include_specials,
        include_joined: transform.include_joined,
        // Learnt from the source at the beginning of the run.
        translation_names: std::collections::BTreeMap::new(),
        shikimori_asset_base: base.origin().ascii_serialization(),
    }
}

/// What `parser state show` and a second run say about who holds the lock.
fn command_line(args: &RunArgs) -> String {
    let mode = args.mode.map_or("resume", |mode| match mode {
        ModeArg::Full => "full",
        ModeArg::Incremental => "incremental",
        ModeArg::Ongoing => "ongoing",
        ModeArg::One => "one",
    });
    format!("parser run ({mode})")
}

fn boxed<E: Fault + 'static>(error: E) -> Trouble {
    Box::new(error)
}

fn complain_about(trouble: &dyn Fault, redactor: &Redactor) -> Exit {
    super::complain_text(&trouble.to_string(), trouble.hint().as_deref(), redactor);
    Exit::of(trouble.party())
}
