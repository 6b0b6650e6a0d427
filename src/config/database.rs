//! Where the backend's tables are: a file or a PostgreSQL server, and how patient to be with the latter.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::Reader;

/// The text of `DATABASE_URL` and of flags like it.
#[derive(Debug, Clone)]
pub enum DatabasePlace {
    /// `sqlite:PATH`, or just a path.
    File(PathBuf),
    /// `postgres://…` with its password.
    Server(SecretString),
}

/// The backend's database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `None` = `catalog.db` in the state folder.
    pub place: Option<DatabasePlace>,
    /// Connections to a server.
    pub connections: usize,
    /// One attempt to connect.
    pub connect_timeout: Duration,
    /// One statement.
    pub statement_timeout: Duration,
    /// For a free connection, and for a lost server to come back.
    pub wait: Duration,
}

impl DatabasePlace {
    /// Reads such a text; the error never repeats it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Server(text.to_owned().into()));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None if text.contains("://") => return Err("is neither `sqlite:PATH` nor `postgres://…`"),
            None => text,
        };
        if path.is_empty() || path.contains(":memory:") { Err("names no file") } else { Ok(Self::File(path.into())) }
    }

    /// What must not be shown of it: the whole address, and the password.
    pub fn secrets(&self) -> Vec<SecretString> {
        let Self::Server(url) = self else { return Vec::new() };
        let text = url.expose_secret();
        let user = text.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
        let password = user.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
        let password = password.unwrap_or_default();
        let mut secrets = vec![url.clone()];
        // One that is an everyday word would blank that word wherever it stands.
        if password.len() >= 8 && password != "postgres" {
            secrets.push(password.to_owned().into());
            let plain: String = url::form_urlencoded::parse(format!("p={}", password.replace('+', "%2B")).as_bytes())
                .map(|(_, value)| value.into_owned())
                .collect();
            secrets.push(plain.into());
        }
        secrets
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> DatabaseSettings {
    let place = reader.text("DATABASE_URL").and_then(|text| match DatabasePlace::parse(&text) {
        Ok(place) => Some(place),
        Err(problem) => {
            let hint = "for example `sqlite:state/catalog.db` or `postgres://user:password@host:5432/database`";
            reader.fault("DATABASE_URL", problem, Some(hint));
            None
        }
    });
    DatabaseSettings {
        place,
        connections: usize::try_from(reader.number("DATABASE_CONNECTIONS", 1..=256)).unwrap_or(1),
        connect_timeout: reader.seconds("DATABASE_CONNECT_TIMEOUT_SECONDS"),
        statement_timeout: reader.seconds("DATABASE_STATEMENT_TIMEOUT_SECONDS"),
        wait: reader.seconds("DATABASE_WAIT_SECONDS"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret as _;

    use super::DatabasePlace;

    #[test]
    fn files_and_servers_are_told_apart() {
        for (text, path) in [
            ("sqlite:state/catalog.db", "state/catalog.db"),
            ("sqlite:///var/lib/catalog.db", "/var/lib/catalog.db"),
            ("/var/lib/catalog.db", "/var/lib/catalog.db"),
            ("catalog.db", "catalog.db"),
        ] {
            let Ok(DatabasePlace::File(found)) = DatabasePlace::parse(text) else { panic!("{text}") };
            assert_eq!(found, Path::new(path), "{text}");
        }
        assert!(matches!(DatabasePlace::parse("postgresql://h/d"), Ok(DatabasePlace::Server(_))));
        for wrong in ["mysql://h/d", "sqlite:", "sqlite::memory:", ""] {
            assert!(DatabasePlace::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_password_is_a_secret_in_both_spellings() {
        let place = DatabasePlace::parse("postgres://me:pass%40word%21@host/db?sslmode=require").unwrap();
        let secrets: Vec<_> = place.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect();
        assert_eq!(secrets[1..], ["pass%40word%21", "pass@word!"]);
    }
}
