//! A PostgreSQL cluster for one test process and a database for each test. A shell that waits for the process to end,
//! however it ends, stops the cluster and deletes it. `DATABASE_URL` names an outside server instead, where each test has a
//! database of its own; tests that stop their server still have one here.
//!
//! Another test binary takes it in by `#[path = "../postgres/cluster.rs"] mod cluster;`.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running server.
pub(crate) struct Cluster {
    /// `postgres://…/`, to be followed by a database.
    address: String,
    bin: PathBuf,
    data: PathBuf,
    _guard: Option<Child>,
}

/// An empty database, gone when dropped.
pub(crate) struct Database {
    /// Its address.
    pub(crate) url: String,
    server: String,
    name: String,
}

/// A database on the process' own cluster; `None` (said aloud) where there is no PostgreSQL, which CI does not accept.
pub(crate) fn database() -> Option<Database> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| match std::env::var("DATABASE_URL") {
        Ok(url) if url.starts_with("postgres") => {
            let url = url.split('?').next().unwrap();
            let address = url[..=url.rfind('/').unwrap()].to_owned();
            Some(Cluster { address, bin: PathBuf::new(), data: PathBuf::new(), _guard: None })
        }
        _ => Cluster::start(),
    });
    cluster.as_ref().map(Cluster::database)
}

impl Cluster {
    /// A cluster of its own, for tests that stop it.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("-c fsync=off")
    }

    /// The same with settings of its own, as on the server's command line.
    pub(crate) fn start_with(settings: &str) -> Option<Self> {
        let Some(bin) = binaries() else {
            assert!(std::env::var("CI").is_err(), "PostgreSQL's binaries are missing: apt-get install postgresql");
            println!("skipped: no initdb in PG_BIN, PATH or /usr/lib/postgresql/*/bin");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().unwrap().keep();
        if let Some((uid, gid)) = servant() {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let clean_up = "read _; \"$1/pg_ctl\" -D \"$2/data\" -m immediate stop; rm -rf \"$2\"";
        let mut guard = as_servant(Path::new("sh"));
        guard.args(["-c", clean_up, "sh"]).args([&bin, &folder]).stdin(Stdio::piped()).process_group(0);
        let guard = Some(guard.spawn().unwrap());
        let data = folder.join("data");
        let arguments = ["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"];
        assert!(as_servant(&bin.join("initdb")).args(arguments).arg(&data).status().unwrap().success());
        let logins = "host all locked all scram-sha-256\nhost all all all trust\n";
        std::fs::write(data.join("pg_hba.conf"), logins).unwrap();
        // Another process may take the free port first.
        let started = (0..5).find_map(|_| {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let options = format!(
                "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= {settings} \
                 -c max_connections=200 -c deadlock_timeout=100ms -c timezone=Asia/Tokyo"
            );
            let mut start = as_servant(&bin.join("pg_ctl"));
            start.args(["-w", "-o", &options, "-l"]).arg(folder.join("log")).arg("-D").arg(&data).arg("start");
            start.status().unwrap().success().then_some(port)
        });
        let address = format!("postgres://postgres@127.0.0.1:{}/", started.unwrap());
        Some(Self { address, bin, data, _guard: guard })
    }

    /// A new database.
    pub(crate) fn database(&self) -> Database {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let server = format!("{}postgres", self.address);
        sql(&server, &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Database { url: format!("{}{name}", self.address), server, name }
    }

    /// The server's process, whose children are the others.
    pub(crate) fn postmaster(&self) -> u32 {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Lets servers have a folder.
    pub(crate) fn own(folder: &Path) {
        if let Some((uid, gid)) = servant() {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid)).unwrap();
        }
    }

    /// `pg_ctl` on it: `["-m", "immediate", "restart"]`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut control = as_servant(&self.bin.join("pg_ctl"));
        assert!(control.arg("-w").arg("-D").arg(&self.data).args(arguments).status().unwrap().success());
    }
}

impl Cluster {
    /// From now on it speaks TLS as `127.0.0.1`, with this certificate; `None` = there is no `openssl`.
    pub(crate) fn certify(&self) -> Option<PathBuf> {
        let (key, certificate) = (self.data.join("server.key"), self.data.join("server.crt"));
        let mut make = as_servant(Path::new("openssl"));
        make.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        make.args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]);
        make.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]);
        if !make.arg(&key).arg("-out").arg(&certificate).status().is_ok_and(|status| status.success()) {
            return None;
        }
        sql(&format!("{}postgres", self.address), "ALTER SYSTEM SET ssl = on");
        self.control(&["restart"]);
        Some(certificate)
    }
}

impl Database {
    /// `user`, or `user:password`.
    pub(crate) fn login(&self) -> &str {
        self.url.split_once("://").unwrap().1.rsplit_once('@').unwrap().0
    }

    /// Its address for somebody else.
    pub(crate) fn url_of(&self, login: &str) -> String {
        format!("postgres://{login}@{}", self.url.rsplit_once('@').unwrap().1)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            sql(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// Runs statements; all values of their rows as text, NULL as nothing.
pub(crate) fn sql(url: &str, statements: &str) -> Vec<Vec<String>> {
    let (url, statements) = (url.to_owned(), statements.to_owned());
    // A thread of its own: the caller may be inside a runtime.
    let asking = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (client, wire) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(wire);
            let messages =
                client.simple_query(&statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
            let rows = messages.into_iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            rows.map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect()).collect()
        })
    });
    asking.join().unwrap()
}

fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<_> = installed.map(|version| version.path().join("bin")).collect();
    installed.sort();
    let given = std::env::var_os("PG_BIN").map(PathBuf::from).into_iter();
    let found = given.chain(std::env::split_paths(&path)).chain(installed.into_iter().rev());
    found.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

/// Whom PostgreSQL runs as when this is root, whom it refuses.
fn servant() -> Option<(u32, u32)> {
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?);
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    (own == 0).then(|| ids("postgres").or_else(|| ids("nobody")).unwrap())
}

/// A silent command, not as root, that keeps none of our files open.
fn as_servant(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = servant() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
