//! `parser groups list|add`: the groups of nodes that messages may name.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backend::BackendError;
use crate::backend::groups::{Groups, name_fault};
use crate::config::Layers;

use super::backend::{Backend, block_on};
use super::exit::Exit;
use super::{complain, harmless, messages, print_bytes, table};

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum GroupsCommand {
    /// List groups by their domains
    List(ListArgs),
    /// Make groups of a domain; those that are there stay as they are
    Add(AddArgs),
}

/// `parser groups list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this domain
    #[arg(long, value_name = "ID")]
    pub domain: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `parser groups add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Whose groups
    #[arg(long, value_name = "ID", value_parser = name)]
    pub domain: String,

    /// Their names
    #[arg(required = true, value_name = "GROUP", value_parser = name)]
    pub groups: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn name(text: &str) -> Result<String, String> {
    name_fault(text).map_or_else(|| Ok(text.to_owned()), Err)
}

pub(super) fn execute(command: &GroupsCommand, layers: &Layers, folder: &Path) -> Exit {
    let backend = match Backend::of(layers, folder) {
        Ok(backend) => backend,
        Err(exit) => return exit,
    };
    block_on(async {
        let done = async {
            let groups = Groups::new(backend.open().await?);
            match command {
                GroupsCommand::List(args) => list(&groups, args).await,
                GroupsCommand::Add(args) => add(&groups, args).await,
            }
        };
        let done: Result<Exit, BackendError> = done.await;
        done.unwrap_or_else(|error| complain(&error, &backend.redactor))
    })
}

async fn list(groups: &Groups, args: &ListArgs) -> Result<Exit, BackendError> {
    let mut found = Vec::new();
    groups.each(args.domain.clone(), |page| found.extend(page)).await?;
    let time = |millis| jiff::Timestamp::from_millisecond(millis).map(|at| at.to_string()).unwrap_or_default();
    if args.json {
        let shown = found
            .iter()
            .map(|group| json!({ "domain": group.domain, "group": group.name, "created_at": time(group.created_at) }));
        return Ok(print_bytes(format!("{}\n", json!({ "groups": shown.collect::<Vec<_>>() })).as_bytes()));
    }
    if found.is_empty() {
        messages::say("there are no such groups");
        return Ok(Exit::Done);
    }
    let mut shown = table::plain(&["domain", "group", "since"]);
    for group in found {
        let since = time(group.created_at);
        shown.add_row([group.domain, group.name, since]);
    }
    Ok(print_bytes(harmless(&format!("{shown}\n")).as_bytes()))
}

async fn add(groups: &Groups, args: &AddArgs) -> Result<Exit, BackendError> {
    let names: BTreeSet<String> = args.groups.iter().cloned().collect();
    let made = groups.add(args.domain.clone(), names.clone()).await?;
    let known: Vec<_> = names.difference(&made).collect();
    if args.json {
        return Ok(print_bytes(format!("{}\n", json!({ "made": made, "known": known })).as_bytes()));
    }
    messages::say(&format!("{} made, {} were there already", made.len(), known.len()));
    Ok(Exit::Done)
}
