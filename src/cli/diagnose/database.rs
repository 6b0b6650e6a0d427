//! The PostgreSQL server of `DATABASE_URL`, if it names one: is it there, does it let us in, are the tables ours?

use std::time::{Duration, Instant};

use crate::checkpoint::StatePaths;
use crate::cli::place;
use crate::config::Settings;
use crate::error::{Fault as _, Party};
use crate::store::{Location, Store, StoreErrorKind};

use super::Check;

/// Asks it once, without changing anything; `None` = the catalogue is a file.
pub(super) fn ask(settings: &Settings, paths: &StatePaths) -> Option<Check> {
    let Location::Server(mut server) = place::catalogue(&settings.database, paths) else { return None };
    server.connections = 1;
    server.wait = Duration::from_secs(1);
    let name = "PostgreSQL of DATABASE_URL";
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Some(Check::bad(name, Party::Usage, error.to_string(), "")),
    };
    let started = Instant::now();
    let check = match runtime.block_on(Store::open_read_only(&Location::Server(server))) {
        Ok(Some(_)) => Check::good(name, Party::Backend, "answers, and has the tables of this version"),
        Ok(None) => Check::good(name, Party::Backend, "answers; the first run or server makes the tables"),
        Err(error) => match &error.kind {
            StoreErrorKind::OlderSchema { .. } => {
                Check::good(name, Party::Backend, "answers; the next run or server brings the tables up to date")
            }
            _ => Check::bad(name, error.party(), error.to_string(), error.hint().unwrap_or_default()),
        },
    };
    Some(Check { milliseconds: u64::try_from(started.elapsed().as_millis()).ok(), ..check })
}
