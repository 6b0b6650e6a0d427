//! The summary, the report, the metrics and the store tell the same story.

use std::collections::BTreeMap;

use parser::sandbox::{FaultProfile, Service};
use serde_json::Value;

use crate::backend::Backend;
use crate::world::{Ran, World};

struct Told {
    ran: Ran,
    report: Value,
    metrics: BTreeMap<String, f64>,
}

fn tell(world: &World, args: &[&str], code: i32) -> Told {
    let (report, metrics) = (world.output("report.json"), world.output("metrics.prom"));
    let outputs = ["--json", "--report", report.to_str().unwrap(), "--metrics-file", metrics.to_str().unwrap()];
    let ran = world.run(&[args, &outputs].concat()).expect(code);
    let metrics = std::fs::read_to_string(metrics).unwrap();
    let metrics = metrics
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no metric: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{error}: {line}")))
        })
        .collect();
    Told { ran, report: serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap(), metrics }
}

impl Told {
    fn metric(&self, name: &str) -> u64 {
        let sum: f64 = self.metrics.iter().filter(|(key, _)| *key == name).map(|(_, value)| value).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters")]
        {
            sum as u64
        }
    }

    fn titles_metric(&self, outcome: &str) -> u64 {
        self.metric(&format!("parser_crawl_titles_total{{outcome=\"{outcome}\"}}"))
    }

