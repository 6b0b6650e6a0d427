//! `parser copy`: everything that is stored, from one database to another, all or nothing.

use std::path::Path;

use clap::Args;

use crate::backend::BackendError;
use crate::config::{DatabasePlace, Layers, Needs, Settings};
use crate::observe::Redactor;
use crate::store::copy::{self, Rows};
use crate::store::{Location, Store, StoreError};

use super::exit::Exit;
use super::table::{grouped, plain};
use super::{complain, messages, place};

/// `parser copy`.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// What to copy: `sqlite:PATH`, `postgres://…`, or `env:NAME` of a variable that holds it. It is only read.
    #[arg(long, value_name = "DATABASE")]
    pub from: String,

    /// Where to: an empty database, written alike. It becomes the same store: rows, row ids and identity.
    #[arg(long, value_name = "DATABASE")]
    pub to: String,

    /// Replace what is in `--to`.
    #[arg(long)]
    pub force: bool,

    /// Write nothing; say what would be copied, and whether it can.
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) fn execute(args: &CopyArgs, layers: &Layers, folder: &Path) -> Exit {
    let settings = match Settings::load(layers, Needs::default()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let (from, to) = match (argument("--from", &args.from), argument("--to", &args.to)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(problem), _) | (_, Err(problem)) => {
            messages::error(&problem, Some("for example `--from sqlite:state/catalog.db --to env:DATABASE_URL`"));
            return Exit::Usage;
        }
    };
    let mut secrets = settings.secrets();
    secrets.extend(from.secrets());
    secrets.extend(to.secrets());
    let from = place::other(&settings.database, &from, folder);
    let to = place::other(&settings.database, &to, folder);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    match runtime.block_on(run(args, &from, &to)) {
        Ok(Some(rows)) => {
            let done = if args.dry_run { "nothing was written; this would be copied" } else { "copied and compared" };
            super::print_bytes(format!("{}\n", shown(&rows)).as_bytes());
            messages::say(done);
            Exit::Done
        }
        Ok(None) => {
            messages::error("--from: there is no store", Some("is the path or the name of the database right?"));
            Exit::Backend
        }
        Err(error) => complain(&BackendError::from(error), &Redactor::new(&secrets)),
    }
}

fn argument(flag: &str, text: &str) -> Result<DatabasePlace, String> {
    place::argument(text).map_err(|problem| format!("{flag} {problem}"))
}

/// `None` = there is nothing to copy from.
async fn run(args: &CopyArgs, from: &Location, to: &Location) -> Result<Option<Rows>, StoreError> {
    let Some(from) = Store::open_read_only(from).await? else { return Ok(None) };
    if args.dry_run {
        if let Some(to) = Store::open_read_only(to).await?
            && !args.force
        {
            copy::must_be_empty(&to).await?;
        }
        return copy::rows(&from).await.map(Some);
    }
    let to = Store::open(to, 0).await?;
    copy::copy(&from, &to, args.force).await.map(Some)
}

fn shown(rows: &Rows) -> String {
    let mut table = plain(&["table", "rows"]);
    for (name, rows) in rows {
        table.add_row([name.clone(), grouped(*rows)]);
    }
    table.to_string()
}
