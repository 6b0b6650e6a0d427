//! A folder, the binary in it, and what it left in the catalogue.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer, so whatever does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        self.import(&[&["--kind", "nodes", "--domain", "d"], args].concat(), env)
    }

    /// `parser import` of anything.
    pub(crate) fn import(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
        command
            .args(["import", "--json"])
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, &[])
    }

    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        Done(self.command(args, env).output().unwrap())
    }

    /// Runs the command that an import has printed to go on, in a shell.
    pub(crate) fn again(&self, said: &str, env: &[(&str, &str)]) -> Done {
        let line = said.lines().find(|line| line.starts_with("  parser import ")).unwrap_or_else(|| panic!("{said}"));
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_parser"));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).current_dir(self.folder.path()).env_clear().envs(env.iter().copied());
        shell.env("PATH", program.parent().unwrap());
        Done(shell.stdin(Stdio::null()).output().unwrap())
    }

    pub(crate) fn sql(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path("state/catalog.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// All rows of an answer, columns joined by `|`.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        let connection = self.sql();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|index| match row.get_ref(index).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => format!("Real({number:?})"),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                blob @ rusqlite::types::ValueRef::Blob(_) => format!("{blob:?}"),
            });
            Ok(cells.collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Every node with its metadata, without ids and times.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.rows(NODES)
    }
}

pub(crate) const NODES: &str = "SELECT g.name, n.reference_id, n.type, m.metadata_key, m.metadata_value
     FROM nodes n JOIN matching_groups g ON g.id = n.group_id
     LEFT JOIN node_metadata m ON m.node_id = n.id ORDER BY g.name, n.reference_id, m.metadata_key";

pub(crate) struct Done(pub(crate) Output);

impl Done {
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The first file's summary; the process must have ended with this code.
    pub(crate) fn file(&self, code: i32) -> Value {
        assert_eq!(self.code(), Some(code), "{}", self.said());
        let summary: Value = serde_json::from_slice(&self.0.stdout).unwrap();
        summary["files"][0].clone()
    }

    /// `status total inserted updated unchanged duplicates failed` of the first file.
    pub(crate) fn counts(&self, code: i32) -> String {
        let file = self.file(code);
        let number = |name: &str| file[name].as_u64().unwrap();
        let names = ["total", "inserted", "updated", "unchanged", "duplicates", "failed"];
        assert_eq!(number("processed") + number("failed"), number("total"), "{file}");
        let numbers: Vec<_> = names.iter().map(|name| number(name).to_string()).collect();
        format!("{} {}", file["status"].as_str().unwrap(), numbers.join(" "))
    }
}

/// Waits until something is so.
pub(crate) fn until(mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < DEADLINE, "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// A file of so many rows.
pub(crate) fn generated(rows: usize) -> String {
    use std::fmt::Write as _;
    let mut text = "user_id,group,type,Full Name,City\n".to_owned();
    for row in 0..rows {
        let kind = ["USER", "bot"][row % 2];
        writeln!(text, "u{row},g{},{kind},\"Name, {row}\",City {}", row % 3, row % 17).unwrap();
    }
    text
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
