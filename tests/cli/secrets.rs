//! No token is in anything that leaves the process: every command at trace level, with and without trouble, text and
//! JSON; then every byte of output, state and report is searched.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parser::sandbox::{FaultProfile, SandboxOptions};

use crate::backend::{self, Backend};
use crate::world::World;

// Signs that change when they are encoded, so that the encoded forms differ from the plain one.
const KODIK: &str = "KODIKMARKER+one/9f8e7d6c==";
const INTERNAL: &str = "INTERNALMARKER+two/5b4a3c2d==";

/// Every form in which a token may turn up.
fn forms(token: &str) -> Vec<Vec<u8>> {
    let percent: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let mut forms = vec![token.to_owned(), percent.to_lowercase(), percent, token.replace('=', "%3D")];
    // The part without special signs is in every readable form.
    forms.push(token.split('+').next().unwrap_or(token).to_owned());
    forms.push(token.split('/').nth(1).unwrap_or(token).trim_end_matches('=').to_owned());
    // Inside a longer text base64 begins at any of three places; the middle of it is the same wherever it ends.
    for shift in 0..3 {
        let encoded = STANDARD.encode([vec![b' '; shift], token.as_bytes().to_vec()].concat());
        forms.push(encoded.trim_end_matches('=')[4..][..12].to_owned());
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn assert_absent(where_: &str, bytes: &[u8]) {
    for token in [KODIK, INTERNAL] {
        for form in forms(token) {
            let found = bytes.windows(form.len()).position(|window| window == form);
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(200)..(at + 60).min(bytes.len())];
                panic!("{} in {where_}: …{}…", String::from_utf8_lossy(&form), String::from_utf8_lossy(around));
            }
        }
    }
}

fn assert_absent_below(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_absent("a file's name", path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            files += assert_absent_below(&path);
        } else {
            assert_absent(&path.display().to_string(), &std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

fn world(format: &str) -> World {
    let mut world = World::with(&SandboxOptions { token: Some(KODIK.to_owned()), ..SandboxOptions::default() });
    world.set("KODIK_API_TOKEN", KODIK);
    world.set("LOG_LEVEL", "trace");
    world.set("LOG_FORMAT", format);
    world
}

/// Runs and searches what was printed.
fn check(world: &World, code: i32, args: &[&str]) {
    let ran = world.run(args).expect(code);
    assert_absent("standard output", ran.stdout.as_bytes());
    assert_absent("standard error", ran.stderr.as_bytes());
}

fn everything(format: &str) {
    let mut world = world(format);
    let report = world.output("report.json");
    let metrics = world.output("metrics.prom");
    let [report, metrics] = [report.to_str().unwrap(), metrics.to_str().unwrap()];
    let outputs = ["--report", report, "--metrics-file", metrics];
    let run =
        |args: &[&'static str]| [&["run"], args, &outputs].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let check_run = |world: &World, code: i32, args: &[&'static str]| {
        let args = run(args);
        check(world, code, &args.iter().map(String::as_str).collect::<Vec<_>>());
    };

    check_run(&world, 0, &["--mode", "full", "--limit", "8"]);
    check_run(&world, 0, &["--mode", "full", "--max-pages", "1", "--limit", "2", "--json"]);
    check_run(&world, 0, &["--mode", "one", "--source-id", "9302"]);
    check_run(&world, 0, &["--mode", "full", "--limit", "3", "--dry-run"]);
    check(&world, 0, &["diagnose"]);
    check(&world, 0, &["diagnose", "--json"]);

    for profile in [FaultProfile::BadToken, FaultProfile::Moved, FaultProfile::ForeignNext, FaultProfile::Html] {
        world.sandbox.set_faults(profile);
        check_run(&world, 3, &["--mode", "full"]);
        check(&world, 3, &["diagnose"]);
    }
    world.sandbox.set_faults(FaultProfile::Flaky);
    check_run(&world, 0, &["--resume", "--limit", "8"]);
    world.sandbox.set_faults(FaultProfile::None);

    let backend = Backend::start(INTERNAL);
    // A careless backend repeats what it was sent.
    backend.rule(|kind, body| {
        (kind == "anime" && body["source_id"] == "9001")
            .then(|| backend::error(422, &format!("header x-internal-token: {INTERNAL}")))
    });
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", INTERNAL);
    check_run(&world, 1, &["--mode", "full", "--limit", "4"]);
    check(&world, 0, &["diagnose"]);
    check_run(&world, 0, &["--mode", "full", "--limit", "4", "--dry-run"]);

    let other = Backend::start("another");
    world.set("BACKEND_BASE_URL", other.url());
    check_run(&world, 4, &["--mode", "full", "--limit", "4"]);
    check(&world, 4, &["diagnose"]);
    check(&world, 0, &["state", "show"]);
    check(&world, 0, &["state", "export"]);
    world.set("CONCURRENCY", "none");
    check_run(&world, 2, &["--mode", "full"]);

    let files = assert_absent_below(world.root()) + assert_absent_below(Path::new(report).parent().unwrap());
    assert!(files >= 7, "state, ledger, lock, landing, catalogue, report, metrics: {files}");
}

#[test]
fn no_token_is_in_any_output_with_text_logs() {
    everything("text");
}

#[test]
fn no_token_is_in_any_output_with_json_logs() {
    everything("json");
}

#[test]
fn a_killed_run_leaves_no_token_behind() {
    let world = world("text");
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("a ledger", &mut running, |world| {
        std::fs::metadata(world.state().join("ledger.jsonl")).is_ok_and(|file| file.len() > 0)
    });
    running.kill();
    assert!(assert_absent_below(world.root()) >= 5);
}

#[test]
fn the_search_finds_what_it_is_to_find() {
    for form in forms(KODIK).into_iter().chain(forms(INTERNAL)) {
        let text = [b"some text ", form.as_slice(), b" more"].concat();
        let found = std::panic::catch_unwind(|| assert_absent("here", &text));
        assert!(found.is_err(), "{}", String::from_utf8_lossy(&form));
    }
    let header = STANDARD.encode(format!("user:{KODIK}"));
    assert!(std::panic::catch_unwind(|| assert_absent("here", header.as_bytes())).is_err(), "{header}");
}
