//! Where the catalogue of the settings is, and how a database on the command line is read.

use std::path::Path;

use crate::checkpoint::StatePaths;
use crate::config::{DatabasePlace, DatabaseSettings};
use crate::store::{Location, Server};

/// The file or the server of `DATABASE_URL`; by default the file beside the state.
pub(super) fn catalogue(settings: &DatabaseSettings, paths: &StatePaths) -> Location {
    match &settings.place {
        Some(DatabasePlace::Server(url)) => server(settings, url.clone()),
        _ => Location::File(paths.catalog.clone()),
    }
}

/// Another one than that of the settings, with their patience.
pub(super) fn other(settings: &DatabaseSettings, place: &DatabasePlace, folder: &Path) -> Location {
    match place {
        DatabasePlace::File(path) => Location::File(folder.join(path)),
        DatabasePlace::Server(url) => server(settings, url.clone()),
    }
}

fn server(settings: &DatabaseSettings, url: secrecy::SecretString) -> Location {
    Location::Server(Server {
        url,
        connections: settings.connections,
        connect_timeout: settings.connect_timeout,
        statement_timeout: settings.statement_timeout,
        wait: settings.wait,
    })
}

/// A database on the command line. `env:NAME` = it stands in that variable, where a list of processes does not show its
/// password.
pub(super) fn argument(text: &str) -> Result<DatabasePlace, String> {
    let text = match text.strip_prefix("env:") {
        Some(name) => std::env::var(name).map_err(|_| format!("the environment has no usable `{name}`"))?,
        None => text.to_owned(),
    };
    DatabasePlace::parse(&text).map_err(str::to_owned)
}
