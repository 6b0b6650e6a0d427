//! A full run killed at any moment and resumed: the catalogue is that of a run that was never killed, no title is lost,
//! nothing that was finished is asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parser::sandbox::{LoggedRequest, Service};
use serde_json::Value;

use crate::harness::{
    Run, Running, State, asked, assert_same, assert_sums, batches, generated, pages, searches, side_by_side,
};

/// Three pages of materials, two batches of metadata.
const TITLES: u64 = 70;

/// Every point that a full run into an embedded catalogue passes, and the passings at which it is killed.
const POINTS: &[(&str, &[u32])] = &[
    ("catalogue.open.before_commit", &[1]),
    ("catalogue.open.after_commit", &[1]),
    ("checkpoint.begin.before", &[1]),
    ("checkpoint.begin.after", &[1]),
    ("landing.reference.before_commit", &[1]),
    ("landing.reference.after_commit", &[1]),
    ("landing.begin.before_commit", &[1]),
    ("landing.begin.after_commit", &[1]),
    ("crawl.listing.begun", &[1]),
    ("landing.page.before_commit", &[1, 3]),
    ("landing.page.after_commit", &[1, 3]),
    ("crawl.page.landed", &[1, 3]),
    ("checkpoint.page.before", &[2]),
    ("checkpoint.page.after", &[1, 3]),
    ("crawl.page.finished", &[2]),
    ("landing.finish.before_commit", &[1]),
    ("landing.finish.after_commit", &[1]),
    ("checkpoint.phase.before", &[1]),
    ("checkpoint.phase.after", &[1]),
    ("crawl.metadata.fetched", &[1, 2]),
    ("landing.metadata.before_commit", &[2]),
    ("landing.metadata.after_commit", &[2]),
    ("crawl.metadata.landed", &[1, 2]),
    ("crawl.title.transformed", &[1, 40]),
    ("catalogue.before_commit", &[1, 69]),
    ("catalogue.after_commit", &[1, 30]),
    ("crawl.title.loaded", &[1, 50]),
    ("checkpoint.mark.before_ledger", &[1, 2]),
    ("checkpoint.ledger.sync", &[1, 2]),
    ("checkpoint.mark.after_ledger", &[1, 2]),
    ("atomic_file.before_write", &[1, 6]),
    ("atomic_file.sync", &[7]),
    ("atomic_file.before_rename", &[8]),
    ("atomic_file.after_rename", &[2, 9]),
    ("checkpoint.mark.after_state", &[1, 8]),
    ("crawl.title.marked", &[1, 70]),
    ("checkpoint.finish.before", &[1]),
    ("checkpoint.finish.after", &[1]),
    ("landing.pending.before_commit", &[1]),
    ("landing.pending.after_commit", &[1]),
];