    /// Invariants that hold for every report.
    fn check(&self) {
        let summary = &self.report["summary"];
        assert_eq!(self.ran.json(), *summary, "--json says what the report says");
        let titles = &summary["titles"];
        let number = |name: &str| titles[name].as_u64().unwrap_or_else(|| panic!("{name}: {titles}"));
        let skipped: u64 = titles["skipped"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(
            number("extracted"),
            number("created") + number("updated") + number("unchanged") + number("failed") + skipped
        );
        for outcome in ["created", "updated", "unchanged", "failed"] {
            assert_eq!(self.titles_metric(outcome), number(outcome), "{outcome}: {:?}", self.metrics);
        }
        assert_eq!(self.titles_metric("skipped"), skipped, "{:?}", self.metrics);

        let lines = self.report["titles"].as_array().unwrap();
        let nameless = titles["skipped"]["no_shikimori_id"].as_u64().unwrap_or(0);
        assert_eq!(lines.len() as u64, number("extracted") - nameless);
        for line in lines {
            assert!(line["series"].is_u64() && line["attempts"].is_u64() && line["seconds"].is_f64(), "{line}");
            let told = line["reason"].is_string();
            match line["outcome"].as_str().unwrap() {
                "created" | "updated" | "unchanged" => assert!(!told && line["title"].is_string(), "{line}"),
                "skipped" => assert!(told, "{line}"),
                "failed" => assert!(told && line["failure"]["stage"].is_string(), "{line}"),
                other => panic!("{other}"),
            }
        }
        for outcome in ["created", "updated", "unchanged", "failed"] {
            let count = lines.iter().filter(|line| line["outcome"] == outcome).count() as u64;
            assert_eq!(count, number(outcome), "{outcome}");
        }
        for (kind, field) in [("series", "series"), ("episode", "episodes"), ("video", "videos")] {
            let written = self.metric(&format!("parser_load_records_total{{kind=\"{kind}\"}}"));
            assert_eq!(written, titles["writes"][field].as_u64().unwrap(), "{kind}");
        }
        for service in summary["services"].as_array().unwrap() {
            let name = service["service"].as_str().unwrap();
            let matching = |metric: &str| -> f64 {
                let head = format!("{metric}{{service=\"{name}\"");
                self.metrics.iter().filter(|(key, _)| key.starts_with(&head)).map(|(_, value)| value).sum()
            };
            let requests = matching("parser_http_requests_total") + matching("parser_http_request_failures_total");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters")]
            let requests = requests as u64;
            assert_eq!(requests, service["requests"].as_u64().unwrap(), "{name}: {:?}", self.metrics);
        }
    }

    fn requests(&self, service: &str) -> u64 {
        let services = self.report["summary"]["services"].as_array().unwrap();
        services.iter().find(|line| line["service"] == service).unwrap()["requests"].as_u64().unwrap()
    }
}

#[test]
fn report_metrics_summary_and_catalogue_agree() {
    let world = World::new();
    let told = tell(&world, &["run", "--mode", "full"], 0);
    told.check();
    let written = &told.report["summary"]["titles"]["writes"];
    for (table, field) in [("series", "series"), ("episode", "episodes"), ("video", "videos"), ("release", "releases")]
    {
        let rows = world.query(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(written[field].to_string(), rows, "{table}");
    }
    assert_eq!(told.requests("kodik"), world.asked(Service::Kodik) as u64);
    assert_eq!(told.requests("shikimori"), world.asked(Service::Shikimori) as u64);

    let state = world.run(&["state", "show", "--json"]).expect(0).json();
    let whole = &told.report["summary"]["whole_run"];
    assert_eq!(state["last_run"]["counters"], *whole);
    assert_eq!(whole["extracted"], 65);

    let again = tell(&world, &["run", "--mode", "full"], 0);
    again.check();
    assert_eq!(again.report["summary"]["titles"]["unchanged"], 63);
    assert_eq!(again.report["summary"]["titles"]["writes"]["videos"], 0);
}

#[test]
fn a_flaky_run_counts_every_retry() {
    let world = World::generated(300);
    world.sandbox.set_faults(FaultProfile::Flaky);
    let told = tell(&world, &["run", "--mode", "full"], 0);
    told.check();
    let asked = world.asked(Service::Kodik) + world.asked(Service::Shikimori);
    assert_eq!(told.requests("kodik") + told.requests("shikimori"), asked as u64);
    let services = told.report["summary"]["services"].as_array().unwrap();
    let retries: u64 = services.iter().filter_map(|service| service["retries"].as_u64()).sum();
    assert!(retries > 0, "{services:?}");
}

#[test]
fn a_backend_run_agrees_with_the_backend() {
    let mut world = World::new();
    let backend = Backend::start("internal");
    backend.close("9302:3", true);
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "internal");
    let told = tell(&world, &["run", "--mode", "full"], 1);
    told.check();
    // One more: the question which API it speaks.
    assert_eq!(told.requests("backend"), backend.calls().len() as u64 + 1);
    let titles = &told.report["summary"]["titles"];
    assert_eq!((titles["created"].as_u64(), titles["failed"].as_u64()), (Some(62), Some(1)));
    assert_eq!(told.report["summary"]["failures"][0]["series"], 9302);
}

#[test]
fn a_run_that_could_not_go_on_says_so_in_its_report() {
    let world = World::new();
    world.sandbox.set_faults(FaultProfile::BadToken);
    let told = tell(&world, &["run", "--mode", "full"], 3);
    told.check();
    let end = &told.report["summary"]["end"];
    assert_eq!(end["state"], "failed");
    assert!(end["error"].as_str().unwrap().contains("token is refused"), "{end}");
    assert!(end["hint"].as_str().unwrap().contains("KODIK_API_TOKEN"), "{end}");
}

#[test]
fn a_material_that_cannot_be_read_is_counted_as_failed() {
    let world = World::new();
    world.full(0);
    let landing = rusqlite::Connection::open(world.state().join("landing.db")).unwrap();
    let broken = "INSERT INTO rejected (run_id, page, position, id, reason, raw) \
                  SELECT run_id, 1, 999, 'serial-1', 'no id', CAST('{}' AS BLOB) FROM listing";
    assert_eq!(landing.execute(broken, []).unwrap(), 1);
    drop(landing);
    let ran = world.run(&["run", "--mode", "full", "--from-landing"]).expect(1);
    assert!(ran.stderr.contains("failed: material serial-1: no id"), "{ran}");
}

#[test]
fn an_unwritable_report_is_told_before_anything_is_done() {
    let world = World::new();
    let ran = world.run(&["run", "--mode", "full", "--report", "/no/such/folder/report.json"]).expect(2);
    ran.says(&["/no/such/folder/report.json"]).hints(&["folder"]);
    assert!(world.sandbox.log().entries().is_empty(), "nobody is asked for what cannot be reported");
}
