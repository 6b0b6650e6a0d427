//! The crawler into this server by imports: the same catalogue as without one, whatever is killed on the way.

use std::process::Child;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parser::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::place::{DEADLINE, IMPORTS, Place, Served, TOKEN, command, on_each_engine};

/// One for all crawls that are compared: addresses of images carry its port.
static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::start(&SandboxOptions::default()).unwrap());

struct Crawler {
    folder: tempfile::TempDir,
    concurrency: &'static str,
}

impl Crawler {
    fn new(concurrency: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), concurrency }
    }

    fn start(&self, args: &[&str], more: &[(&str, &str)]) -> Child {
        let (kodik, shikimori) = (SANDBOX.kodik_url(), SANDBOX.shikimori_url());
        let mut env = vec![
            ("KODIK_BASE_URL", kodik.as_str()),
            ("SHIKIMORI_BASE_URL", shikimori.as_str()),
            ("KODIK_API_TOKEN", "any"),
            ("KODIK_RATE_LIMIT_RPS", "0"),
            ("SHIKIMORI_RATE_LIMIT_RPS", "0"),
            ("SHIKIMORI_RATE_LIMIT_RPM", "0"),
            ("CONCURRENCY", self.concurrency),
            ("FETCH_CHARACTERS", "true"),
            ("BREAKER_GIVE_UP_SECONDS", "1"),
            ("BREAKER_COOLDOWN_SECONDS", "0.1"),
            ("BACKOFF_BASE_SECONDS", "0.1"),
        ];
        env.extend_from_slice(more);
        let mut command = command(self.folder.path(), &[&["run", "--json"], args].concat(), &env);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    }

    /// A run that must succeed; its summary.
    fn run(&self, args: &[&str], more: &[(&str, &str)]) -> Value {
        let output = self.start(args, more).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const FULL: &[&str] = &["--mode", "full"];

fn into(url: &str) -> [(&str, &str); 2] {
    [("BACKEND_BASE_URL", url), ("INTERNAL_TOKEN", TOKEN)]
}

fn url(served: &Served) -> String {
    format!("http://{}", served.address)
}

/// What the embedded loader makes of it, one title after the other.
fn embedded() -> String {
    let crawler = Crawler::new("1");
    let place = Place::sqlite();
    let database = format!("sqlite:{}", place.folder.path().join("state/catalog.db").display());
    std::fs::create_dir(place.folder.path().join("state")).unwrap();
    crawler.run(FULL, &[("DATABASE_URL", &database)]);
    place.dump()
}

#[test]
fn a_crawl_by_imports_equals_one_into_the_embedded_catalogue() {
    let expected = embedded();
    on_each_engine(|place| {
        let served = place.serve();
        let crawler = Crawler::new("1");
        let url = url(&served);
        let summary = crawler.run(FULL, &into(&url));
        assert_eq!(summary["titles"]["created"], 63, "{summary}");
        assert!(summary["target"].as_str().unwrap().starts_with("batch:http://"), "{summary}");
        assert_eq!(place.dump(), expected);
        let list = served.get(IMPORTS)["items"].clone();
        assert_eq!(list.as_array().unwrap().len(), 1, "a run is one import");
        assert_eq!((&list[0]["status"], &list[0]["results"]["completed"]), (&json!("completed"), &json!(63)));
        assert_eq!(list[0]["batches"]["total"], 63, "a title is one request");

        let again = crawler.run(FULL, &into(&url));
        assert_eq!(again["titles"]["unchanged"], 63, "{again}");
        assert_eq!(served.get(IMPORTS)["items"].as_array().unwrap().len(), 1, "nothing to send makes no import");
        // Another crawler that knows nothing sends all of it, and nothing changes.
        let other = Crawler::new("4").run(FULL, &into(&url));
        assert_eq!(other["titles"]["unchanged"], 63, "{other}");
        assert_eq!(place.dump(), expected);
    });
}

#[test]
fn killed_crawlers_and_servers_lose_nothing() {
    let expected = embedded();
    on_each_engine(|place| {
        let mut served = place.serve_hastily(&[]);
        let address = served.address.to_string();
        let crawler = Crawler::new("1");
        let url = url(&served);
        let imported = |served: &Served, least: u64| {
            let started = Instant::now();
            loop {
                let list = served.get(IMPORTS);
                let done: u64 = list["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|import| import["results"]["completed"].as_u64().unwrap())
                    .sum();
                if done >= least {
                    return;
                }
                assert!(started.elapsed() < DEADLINE, "{list}");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        let mut first = crawler.start(FULL, &into(&url));
        imported(&served, 10);
        first.kill().unwrap();
        first.wait().unwrap();

        let second = crawler.start(&["--resume"], &into(&url));
        imported(&served, 25);
        served.kill();
        let output = second.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));

        // On the same address: another one would be another backend.
        let served = place.serve_with(&[("LISTEN", &address)]);
        let summary = crawler.run(&["--resume"], &into(&format!("http://{}", served.address)));
        let whole = |name: &str| summary["whole_run"][name].as_u64().unwrap();
        assert_eq!(whole("loaded") + whole("unchanged"), 63, "{summary}");
        assert_eq!(summary["whole_run"]["failed"], 0, "{summary}");
        assert_eq!(place.dump(), expected);
    });
}

#[test]
fn diagnose_says_how_the_backend_is_spoken_to() {
    let place = Place::sqlite();
    let served = place.serve();
    let crawler = Crawler::new("1");
    let (kodik, url) = (SANDBOX.kodik_url(), url(&served));
    for (api, words) in [("auto", "`batch`"), ("batch", "`batch`"), ("contract", "`contract`")] {
        let env = [
            ("BACKEND_BASE_URL", url.as_str()),
            ("INTERNAL_TOKEN", TOKEN),
            ("BACKEND_API", api),
            ("KODIK_BASE_URL", kodik.as_str()),
            ("SHIKIMORI_BASE_URL", kodik.as_str()),
            ("KODIK_API_TOKEN", "any"),
        ];
        let output = command(crawler.folder.path(), &["diagnose"], &env).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(words), "{api}: {text}");
    }
}