/// Points of other paths, and where the process is killed there.
const ELSEWHERE: &[(&str, &str)] = &[
    ("crawl.collect.landed", "resume.rs"),
    ("landing.search.before_commit", "resume.rs"),
    ("landing.search.after_commit", "resume.rs"),
    ("landing.roles.before_commit", "resume.rs"),
    ("landing.roles.after_commit", "resume.rs"),
    ("sent.before_commit", "resume.rs"),
    ("sent.after_commit", "resume.rs"),
    // A part that a crawler posts is one transaction; whoever was not told posts it again, which changes nothing.
    ("catalogue.part.before_commit", "tests/serve/upsert.rs"),
    ("catalogue.part.after_commit", "tests/serve/upsert.rs"),
    // Jobs, killed and finished by the next.
    ("jobs.claim.before_commit", "tests/staging/kill.rs"),
    ("jobs.claim.after_commit", "tests/staging/kill.rs"),
    ("jobs.record.before_commit", "tests/staging/kill.rs"),
    ("jobs.record.after_commit", "tests/staging/kill.rs"),
    ("jobs.books.before_commit", "tests/staging/kill.rs"),
    ("jobs.books.after_commit", "tests/staging/kill.rs"),
    // One transaction of an operator, who asks again.
    ("staging.before_commit", "tests/staging/operators.rs"),
    ("staging.after_commit", "tests/staging/operators.rs"),
    ("groups.before_commit", "tests/bulk/groups.rs"),
    ("groups.after_commit", "tests/bulk/groups.rs"),
    ("copy.before_commit", "tests/postgres/commands.rs"),
    ("copy.after_commit", "tests/postgres/commands.rs"),
    // The names of old rows are made searchable; whatever is left undone is done at the next start.
    ("catalogue.search.before_commit", "tests/dashboard/search.rs"),
    ("catalogue.search.after_commit", "tests/dashboard/search.rs"),
    // Imports over HTTP are the server's; it is killed at each of these.
    ("imports.create.before_commit", "tests/imports/crash.rs"),
    ("imports.create.after_commit", "tests/imports/crash.rs"),
    ("imports.small.before_commit", "tests/imports/crash.rs"),
    ("imports.small.after_commit", "tests/imports/crash.rs"),
    ("imports.receive.before_commit", "tests/imports/crash.rs"),
    ("imports.receive.after_commit", "tests/imports/crash.rs"),
    ("imports.claim.before_commit", "tests/imports/crash.rs"),
    ("imports.claim.after_commit", "tests/imports/crash.rs"),
    ("imports.record.before_commit", "tests/imports/crash.rs"),
    ("imports.record.after_commit", "tests/imports/crash.rs"),
    ("imports.settle.before_commit", "tests/imports/crash.rs"),
    ("imports.settle.after_commit", "tests/imports/crash.rs"),
    ("imports.finalise.before_commit", "tests/imports/crash.rs"),
    ("imports.finalise.after_commit", "tests/imports/crash.rs"),
    ("imports.fetch.before_commit", "tests/imports/places.rs"),
    ("imports.fetch.after_commit", "tests/imports/places.rs"),
    // All or nothing of an import is cancelled; whoever was not told asks again.
    ("imports.cancel.before_commit", "tests/imports/imports.rs"),
    ("imports.cancel.after_commit", "tests/imports/imports.rs"),
    ("checkpoint.compact.before", "tests/checkpoint"),
    ("checkpoint.compact.after", "tests/checkpoint"),
    ("checkpoint.repair.before_truncate", "tests/checkpoint"),
    ("checkpoint.repair.after_truncate", "tests/checkpoint"),
    ("checkpoint.repair.before_ledger", "tests/cli/state.rs"),
    ("checkpoint.import.before_ledger", "tests/cli/state.rs"),
    ("checkpoint.import.after_ledger", "tests/cli/state.rs"),
    ("checkpoint.migrate.before_backup", "tests/checkpoint"),
    ("checkpoint.migrate.after_backup", "tests/checkpoint"),
    ("checkpoint.migrate.after_ledger", "tests/checkpoint"),
    ("checkpoint.migrate.after_checkpoint", "tests/checkpoint"),
    ("bulk.begin.before_commit", "tests/bulk"),
    ("bulk.begin.after_commit", "tests/bulk"),
    ("bulk.claim.before_commit", "tests/bulk"),
    ("bulk.claim.after_commit", "tests/bulk"),
    ("bulk.file.before_commit", "tests/bulk"),
    ("bulk.file.after_commit", "tests/bulk"),
    ("bulk.end.before_commit", "tests/bulk"),
    ("bulk.end.after_commit", "tests/bulk"),
    ("tables.unit.before_commit", "tests/bulk"),
    ("tables.unit.after_commit", "tests/bulk"),
    ("messages.batch.before_commit", "tests/kafka/outbox.rs"),
    ("messages.batch.after_commit", "tests/kafka/outbox.rs"),
    ("messages.mark.before_commit", "tests/kafka/outbox.rs"),
    ("messages.mark.after_commit", "tests/kafka/outbox.rs"),
    // One transaction of an operator, who asks again.
    ("dead_letters.settle.before_commit", "tests/kafka/dead.rs"),
    ("dead_letters.settle.after_commit", "tests/kafka/dead.rs"),
    ("nodes.batch.before_commit", "tests/bulk"),
    ("nodes.batch.after_commit", "tests/bulk"),
];

/// When the process dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At the n-th passing of a crash point.
    Point(&'static str, u32),
    /// SIGKILL when the sources have been asked so often.
    Asked(usize),
    /// SIGKILL when so many titles are marked.
    Marked(usize),
}

/// One run that nobody killed.
struct Whole {
    catalogue: String,
    watermark: Value,
    /// Number of a page by its cursor.
    pages: BTreeMap<Option<String>, usize>,
}

