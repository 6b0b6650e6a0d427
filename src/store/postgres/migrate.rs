//! Brings the tables of a database up to date, by the same numbered and checksummed files as the embedded engine.
//!
//! Servers that start together wait for each other by a lock of the session, so one of them makes the tables and the
//! others find them made. Each file is applied in a transaction of its own, together with the note that it was.

use refinery::{Migration, Runner};
use tokio_postgres::Client;

use super::failure::{self, Failure};
use crate::store::error::StoreErrorKind;
use crate::store::sqlite::Schema;

/// What can go wrong here.
#[derive(Debug)]
pub(super) enum Problem {
    Server(Failure),
    Newer {
        found: i64,
        known: i64,
    },
    Older {
        found: i64,
        known: i64,
    },
    /// In the words of all engines already.
    Stated(StoreErrorKind),
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error.into())
    }
}

impl Problem {
    pub(super) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Server(failure) => failure.kind(),
            Self::Newer { found, known } => StoreErrorKind::NewerSchema { found: *found, known: *known },
            Self::Older { found, known } => StoreErrorKind::OlderSchema { found: *found, known: *known },
            Self::Stated(kind) => kind.clone(),
        }
    }
}

/// Version of the tables; 0 for an empty database.
async fn version(client: &Client) -> Result<i64, Problem> {
    let there: bool =
        client.query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[]).await?.try_get(0)?;
    if !there {
        return Ok(0);
    }
    let sql = "SELECT CAST(coalesce(max(version), 0) AS BIGINT) FROM refinery_schema_history";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// The version, if it is none or just the one that this program works with.
pub(super) async fn check(client: &Client, schema: &Schema) -> Result<i64, Problem> {
    let (found, known) = (version(client).await?, schema.version());
    match found {
        _ if found > known => Err(Problem::Newer { found, known }),
        _ if found > 0 && found < known => Err(Problem::Older { found, known }),
        _ => Ok(found),
    }
}

/// Brings the database up to date. The connection is to be closed afterwards: that gives the lock up.
pub(super) async fn run(client: &mut Client, schema: &Schema) -> Result<(), Problem> {
    // A new index may take long; another server that is at it may, too.
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = '10min'").await?;
    client.batch_execute("SELECT pg_advisory_lock(hashtextextended('parser schema', 0))").await?;
    let (found, known) = (version(client).await?, schema.version());
    if found > known {
        return Err(Problem::Newer { found, known });
    }
    let migrations = schema
        .migrations
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::Stated(StoreErrorKind::Corrupt(error.to_string())))?;
    match Runner::new(&migrations).run_async(client).await {
        Ok(_) => Ok(()),
        Err(error) => Err(cause(&error)),
    }
}

/// The server's error inside refinery's: it cannot be moved out, but its meaning can.
fn cause(error: &refinery::Error) -> Problem {
    let server = match error.kind() {
        refinery::error::Kind::Connection(_, cause) => cause.downcast_ref::<tokio_postgres::Error>(),
        _ => None,
    };
    // Everything else: a file that was applied is not what it was then.
    Problem::Stated(server.map_or_else(|| StoreErrorKind::Corrupt(crate::error::chain(error)), failure::kind))
}
