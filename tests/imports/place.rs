//! A folder, a database on either engine, servers on it, and a client that takes whatever comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parser::store::{Location, Server, Store, catalogue};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{self, Database};

/// Nothing here takes longer, so whatever does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) const TOKEN: &str = "a-token-of-more-than-32-characters-for-tests";

pub(crate) const IMPORTS: &str = "/api/v1/imports";

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// Where servers run: a folder, and a database that may be elsewhere.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) database: Option<Database>,
}

/// Runs the test on a new place of each engine there is.
pub(crate) fn on_each_engine(test: impl Fn(&Place)) {
    test(&Place::sqlite());
    if let Some(place) = Place::postgres() {
        test(&place);
    }
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    pub(crate) fn postgres() -> Option<Self> {
        cluster::database().map(|database| Self { folder: tempfile::tempdir().unwrap(), database: Some(database) })
    }

    pub(crate) fn serve(&self) -> Served {
        self.serve_with(&[])
    }

    /// A server with more settings.
    pub(crate) fn serve_with(&self, env: &[(&str, &str)]) -> Served {
        self.try_serve(env).expect("it does not start")
    }

    /// The same, where it may die before it listens.
    pub(crate) fn try_serve(&self, env: &[(&str, &str)]) -> Option<Served> {
        let mut all = vec![("INTERNAL_TOKEN", TOKEN), ("IMPORT_LEASE_SECONDS", "2")];
        if let Some(database) = &self.database {
            all.push(("DATABASE_URL", &database.url));
        }
        all.extend_from_slice(env);
        Served::start(self.folder.path(), &all)
    }

    fn location(&self) -> Location {
        match &self.database {
            Some(database) => Location::Server(Server::new(database.url.clone().into())),
            None => Location::File(self.folder.path().join("state/catalog.db")),
        }
    }

    /// The store itself.
    pub(crate) fn store<T>(&self, ask: impl AsyncFnOnce(Store) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { ask(Store::open(&self.location(), 0).await.unwrap()).await })
    }

    /// All of the catalogue.
    pub(crate) fn dump(&self) -> String {
        self.store(async |store| store.read(catalogue::dump).await.unwrap())
    }
}

/// A running server. Dropping it ends it.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Served {
    fn start(folder: &Path, env: &[(&str, &str)]) -> Option<Self> {
        let log = folder.join(format!("log-{}", uuid::Uuid::now_v7()));
        let mut env = env.to_vec();
        if !env.iter().any(|(name, _)| *name == "LISTEN") {
            env.push(("LISTEN", "127.0.0.1:0"));
        }
        let mut child = command(folder, &["serve"], &env)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            child.wait().unwrap();
            println!("it said `{line}`: {}", std::fs::read_to_string(&log).unwrap());
            return None;
        };
        Some(Self { child, address: address.parse().unwrap(), log })
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it cleanly.
    pub(crate) fn stop(&mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body).unwrap_or_else(|| panic!("no answer: {}", self.log()))
    }

    /// The same, where the server may die before it answers.
    pub(crate) fn try_ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(&head(method, path, headers, body.len())).ok()?;
        // A refusal may come before the whole body is sent.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::read(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// A new import's path.
    pub(crate) fn import(&self, body: &Value) -> String {
        let answer = self.ask("POST", IMPORTS, &[JSON], body.to_string().as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.header("location").unwrap().to_owned()
    }

    pub(crate) fn send(&self, import: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask("POST", &format!("{import}/batches"), headers, body)
    }

    /// Asks until it is so.
    pub(crate) fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let now = self.get(path);
            if so(&now) {
                return now;
            }
            assert!(started.elapsed() < DEADLINE, "{path} stays {now}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The import or batch when it has ended.
    pub(crate) fn ended(&self, path: &str) -> Value {
        self.until(path, |now| !["created", "started"].contains(&now["status"].as_str().unwrap()))
    }

    pub(crate) fn finalise(&self, import: &str) -> Value {
        let answer = self.ask("PATCH", &format!("{import}/finalise"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.ended(import)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// The binary in a folder, with nothing in its environment but this.
pub(crate) fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
    command.args(args).current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command
}

/// The head of a request in HTTP/1.0: the answer ends with the connection, and has no chunks.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: test\r\nAuthorization: Bearer {TOKEN}\r\n");
    if method != "GET" {
        head += "Content-Length: ";
        head += &length.to_string();
        head += "\r\n";
    }
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// What a server has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Some(Self { status, headers, text: body.to_owned() })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: `{}`", self.text))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap().to_owned())
    }
}

/// A record that is good.
pub(crate) fn record(id: usize) -> Value {
    json!({ "kind": "series", "source_name": "s", "external_id": id.to_string(),
        "payload": { "title": format!("Title {id}"), "year": 2000 } })
}

/// A record that the importer refuses.
pub(crate) fn refused(id: usize) -> Value {
    json!({ "kind": "series", "source_name": "s", "external_id": id.to_string(), "payload": { "title": "T", "year": 5 } })
}

/// Records as lines.
pub(crate) fn lines(records: impl IntoIterator<Item = Value>) -> Vec<u8> {
    records.into_iter().flat_map(|record| format!("{record}\n").into_bytes()).collect()
}