impl Whole {
    fn run() -> Self {
        let (sandbox, state) = (generated(TITLES), State::new());
        let summary = Run::new(&sandbox, &state, &["--mode", "full"]).succeed().summary();
        assert_eq!(summary["whole_run"]["loaded"], TITLES);
        assert_sums(&summary);
        let pages = pages(&asked(sandbox.log(), Service::Kodik));
        let watermark = state.checkpoint()["watermark"].clone();
        Self { catalogue: state.catalogue(), watermark, pages: pages.into_iter().zip(1..).collect() }
    }

    /// Runs, kills at each moment in turn, resumes to the end, and looks at everything.
    fn survives(&self, moments: &[Moment]) -> bool {
        let (sandbox, state) = (generated(TITLES), State::new());
        for (nth, moment) in moments.iter().enumerate() {
            let args: &[&str] = if nth == 0 { &["--mode", "full"] } else { &["--resume"] };
            let before = Before::look(&state);
            let seen = sandbox.log().entries().len();
            let run = Run::new(&sandbox, &state, args);
            match *moment {
                Moment::Point(point, hit) => {
                    let died = run.crash_at(point, hit).finish();
                    assert!(died.aborted(), "{moments:?}: not killed at {point} {hit}: {died:#?}");
                }
                Moment::Asked(requests) => {
                    let mut run = run.start();
                    run.until("requests", || sandbox.log().entries().len() - seen >= requests);
                    if !died(run) {
                        return false;
                    }
                }
                Moment::Marked(titles) => {
                    let mut run = run.start();
                    run.until("marked titles", || state.ledger().len() >= titles);
                    if !died(run) {
                        return false;
                    }
                }
            }
            self.assert_nothing_again(&before, &sandbox.log().entries()[seen..], moments);
        }
        let before = Before::look(&state);
        let seen = sandbox.log().entries().len();
        let resumed = Run::new(&sandbox, &state, &["--resume"]).finish();
        assert_eq!(resumed.code(), Some(0), "{moments:?}: {resumed:#?}");
        assert_same(&format!("{moments:?}"), &self.catalogue, &state.catalogue());
        assert_eq!(state.checkpoint()["watermark"], self.watermark, "{moments:?}");
        let ledger = state.ledger();
        assert_eq!(ledger.len() as u64, TITLES, "{moments:?}: a title is lost");
        assert!(ledger.values().all(|(_, status)| status == "done" || status == "unchanged"), "{moments:?}");

        let summary = resumed.summary();
        assert_sums(&summary);
        assert_eq!(summary["pages"], self.pages.len(), "{moments:?}");
        let whole = &state.checkpoint()["last_run"]["counters"];
        assert_eq!(*whole, summary["whole_run"], "{moments:?}");
        assert_eq!(whole["extracted"], TITLES, "{moments:?}: {whole}");
        assert_eq!(whole["loaded"].as_u64().unwrap() + whole["unchanged"].as_u64().unwrap(), TITLES, "{moments:?}");
        if before.finished {
            // Killed after the very end: there was nothing to resume, so this was a new run.
            assert_eq!(whole["unchanged"], TITLES, "{moments:?}");
            return true;
        }
        self.assert_nothing_again(&before, &sandbox.log().entries()[seen..], moments);
        assert_eq!(
            summary["titles"]["extracted"],
            TITLES - before.done.len() as u64,
            "{moments:?}: what was marked is taken up again, or something is left out"
        );
        true
    }

    /// No finished page, no landed metadata and no finished title is asked for again.
    fn assert_nothing_again(&self, before: &Before, log: &[LoggedRequest], moments: &[Moment]) {
        let mut asked = BTreeSet::new();
        for cursor in pages(log) {
            let number = self.pages.get(&cursor).unwrap_or_else(|| panic!("{moments:?}: no such page {cursor:?}"));
            assert!(!before.listed, "{moments:?}: page {number} after the listing was finished");
            assert!(*number > before.pages, "{moments:?}: page {number} again, {} were finished", before.pages);
            assert!(asked.insert(*number), "{moments:?}: page {number} twice in one process");
        }
        for id in batches(log).into_iter().flatten() {
            assert!(!before.metadata.contains(&id), "{moments:?}: metadata of {id} again");
            assert!(!before.done.contains(&id), "{moments:?}: title {id} again");
        }
        assert_eq!(searches(log), Vec::<u64>::new(), "{moments:?}: a full run searches for nothing");
    }
}

fn died(mut run: Running) -> bool {
    let killed = run.kill();
    run.wait();
    killed
}

