//! `parser staging list|show|requeue|discard`: records that wait for the catalogue, and those it could not take.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::backend::BackendError;
use crate::backend::staging::{Requeued, Staging};
use crate::config::Layers;
use crate::model::RecordKind;
use crate::store::staging::{Filter, StagedRow, State};

use super::backend::Backend;
use super::exit::Exit;
use super::{complain, harmless, messages, print_bytes, table};

/// What to do with staged records.
#[derive(Debug, Subcommand)]
pub enum StagingCommand {
    /// List staged records: to be processed, refused (and why), processed
    List(ListArgs),
    /// Show one staged record whole
    Show(OneArgs),
    /// Put refused records back into the queue of their job
    Requeue(ManyArgs),
    /// Throw staged records away; what they brought into the catalogue stays
    Discard(ManyArgs),
}

/// `parser staging list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only `series`, `release`, `character` or `pet`
    #[arg(long)]
    pub kind: Option<RecordKind>,

    /// Only `init`, `processing`, `processed` or `with_errors`
    // `--state` is where the state is, for every command.
    #[arg(long, value_name = "STATE")]
    pub in_state: Option<State>,

    /// Only of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// At most this many of each kind
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One record.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The number that the list shows
    pub id: i64,

    /// `series`, `release`, `character` or `pet`
    #[arg(long)]
    pub kind: RecordKind,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Some records of a kind.
#[derive(Debug, Args)]
pub struct ManyArgs {
    /// The numbers that the list shows
    #[arg(required_unless_present = "all")]
    pub ids: Vec<i64>,

    /// `series`, `release`, `character` or `pet`
    #[arg(long)]
    pub kind: RecordKind,

    /// All records of this kind that were refused
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,

