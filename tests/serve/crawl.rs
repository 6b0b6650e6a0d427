//! The crawler against this server: everything arrives, nothing is sent twice, and both ways of loading agree.

use std::path::Path;

use parser::sandbox::{Sandbox, SandboxOptions};
use parser::store::{Store, catalogue};
use serde_json::{Value, json};

use super::world::{Served, TOKEN, command};

/// Titles of the bundled catalogue that are loaded; three of its 66 are hidden by Shikimori.
const TITLES: &str = "63";

struct Crawler {
    sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Crawler {
    fn new() -> Self {
        let sandbox = Sandbox::start(&SandboxOptions::default()).unwrap();
        Self { sandbox, folder: tempfile::tempdir().unwrap() }
    }

    /// `parser run --mode full`, which must succeed; gives its summary.
    fn full(&self, more: &[(&str, &str)]) -> Value {
        let (kodik, shikimori) = (self.sandbox.kodik_url(), self.sandbox.shikimori_url());
        let mut env = vec![
            ("KODIK_BASE_URL", kodik.as_str()),
            ("SHIKIMORI_BASE_URL", shikimori.as_str()),
            ("KODIK_API_TOKEN", "any"),
            ("KODIK_RATE_LIMIT_RPS", "0"),
            ("SHIKIMORI_RATE_LIMIT_RPS", "0"),
            ("SHIKIMORI_RATE_LIMIT_RPM", "0"),
            // One after the other, so that titles that share a slug get their numbers in the same order.
            ("CONCURRENCY", "1"),
        ];
        env.extend_from_slice(more);
        let output = command(self.folder.path(), &["run", "--mode", "full", "--json"], &env).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The settings of a crawl into this server. Many at once, because each part waits for the disk.
fn into(url: &str) -> [(&str, &str); 3] {
    [("BACKEND_BASE_URL", url), ("INTERNAL_TOKEN", TOKEN), ("CONCURRENCY", "16")]
}

/// Titles at once may get the numbers of a shared slug in any order.
fn without_slug_numbers(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        if let Some(slug) = line["slug"].as_str() {
            line["slug"] = json!(slug.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-'));
        }
    }
    lines
}

fn dump(path: &Path) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        Store::open_file_read_only(path).await.unwrap().unwrap().read(catalogue::dump).await.unwrap()
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the contract carries of a catalogue.
fn carried(path: &Path) -> Vec<Value> {
    let mut lines: Vec<Value> = without_slug_numbers(dump(path))
        .into_iter()
        .filter_map(|line| {
            let keys: &[&str] = match line["table"].as_str().unwrap() {
                "series" => &[
                    "source",
                    "source_id",
                    "slug",
                    "title",
                    "alternative_titles",
                    "description",
                    "year",
                    "status",
                    "poster",
                    "genres",
                    "is_active",
                ],
                "episode" => &["source", "series", "source_episode_id", "number", "title", "is_active"],
                "video" => {
                    &["source", "source_episode_id", "player_type", "player_source", "url", "priority", "is_active"]
                }
                _ => return None,
            };
            Some(json!([line["table"], keys.iter().map(|key| &line[*key]).collect::<Vec<_>>()]))
        })
        .collect();
    lines.sort_by_key(Value::to_string);
    lines
}

fn imports(served: &Served) -> u64 {
    let text = served.get("/metrics").text;
    text.lines()
        .filter(|line| line.starts_with("parser_server_imports_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn a_crawl_into_the_server_equals_one_into_the_embedded_catalogue() {
    let served = Served::new();
    let crawler = Crawler::new();
    let url = format!("http://{}", served.address);
    // By the contract, part by part, as a crawler that knows nothing else.
    let [address, token, concurrency] = into(&url);
    let backend = [address, token, concurrency, ("BACKEND_API", "contract")];
    crawler.full(&backend);
    assert_eq!(served.one("SELECT count(*) FROM series"), TITLES);
    assert_eq!(served.get("/api/v1/anime?limit=1").header("x-total-count"), Some(TITLES));
    let sent = imports(&served);
    assert!(sent > 200, "only {sent} parts were sent");

    crawler.full(&backend);
    assert_eq!(imports(&served), sent, "the second run sends nothing");

    let embedded = Crawler::new();
    embedded.full(&[]);
    let own = embedded.folder.path().join("state/catalog.db");
    let (theirs, ours) = (carried(&served.catalogue()), carried(&own));
    assert_eq!(theirs.len(), ours.len());
    for (their, our) in theirs.iter().zip(&ours) {
        assert_eq!(their, our);
    }

    // A catalogue that was built by parts becomes the same by whole titles.
    let place = format!("sqlite:{}", served.catalogue().display());
    Crawler::new().full(&[("DATABASE_URL", &place)]);
    assert_eq!(without_slug_numbers(dump(&served.catalogue())), without_slug_numbers(dump(&own)));
}

#[test]
fn whole_titles_and_parts_of_them_share_their_rows() {
    let crawler = Crawler::new();
    crawler.full(&[]);
    let catalogue = crawler.folder.path().join("state/catalog.db");
    let clean = dump(&catalogue);
    let served = Served::start(crawler.folder.path(), &[("INTERNAL_TOKEN", TOKEN)]);

    // The same through the contract: not one row more, none changed.
    let twin = Crawler::new();
    let url = format!("http://{}", served.address);
    twin.full(&into(&url));
    assert_eq!(dump(&catalogue), clean);

    // Somebody changes a title by the contract; the next whole import sees that and puts it right.
    let id = served.one("SELECT source_id FROM series ORDER BY length(source_id) DESC, source_id LIMIT 1");
    let body = json!({ "source_name": "kodik-shikimori", "source_id": id, "title": "Somebody else's title" });
    served.import(super::world::ANIME, &body);
    assert_ne!(dump(&catalogue), clean);
    crawler.full(&[]);
    assert_eq!(dump(&catalogue), clean);
}
