//! `parser diagnose`: settings with their origin, the state, the disk, the database, every service; what is wrong and how to mend it.

mod database;
mod files;
mod services;

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::checkpoint::{StatePaths, admin};
use crate::config::{ConfigError, Layers, Needs, Settings, ShownSetting};
use crate::error::{Fault, Party, chain};
use crate::observe::Redactor;
use crate::observe::logging::{self, LogOptions};

use super::args::DiagnoseArgs;
use super::exit::Exit;
use super::table::plain;

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Diagnosis {
    version: &'static str,
    settings: Vec<SettingLine>,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<admin::Summary>,
    /// The exit code.
    exit: u8,
}

#[derive(Debug, Serialize)]
struct SettingLine {
    name: &'static str,
    value: String,
    origin: &'static str,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// What.
    name: String,
    /// In order?
    ok: bool,
    /// In plain words.
    finding: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Round trip of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u64>,
    /// Whose fault it is.
    #[serde(skip)]
    party: Party,
}

impl Check {
    fn good(name: impl Into<String>, party: Party, finding: impl Into<String>) -> Self {
        Self { name: name.into(), ok: true, finding: finding.into(), hint: None, milliseconds: None, party }
    }

    fn bad(name: impl Into<String>, party: Party, finding: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        Self { name: name.into(), ok: false, finding: finding.into(), hint, milliseconds: None, party }
    }

    fn fault<E: Fault + 'static>(name: impl Into<String>, error: &E) -> Self {
        Self::bad(name, error.party(), chain(error), error.hint().unwrap_or_default())
    }
}

pub(super) fn execute(args: &DiagnoseArgs, layers: &Layers, folder: &Path) -> Exit {
    let needs = Needs { kodik_token: true };
    let mut checks = Vec::new();
    // A missing token must not hide what else can be looked at.
    let settings = match Settings::load(layers, needs) {
        Ok(settings) => Some(settings),
        Err(error) => {
            checks.extend(settings_faults(&error));
            Settings::load(layers, Needs::default()).ok()
        }
    };
    if checks.is_empty() {
        checks.push(Check::good("settings", Party::Usage, "all well-formed"));
    }
    let redactor = settings.as_ref().map(|settings| Redactor::new(&settings.secrets())).unwrap_or_default();
    let mut state = None;
    if let Some(settings) = &settings {
        logging::init(LogOptions {
            filter: if layers.get("LOG_LEVEL").is_some() {
                settings.output.log_level.clone()
            } else {
                "error".to_owned()
            },
            json: settings.output.log_format == crate::config::LogFormat::Json,
            colour: false,
            redactor: redactor.clone(),
            suspend: super::bars::suspend,
        });
        let paths = super::run::paths(settings, folder);
        state = look_at_state(&paths, &mut checks);
        checks.extend(files::look_at(&paths));
        if !args.offline {
            checks.extend(database::ask(settings, &paths));
            checks.extend(services::ask(settings));
        }
    }
    let exit = exit_of(&checks);
    let diagnosis = Diagnosis {
        version: super::version::long(),
        settings: Settings::shown(layers).into_iter().map(line).collect(),
        checks,
        state,
        exit: exit.code(),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&diagnosis).unwrap_or_default() + "\n"
    } else {
        render(&diagnosis, args.offline)
    };
    super::print_bytes(redactor.redact(&text).as_bytes());
    exit
}

/// The first broken party in the order in which a person should mend: settings, state, backend, sources.
fn exit_of(checks: &[Check]) -> Exit {
    let broken = |party| checks.iter().any(|check| !check.ok && check.party == party);
    [Party::Usage, Party::State, Party::Backend, Party::Source]
        .into_iter()
        .find(|party| broken(*party))
        .map_or(Exit::Done, Exit::of)
}

fn settings_faults(error: &ConfigError) -> Vec<Check> {
    match error {
        ConfigError::Settings(faults) => faults
            .iter()
            .map(|fault| {
                Check::bad(fault.name, Party::Usage, fault.problem.clone(), fault.hint.clone().unwrap_or_default())
            })
            .collect(),
        ConfigError::DotEnv { .. } => vec![Check::fault("settings", error)],
    }
}

fn look_at_state(paths: &StatePaths, checks: &mut Vec<Check>) -> Option<admin::Summary> {
    match admin::show(paths, Timestamp::now()) {
        Ok(summary) => {
            checks.push(match &summary.lock {
                crate::checkpoint::LockStatus::Free => Check::good("state", Party::State, "readable, nobody holds it"),
                crate::checkpoint::LockStatus::Held(holder) => {
                    Check::good("state", Party::State, format!("readable, in use by {holder}"))
                }
            });
            Some(summary)
        }
        Err(error) => {
            checks.push(Check::fault("state", &error));
            None
        }
    }
}

fn line(shown: ShownSetting) -> SettingLine {
    SettingLine { name: shown.name, value: shown.value, origin: shown.origin.as_str() }
}

fn render(diagnosis: &Diagnosis, offline: bool) -> String {
    let mut settings = plain(&["setting", "value", "from"]);
    for setting in &diagnosis.settings {
        settings.add_row([setting.name, setting.value.as_str(), setting.origin]);
    }
    let mut text = format!("parser {}\n\n{settings}\n\n", diagnosis.version);
    if let Some(state) = &diagnosis.state {
        text.push_str(&super::state::show(state));
        text.push('\n');
    }
    for check in &diagnosis.checks {
        let mark = if check.ok { "ok  " } else { "BAD " };
        let time = check.milliseconds.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        let _ = writeln!(text, "{mark} {}: {}{time}", check.name, check.finding);
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "     hint: {hint}");
        }
    }
    if offline {
        text.push_str("services were not asked (--offline)\n");
    }
    text
}
