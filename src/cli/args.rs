//! The command line, as clap reads it. Doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::consume::ConsumeArgs;
use super::copy::CopyArgs;
use super::dlq::DlqCommand;
use super::dump::DumpArgs;
use super::groups::GroupsCommand;
use super::healthcheck::HealthcheckArgs;
use super::import::ImportArgs;
use super::process::ProcessArgs;
use super::sandbox::SandboxArgs;
use super::serve::ServeArgs;
use super::staging::StagingCommand;
use super::state::StateCommand;
use super::{exit, version};

/// Crawls Kodik- and Shikimori-style anime catalogues into a backend import API: polite, resumable, cron-safe.
#[derive(Debug, Parser)]
#[command(
    name = "parser",
    version = version::short(),
    long_version = version::long(),
    after_help = exit::HELP,
    after_long_help = exit::long_help(),
    subcommand_required = true,
    arg_required_else_help = true,
)]
pub struct Cli {
    /// State folder, or a `.json` file whose siblings hold the rest (`STATE_PATH`).
    #[arg(long, global = true, help_heading = "Global options", value_name = "PATH")]
    pub state: Option<PathBuf>,

    /// `error`, `warn`, `info`, `debug`, `trace` or a filter (`LOG_LEVEL`).
    #[arg(long, global = true, help_heading = "Global options", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Format of the log on standard error (`LOG_FORMAT`).
    #[arg(long, global = true, help_heading = "Global options", value_enum)]
    pub log_format: Option<LogFormatArg>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Crawl: list, fetch, transform, load, checkpoint.
    #[command(after_help = exit::HELP)]
    Run(RunArgs),
    /// Check settings, state and every service; say what is wrong and how to mend it.
    #[command(after_help = exit::HELP)]
    Diagnose(DiagnoseArgs),
    /// Serve the import API and the catalogue, from the embedded SQLite file or from PostgreSQL.
    #[command(after_help = exit::HELP)]
    Serve(ServeArgs),
    /// Print the catalogue as JSON lines in a fixed order, without row ids and times: equal output = equal catalogue.
    #[command(after_help = exit::HELP)]
    Dump(DumpArgs),
    /// Copy everything that is stored from one database to another, for example from SQLite to PostgreSQL.
    #[command(after_help = exit::HELP)]
    Copy(CopyArgs),
    /// Bring staged records into the catalogue now.
    #[command(after_help = exit::HELP)]
    Process(ProcessArgs),
    /// Look at staged records, queue refused ones again, throw some away.
    #[command(subcommand)]
    Staging(StagingCommand),
    /// List and make the groups of nodes that messages may name.
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Import large files from disk, S3 or HTTP: JSON lines into tables, CSV into nodes.
    #[command(after_help = super::import::HELP)]
    Import(ImportArgs),
    /// Consume import requests and catalogue records from Kafka, and tell how they went.
    #[command(after_help = super::consume::HELP)]
    Consume(ConsumeArgs),
    /// Look at dead letters of Kafka messages, send them to their topics again, give them up.
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Ask a running server whether it is ready; exit 0 or 1.
    Healthcheck(HealthcheckArgs),
    /// Look at, move or mend the crawl's state.
    #[command(subcommand)]
    State(StateCommand),
    /// Serve the two sources locally, for trying things out and for tests.
    Sandbox(SandboxArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `parser run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub struct RunArgs {
    /// What to crawl. Required, except with `--resume`.
    #[arg(long, value_enum, required_unless_present = "resume")]
    pub mode: Option<ModeArg>,

    /// The title to crawl, a Shikimori id (with `--mode one`).
    #[arg(long, value_name = "ID", required_if_eq("mode", "one"))]
    pub source_id: Option<String>,

    /// Continue the unfinished run of the state, mode and all; with nothing unfinished, start `--mode` (default: full).
    #[arg(long)]
    pub resume: bool,

    /// List at most this many pages of 100 materials.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pages: Option<u32>,

    /// Process at most this many titles.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Write nothing anywhere; print what would change, field by field.
    #[arg(long)]
    pub dry_run: bool,

    /// Crawl the bundled sandbox sources instead of the real ones.
    #[arg(long)]
    pub sandbox: bool,

    /// Transform and load again what an earlier full run has landed, without asking any source (with `--mode full`).
    #[arg(long, conflicts_with_all = ["max_pages", "sandbox"])]
    pub from_landing: bool,

    /// Write a report of the run as JSON (`REPORT_PATH`).
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Write the run's metrics as Prometheus text, for the node exporter's textfile collector (`METRICS_FILE`).
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    /// Titles in flight (`CONCURRENCY`).
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,

    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `parser diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Do not contact any service.
    #[arg(long)]
    pub offline: bool,
}

/// What to crawl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// The whole catalogue.
    Full,
    /// What changed since the last finished run.
    Incremental,
    /// Titles that are airing, due for an episode, or missing some.
    Ongoing,
    /// One title (`--source-id`).
    One,
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// Readable lines.
    Text,
    /// One JSON object a line.
    Json,
}
