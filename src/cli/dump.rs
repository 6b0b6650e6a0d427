//! `parser dump`: the catalogue as JSON lines on standard output, in memory that does not grow with it.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Args;

use crate::backend::BackendError;
use crate::config::{Layers, Needs, Settings};
use crate::observe::Redactor;
use crate::store::sql::SqlError;
use crate::store::{Location, Store, StoreError, catalogue};

use super::exit::Exit;
use super::{complain, messages, place};

/// Lines are handed over in pieces of about this size.
const PIECE: usize = 64 << 10;

/// `parser dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// `sqlite:PATH`, `postgres://…`, or `env:NAME` of a variable that holds it. Default: the catalogue of the settings.
    #[arg(long, value_name = "DATABASE")]
    pub database: Option<String>,
}

pub(super) fn execute(args: &DumpArgs, layers: &Layers, folder: &Path) -> Exit {
    let settings = match Settings::load(layers, Needs::default()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let mut secrets = settings.secrets();
    let location = match args.database.as_deref().map(place::argument) {
        None => place::catalogue(&settings.database, &super::run::paths(&settings, folder)),
        Some(Ok(other)) => {
            secrets.extend(other.secrets());
            place::other(&settings.database, &other, folder)
        }
        Some(Err(problem)) => {
            messages::error(&format!("--database {problem}"), Some("`sqlite:PATH` or `postgres://…`"));
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    match runtime.block_on(dump(&location)) {
        Ok(true) => Exit::Done,
        Ok(false) => {
            messages::error("there is no catalogue yet", Some("`parser run` or `parser serve` makes it"));
            Exit::Backend
        }
        Err(error) => complain(&BackendError::from(error), &Redactor::new(&secrets)),
    }
}

/// `false` = there is none.
async fn dump(location: &Location) -> Result<bool, StoreError> {
    let Some(store) = Store::open_read_only(location).await? else { return Ok(false) };
    let written = store.read(|session| {
        // On the store's thread: the database is asked no faster than somebody reads.
        let mut out = io::BufWriter::with_capacity(PIECE, io::stdout());
        let mut gone = false;
        let result = catalogue::dump_lines(session, |line| {
            out.write_all(line.as_bytes()).map_err(|error| {
                gone = error.kind() == io::ErrorKind::BrokenPipe;
                SqlError::Refused(format!("cannot write to standard output: {error}"))
            })
        });
        match result.and_then(|()| out.flush().map_err(|error| SqlError::Refused(error.to_string()))) {
            // A reader that went away (`| head`) is no error.
            Err(_) if gone => Ok(()),
            result => result,
        }
    });
    written.await.map(|()| true)
}