    /// Only those of this source (with `--all`)
    #[arg(long, value_name = "NAME", requires = "all")]
    pub source: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn execute(command: &StagingCommand, layers: &Layers, folder: &Path) -> Exit {
    let backend = match Backend::of(layers, folder) {
        Ok(backend) => backend,
        Err(exit) => return exit,
    };
    backend.block_on(async {
        let done = async {
            let staging = Staging::new(backend.open().await?);
            match command {
                StagingCommand::List(args) => list(&staging, args).await,
                StagingCommand::Show(args) => show(&staging, args).await,
                StagingCommand::Requeue(args) => many(&staging, args, true).await,
                StagingCommand::Discard(args) => many(&staging, args, false).await,
            }
        };
        let done: Result<Exit, BackendError> = done.await;
        done.unwrap_or_else(|error| complain(&error, &backend.redactor))
    })
}

async fn list(staging: &Staging, args: &ListArgs) -> Result<Exit, BackendError> {
    let mut found = Vec::new();
    let kinds = args.kind.map_or_else(|| RecordKind::ALL.to_vec(), |kind| vec![kind]);
    for kind in kinds {
        let filter = Filter { state: args.in_state, source: args.source.clone(), after: 0, limit: args.limit };
        found.extend(staging.list(kind, filter).await?.into_iter().map(|row| (kind, row)));
    }
    if args.json {
        let rows: Vec<Value> = found.iter().map(|(kind, row)| to_json(*kind, row, false)).collect();
        return Ok(print_json(&json!({ "rows": rows })));
    }
    if found.is_empty() {
        messages::say("nothing is staged that fits");
        return Ok(Exit::Done);
    }
    let mut shown = table::plain(&["kind", "id", "source", "record", "state", "tries", "why"]);
    for (kind, row) in &found {
        let name =
            if row.shape.is_empty() { row.external_id.clone() } else { format!("{} ({})", row.external_id, row.shape) };
        shown.add_row([
            kind.to_string(),
            row.id.to_string(),
            row.source_name.clone(),
            name,
            row.state.to_string(),
            row.attempts.to_string(),
            why(row),
        ]);
    }
    Ok(print_bytes(harmless(&format!("{shown}\n")).as_bytes()))
}

fn why(row: &StagedRow) -> String {
    match (&row.waits_for, &row.error_code, &row.error_message) {
        (Some(on), ..) => format!("waits for {on}"),
        (None, Some(code), message) => format!("{code}: {}", message.as_deref().unwrap_or_default()),
        _ => String::new(),
    }
}

async fn show(staging: &Staging, args: &OneArgs) -> Result<Exit, BackendError> {
    let Some(row) = staging.get(args.kind, args.id).await? else { return Ok(unknown(args.kind, args.id)) };
    if args.json {
        return Ok(print_json(&to_json(args.kind, &row, true)));
    }
    let mut text = format!(
        "record    {} {}/{}\nstate     {}, tried {} times\n",
        args.kind, row.source_name, row.external_id, row.state, row.attempts
    );
    let more = [
        ("part", Some(row.shape.clone()).filter(|shape| !shape.is_empty())),
        ("why", Some(why(&row)).filter(|why| !why.is_empty())),
        ("import", row.import.map(|id| id.to_string())),
        ("staged", jiff::Timestamp::from_millisecond(row.created_at).ok().map(|at| at.to_string())),
        ("changed", jiff::Timestamp::from_millisecond(row.updated_at).ok().map(|at| at.to_string())),
        ("payload", row.payload.clone()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            text += &format!("{name:<9} {value}\n");
        }
    }
    Ok(print_bytes(harmless(&text).as_bytes()))
}

async fn many(staging: &Staging, args: &ManyArgs, requeue: bool) -> Result<Exit, BackendError> {
    let ids = if args.all { refused(staging, args).await? } else { args.ids.clone() };
    let (mut done, mut exit) = (0_u64, Exit::Done);
    for id in ids {
        let outcome = if requeue {
            staging.requeue(args.kind, id).await?
        } else if staging.discard(args.kind, id).await? {
            Requeued::Done
        } else {
            Requeued::Unknown
        };
        match outcome {
            Requeued::Done => done += 1,
            Requeued::Unknown => exit = unknown(args.kind, id),
            Requeued::Refused(state) => {
                let hint = Some("only whole records that were refused go back into the queue");
                messages::error(&format!("the {} {id} is {state}", args.kind), hint);
                exit = Exit::SomeFailed;
            }
        }
    }
    let word = if requeue { "requeued" } else { "discarded" };
    let printed =
        if args.json { print_json(&json!({ word: done })) } else { print_bytes(format!("{word} {done}\n").as_bytes()) };
    Ok(exit.max_of(printed))
}

/// Rows of a kind that were refused.
async fn refused(staging: &Staging, args: &ManyArgs) -> Result<Vec<i64>, BackendError> {
    let (mut ids, mut after) = (Vec::new(), 0);
    loop {
        let filter = Filter { state: Some(State::WithErrors), source: args.source.clone(), after, limit: 1_000 };
        let rows = staging.list(args.kind, filter).await?;
        let Some(last) = rows.last() else { return Ok(ids) };
        after = last.id;
        ids.extend(rows.iter().map(|row| row.id));
    }
}

fn unknown(kind: RecordKind, id: i64) -> Exit {
    messages::error(&format!("there is no staged {kind} {id}"), Some("`parser staging list` shows what there is"));
    Exit::SomeFailed
}

fn to_json(kind: RecordKind, row: &StagedRow, whole: bool) -> Value {
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).ok().map(|at| at.to_string());
    let mut value = json!({
        "id": row.id,
        "kind": kind,
        "source_name": row.source_name,
        "external_id": row.external_id,
        "shape": row.shape,
        "state": row.state,
        "waits_for": row.waits_for,
        "collision": row.collision,
        "attempts": row.attempts,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "import_id": row.import,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    });
    if whole {
        let payload = row.payload.as_deref().and_then(|json| serde_json::from_str(json).ok());
        value["payload"] = payload.unwrap_or(Value::Null);
    }
    value
}

fn print_json(value: &Value) -> Exit {
    print_bytes((serde_json::to_string_pretty(value).unwrap_or_default() + "\n").as_bytes())
}
