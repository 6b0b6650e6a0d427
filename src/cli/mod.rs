//! The command line: parses it, runs one command, prints, and turns the result into an exit code. Nobody else prints.

mod args;
mod backend;
mod bars;
pub mod consume;
mod copy;
mod crash;
mod diagnose;
pub mod dlq;
mod dump;
mod exit;
pub mod groups;
pub mod healthcheck;
pub mod import;
mod messages;
mod place;
pub mod process;
mod run;
pub mod sandbox;
pub mod serve;
mod signals;
pub mod staging;
pub mod state;
mod summary;
mod table;
mod telemetry;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::config::Layers;
use crate::error::{Fault, chain};
use crate::observe::Redactor;

use args::{Cli, Command, LogFormatArg};
use exit::Exit;

pub use args::Cli as Arguments;

/// Runs the program and gives its exit code.
pub fn main() -> ExitCode {
    crash::install();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are a success; everything else is usage.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = execute(cli);
    telemetry::finish();
    exit.into()
}

fn execute(cli: Cli) -> Exit {
    let folder = match std::env::current_dir() {
        Ok(folder) => folder,
        Err(error) => {
            messages::error(&format!("the working directory is gone: {error}"), None);
            return Exit::Usage;
        }
    };
    let mut layers = match Layers::read(std::env::vars_os(), &folder) {
        Ok(layers) => layers,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    if let Some(state) = &cli.state {
        layers.set_flag("STATE_PATH", &state.display());
    }
    if let Some(level) = &cli.log_level {
        layers.set_flag("LOG_LEVEL", level);
    }
    if let Some(format) = cli.log_format {
        layers.set_flag("LOG_FORMAT", &if format == LogFormatArg::Json { "json" } else { "text" });
    }
    telemetry::configure(&layers);
    messages::as_json(layers.get("LOG_FORMAT").is_some_and(|(format, _)| format.eq_ignore_ascii_case("json")));
    match cli.command {
        Command::Run(args) => run::execute(&args, layers, &folder),
        Command::Diagnose(args) => diagnose::execute(&args, &layers, &folder),
        Command::State(command) => state_command(command, &layers, &folder),
        Command::Serve(args) => serve::execute(&args, layers, &folder),
        Command::Dump(args) => dump::execute(&args, &layers, &folder),
        Command::Copy(args) => copy::execute(&args, &layers, &folder),
        Command::Process(args) => process::execute(&args, &layers, &folder),
        Command::Staging(command) => staging::execute(&command, &layers, &folder),
        Command::Groups(command) => groups::execute(&command, &layers, &folder),
        Command::Import(args) => import::execute(&args, &layers, &folder),
        Command::Consume(args) => consume::execute(&args, layers, &folder),
        Command::Dlq(command) => dlq::execute(&command, layers, &folder),
        Command::Healthcheck(args) => healthcheck::execute(&args, &layers),
        Command::Sandbox(args) => sandbox_command(args),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "parser", &mut out);
            print_bytes(&out)
        }
    }
}

/// The text without what a terminal would obey: names and messages come from services. Lines stay lines.
fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let obeyed = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(obeyed) { text.replace(obeyed, "\u{FFFD}").into() } else { text.into() }
}

/// Prints bytes to standard output; a reader that went away (`| head`) is no error.
fn print_bytes(bytes: &[u8]) -> Exit {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(bytes) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(_) => Exit::SomeFailed,
    }
}

fn state_command(command: state::StateCommand, layers: &Layers, folder: &std::path::Path) -> Exit {
    let settings = match crate::config::Settings::load(layers, crate::config::Needs::default()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let paths = run::paths(&settings, folder);
    match state::run(command, &paths, &mut std::io::stdout().lock()) {
        Ok(()) => Exit::Done,
        Err(error) => complain(&error, &Redactor::new(&settings.secrets())),
    }
}

fn sandbox_command(args: sandbox::SandboxArgs) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&error.to_string(), None);
            return Exit::Usage;
        }
    };
    match runtime.block_on(sandbox::run(args, &mut std::io::stdout())) {
        Ok(()) => Exit::Done,
        Err(error) => {
            messages::error(&error.to_string(), None);
            Exit::Usage
        }
    }
}

/// Prints an error with its causes and its hint, without secrets; gives the exit code of the party that has to act.
fn complain<E: Fault + 'static>(error: &E, redactor: &Redactor) -> Exit {
    complain_text(&chain(error), error.hint().as_deref(), redactor);
    Exit::of(error.party())
}

fn complain_text(text: &str, hint: Option<&str>, redactor: &Redactor) {
    messages::error(&redactor.redact(text), hint.map(|hint| redactor.redact(hint)).as_deref());
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_a_terminal_obeys_is_not_printed() {
        assert_eq!(harmless("a\n\tb – я"), "a\n\tb – я");
        assert_eq!(harmless("\u{1b}[31mred\u{7}\r\u{202e}"), "\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(harmless("\u{9b}2J"), "\u{fffd}2J");
    }
}
