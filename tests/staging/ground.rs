//! A catalogue on one of the engines, the binary working on it, and records to bring in.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use parser::store::{Location, Server, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster;

/// Nothing here takes longer, so whatever does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The token of servers.
pub(crate) const TOKEN: &str = "a-token-of-more-than-32-characters-for-tests";

/// An empty catalogue.
pub(crate) struct Ground {
    folder: TempDir,
    database: Option<cluster::Database>,
}

/// Runs a test on both engines.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&crate::ground::Ground::embedded());
            })*
        }
        mod server {
            $(#[test]
            fn $name() {
                if let Some(ground) = crate::ground::Ground::server() {
                    super::$name(&ground);
                }
            })*
        }
    };
}
pub(crate) use both;

impl Ground {
    pub(crate) fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    pub(crate) fn server() -> Option<Self> {
        let database = Some(cluster::database()?);
        Some(Self { folder: tempfile::tempdir().unwrap(), database })
    }

    /// Another empty one on the same engine.
    pub(crate) fn another(&self) -> Self {
        if self.database.is_some() { Self::server().unwrap() } else { Self::embedded() }
    }

    /// The embedded catalogue.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("catalog.db")
    }

    pub(crate) fn is_server(&self) -> bool {
        self.database.is_some()
    }

    fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url.clone(),
            None => format!("sqlite:{}", self.folder.path().join("catalog.db").display()),
        }
    }

    pub(crate) async fn store(&self) -> Store {
        let location = match &self.database {
            Some(database) => Location::Server(Server::new(database.url.clone().into())),
            None => Location::File(self.folder.path().join("catalog.db")),
        };
        Store::open(&location, 1).await.unwrap()
    }

    pub(crate) fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("DATABASE_URL", self.url()).env("INTERNAL_TOKEN", TOKEN).env("LOG_LEVEL", "warn");
        for job in ["CHARACTER", "PET", "SERIES", "RELEASE"] {
            command.env(format!("JOB_{job}_CRON"), "off");
        }
        command.envs(env.iter().copied());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        self.command(args, env).output().unwrap()
    }

    /// The same; it must end with this code. What it printed, and what it said.
    pub(crate) fn expect(&self, args: &[&str], code: i32) -> (String, String) {
        let output = self.run(args, &[]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }

    /// The catalogue as text.
    pub(crate) fn dump(&self) -> String {
        self.expect(&["dump"], 0).0
    }

    /// Runs SQL; all values of its rows as text.
    pub(crate) fn sql(&self, statements: &str) -> Vec<Vec<String>> {
        if let Some(database) = &self.database {
            return cluster::sql(&database.url, statements);
        }
        let connection = rusqlite::Connection::open(self.folder.path().join("catalog.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        let mut statement = connection.prepare(statements).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let value = |index| match row.get::<_, rusqlite::types::Value>(index).unwrap() {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                _ => String::new(),
            };
            found.push((0..columns).map(value).collect());
        }
        found
    }

    /// One value.
    pub(crate) fn one(&self, sql: &str) -> String {
        self.sql(sql).first().and_then(|row| row.first().cloned()).unwrap_or_default()
    }

    /// A server on it.
    pub(crate) fn serve(&self, env: &[(&str, &str)]) -> Served {
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"], env)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").map(|address| address.parse().unwrap());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("it said `{line}`");
        };
        Served { child, address, _said: said }
    }

    /// Stages records through a server.
    pub(crate) fn stage(&self, records: &[Value]) {
        self.serve(&[]).stage(records);
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server; dropping it kills it.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    _said: BufReader<std::process::ChildStdout>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// Status and body of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Internal-Token: {TOKEN}\r\n{kind}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let answer = text(&bytes);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body))
    }

    pub(crate) fn stage(&self, records: &[Value]) {
        let (status, body) = self.post("/api/v1/staging", &Value::from(records));
        assert_eq!((status, body["staged"].as_u64()), (202, Some(records.len() as u64)), "{body}");
    }

    /// Runs a job to its end; how it went.
    pub(crate) fn process(&self, job: &str) -> Value {
        let (status, body) = self.ask("POST", &format!("/api/v1/jobs/{job}/run"), None);
        assert_eq!(status, 202, "{body}");
        until(|| {
            let state = self.get(&format!("/api/v1/jobs/{job}"));
            (state["state"] != "running").then_some(state)
        })
    }
}

/// Waits for something.
pub(crate) fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn record(kind: &str, id: &str, payload: &Value) -> Value {
    json!({ "kind": kind, "source_name": "s", "external_id": id, "payload": payload })
}

pub(crate) fn series(id: &str) -> Value {
    record("series", id, &json!({ "title": format!("Title {id}"), "year": 2020, "genres": ["Drama"] }))
}

pub(crate) fn character(id: &str) -> Value {
    record("character", id, &json!({ "name": format!("Person {id}") }))
}

pub(crate) fn release(id: &str, series: &str, translation: i64) -> Value {
    let url = format!("https://player.example/{id}/1");
    record(
        "release",
        id,
        &json!({
            "series": series, "priority": 3, "translation": { "id": translation, "title": "Studio", "kind": "voice" },
            "episodes": [{ "id": format!("{series}:1"), "number": 1, "url": url }],
        }),
    )
}