/// What is durable before a process starts.
struct Before {
    pages: usize,
    listed: bool,
    finished: bool,
    metadata: BTreeSet<u64>,
    done: BTreeSet<u64>,
}

impl Before {
    fn look(state: &State) -> Self {
        let (landed, checkpoint) = (state.landed(), state.checkpoint());
        Self {
            pages: landed.pages,
            listed: landed.finished,
            finished: checkpoint["run"].is_null() && !checkpoint["last_run"].is_null(),
            metadata: landed.metadata,
            done: state.done(),
        }
    }
}

#[test]
fn killed_at_every_crash_point() {
    let whole = Whole::run();
    let moments: Vec<_> =
        POINTS.iter().flat_map(|(point, hits)| hits.iter().map(|hit| Moment::Point(point, *hit))).collect();
    assert!(moments.len() >= 20);
    side_by_side(&moments, |moment| {
        whole.survives(&[*moment]);
    });
}

#[test]
fn killed_at_random_moments() {
    let whole = Whole::run();
    let mut random = numbers(20);
    let killed = AtomicUsize::new(0);
    // A process that ends before its time has come was not killed: then another one has to be.
    for _ in 0..10 {
        let moments = [(); 4].map(|()| match random(2) {
            0 => Moment::Asked(1 + random(5)),
            _ => Moment::Marked(1 + random(40)),
        });
        side_by_side(&moments, |moment| {
            if whole.survives(&[*moment]) {
                killed.fetch_add(1, Ordering::Relaxed);
            }
        });
        if killed.load(Ordering::Relaxed) >= 8 {
            return;
        }
    }
    panic!("only {killed:?} were alive when they were to be killed");
}

/// Numbers below a bound, the same in every run of the test (xorshift).
fn numbers(mut seed: u64) -> impl FnMut(u64) -> usize {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below).unwrap()
    }
}

#[test]
fn killed_again_and_again() {
    use Moment::Point;
    let whole = Whole::run();
    let lives: &[&[Moment]] = &[
        &[
            Point("crawl.listing.begun", 1),
            Point("crawl.page.landed", 1),
            Point("checkpoint.page.before", 2),
            Point("landing.finish.after_commit", 1),
            Point("crawl.metadata.landed", 1),
            Point("crawl.title.loaded", 9),
            Point("catalogue.after_commit", 10),
            Point("checkpoint.mark.after_ledger", 1),
            Point("checkpoint.finish.before", 1),
        ],
        &[
            Point("landing.page.after_commit", 1),
            Point("landing.page.after_commit", 1),
            Point("crawl.title.loaded", 20),
            Point("checkpoint.mark.before_ledger", 1),
            Point("catalogue.before_commit", 30),
            Point("checkpoint.mark.after_ledger", 1),
            Point("checkpoint.finish.before", 1),
        ],
    ];
    side_by_side(lives, |moments| {
        whole.survives(moments);
    });
}

/// A crash point that is added to the code must be added here, or nobody ever dies there.
#[test]
fn every_crash_point_of_the_code_is_listed() {
    let mut named = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    let listed: BTreeSet<String> = POINTS
        .iter()
        .map(|(name, _)| *name)
        .chain(ELSEWHERE.iter().map(|(name, _)| *name))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, listed);
}

/// And whoever says where it is used must be right.
#[test]
fn every_crash_point_is_used_where_it_is_said_to_be() {
    let mut unused = Vec::new();
    for (point, place) in ELSEWHERE {
        let place = if place.starts_with("tests/") { (*place).to_owned() } else { format!("tests/crawl/{place}") };
        let mut text = String::new();
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&place), &mut text);
        if !text.contains(&format!("\"{point}")) {
            unused.push(format!("{point} in {place}"));
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

fn read_all(path: &Path, text: &mut String) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read_all(&entry.unwrap().path(), text);
        }
    } else {
        text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
    }
}

fn collect(folder: &Path, named: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, named);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for opening in ["fail_point!(\"", "before: \"", "after: \""] {
                named.extend(quoted(&text, opening));
            }
            for name in quoted(&text, " points!(\"") {
                named.insert(format!("landing.{name}.before_commit"));
                named.insert(format!("landing.{name}.after_commit"));
            }
        }
    }
}

fn quoted(text: &str, opening: &str) -> Vec<String> {
    text.match_indices(opening)
        .map(|(at, opening)| text[at + opening.len()..].chars().take_while(|c| *c != '"').collect())
        .collect()
}
