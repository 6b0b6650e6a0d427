//! `parser serve` as a process of its own on either engine, and what it and its database cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::{Cluster, Database};
use crate::process::{self, Helper};

pub(crate) const TOKEN: &str = "a-token-of-the-benchmark-with-32-characters";

const IMPORTS: &str = "/api/v1/imports";

/// Shortest and longest time between two looks at an import: counting a large one costs the server something.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The benchmark's own cluster, as Debian's package sets it up, waiting for the disk at every commit.
fn cluster() -> anyhow::Result<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Cluster::start_with("-c fsync=on -c shared_buffers=128MB"));
    cluster.as_ref().context("no PostgreSQL here: apt-get install postgresql, or choose `--engine sqlite`")
}

/// An empty database there.
#[cfg(feature = "kafka")]
pub(crate) fn database() -> anyhow::Result<Database> {
    cluster().map(Cluster::database)
}

/// CPU time of the cluster's processes so far.
pub(crate) fn cluster_cpu() -> anyhow::Result<Duration> {
    process::family_cpu(cluster()?.postmaster())
}

/// An empty database and the folder of those who use it.
pub(crate) struct Place {
    folder: PathBuf,
    database: Option<Database>,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> anyhow::Result<Self> {
        let folder = crate::scenarios::scratch()?.join("backend");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let database = (engine == Engine::Postgres).then(cluster).transpose()?.map(Cluster::database);
        Ok(Self { folder, database })
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> anyhow::Result<&str> {
        self.database.as_ref().map(|database| database.url.as_str()).context("it is on no server")
    }

    /// A command of the product on this database.
    pub(crate) fn command(&self, parser: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(parser);
        command.args(arguments).current_dir(&self.folder).env("INTERNAL_TOKEN", TOKEN);
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", &database.url);
        }
        command
    }

    /// Runs such a command to its end.
    pub(crate) fn measure(&self, parser: &Path, arguments: &[&str]) -> anyhow::Result<process::Cost> {
        process::measure(&mut self.command(parser, arguments), &self.folder.join("command.log"))
    }

    pub(crate) fn serve(&self, parser: &Path) -> anyhow::Result<Served> {
        let mut command = self.command(parser, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("LOG_LEVEL", "warn");
        let (helper, address) = Helper::start(&mut command, |line| {
            line.strip_prefix("listening on http://").map(|address| address.trim().to_owned())
        })?;
        Ok(Served { helper, address })
    }

    /// CPU time of the database's processes so far; nothing where it is a part of the server.
    pub(crate) fn database_cpu(&self) -> anyhow::Result<Duration> {
        match self.database {
            Some(_) => cluster_cpu(),
            None => Ok(Duration::ZERO),
        }
    }
}

/// A running server.
pub(crate) struct Served {
    pub(crate) helper: Helper,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::open(&self.address)
    }

    /// Sends records as one batch of JSON lines and waits until the import has ended with all of them.
    pub(crate) fn import(&self, process: &str, records: impl Iterator<Item = String>) -> anyhow::Result<()> {
        self.import_watched(process, records, || Ok(()))
    }

    /// The same; `look` is called while it waits.
    pub(crate) fn import_watched(
        &self,
        process: &str,
        records: impl Iterator<Item = String>,
        mut look: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut client = self.client()?;
        let import = client.json("POST", IMPORTS, &json!({ "source": "bench", "process": process }))?;
        let path = format!("{IMPORTS}/{}", import["id"].as_str().context("no import")?);
        let mut sent = 0_u64;
        client.stream(&format!("{path}/batches"), records.inspect(|_| sent += 1))?;
        client.json("PATCH", &format!("{path}/finalise"), &Value::Null)?;
        loop {
            let now = client.json("GET", &path, &Value::Null)?;
            if now["status"] == "completed" {
                ensure!(now["results"]["completed"] == sent, "not all are in: {now}");
                return Ok(());
            }
            ensure!(now["status"] == "started", "it ended as {now}");
            look()?;
            std::thread::sleep((started.elapsed() / 100).clamp(LOOK.0, LOOK.1));
        }
    }
}

/// What something cost: time on the clock, CPU time of the server, CPU time of its database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) server: Duration,
    pub(crate) database: Duration,
}

/// Does it, and tells what it cost.
pub(crate) fn spent(
    place: &Place,
    served: &Served,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Spent> {
    let (started, server, database) = (Instant::now(), served.helper.cpu()?, place.database_cpu()?);
    work()?;
    Ok(Spent {
        wall: started.elapsed(),
        server: served.helper.cpu()?.saturating_sub(server),
        database: place.database_cpu()?.saturating_sub(database),
    })
}

/// A series as a record; about 400 bytes.
pub(crate) fn series(at: u64) -> String {
    json!({
        "kind": "series", "source_name": "bench", "external_id": at.to_string(),
        "payload": {
            "title": format!("Title {at}"), "year": 2000, "status": "ongoing", "genres": ["Drama", "Comedy"],
            "description": "word ".repeat(40),
        },
    })
    .to_string()
}

/// A release of that series with ten episodes and their links.
pub(crate) fn release(at: u64) -> String {
    let episodes: Vec<_> = (1..=10)
        .map(|n| json!({ "id": format!("{at}:{n}"), "number": n, "url": format!("https://player.example/{at}/{n}") }))
        .collect();
    json!({
        "kind": "release", "source_name": "bench", "external_id": format!("release-{at}"),
        "payload": {
            "series": at.to_string(), "translation": { "id": 610, "title": "Studio", "kind": "voice" },
            "priority": 100, "episodes": episodes,
        },
    })
    .to_string()
}
