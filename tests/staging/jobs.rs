//! The jobs: by request, by the clock, by command; never two at once, nothing twice.

use std::process::Stdio;

use serde_json::json;

use crate::ground::{Ground, both, character, record, release, series, text, until};

both!(
    a_job_runs_on_demand_and_says_how_it_went,
    a_job_that_runs_is_not_run_again,
    whoever_works_on_it_each_record_is_done_once,
    the_clock_starts_a_job_once,
    a_record_that_the_store_refuses_is_parked,
);

fn a_job_runs_on_demand_and_says_how_it_went(ground: &Ground) {
    let served = ground.serve(&[("JOB_PET_CRON", "20 2 * * *"), ("JOB_PET_ZONE", "Europe/Berlin")]);
    let jobs = served.get("/api/v1/jobs");
    let names: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["character", "pet", "series", "release"]);
    let pet = &jobs["jobs"][1];
    assert_eq!(
        (&pet["cron"], &pet["zone"], &pet["state"]),
        (&json!("20 2 * * *"), &json!("Europe/Berlin"), &json!("new"))
    );
    assert!(pet["next_run_at"].as_str().unwrap().ends_with(":20:00Z"), "{pet}");
    assert_eq!((&jobs["jobs"][0]["cron"], &jobs["jobs"][0]["next_run_at"]), (&json!("off"), &json!(null)));
    let job = served.process("pet");
    assert_eq!((&job["state"], &job["started_by"]), (&json!("finished"), &json!("api")));
    assert!(job["finished_at"].is_string() && job["last_error"].is_null());
    assert_eq!(served.ask("POST", "/api/v1/jobs/persons/run", None).0, 404);
    assert_eq!(served.ask("GET", "/api/v1/jobs/persons", None).0, 404);
    assert_eq!(served.ask("POST", "/api/v1/jobs/pet/run?limit=0", None).0, 422);
}

fn a_job_that_runs_is_not_run_again(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[series("1")]);
    // Another process has it.
    let owner = uuid::Uuid::now_v7();
    let later = if ground.is_server() {
        ("now() + interval '1 hour'", "now() - interval '1 second'")
    } else {
        ("32503680000000", "1")
    };
    ground.sql(&format!("UPDATE job SET lease_owner = '{owner}', lease_until = {} WHERE name = 'series'", later.0));
    let (status, problem) = served.ask("POST", "/api/v1/jobs/series/run", None);
    assert_eq!((status, &problem["code"]), (409, &json!("job_running")), "{problem}");
    assert_eq!(served.get("/api/v1/jobs/series")["state"], "running");
    let (_, err) = ground.expect(&["process", "series"], 4);
    assert!(err.contains("running in another process") && err.contains("hint:"), "{err}");
    assert_eq!(ground.one("SELECT count(*) FROM series"), "0");
    // Its process is gone, so the lease runs out.
    ground.sql(&format!("UPDATE job SET lease_until = {} WHERE name = 'series'", later.1));
    assert_eq!(served.process("series")["counts"]["written"], 1);
}

fn whoever_works_on_it_each_record_is_done_once(ground: &Ground) {
    let many: Vec<_> =
        (1..=150).flat_map(|id| [series(&id.to_string()), release(&format!("m{id}"), &id.to_string(), 1)]).collect();
    let servers = [ground.serve(&[]), ground.serve(&[])];
    servers[0].stage(&many);
    // Two servers and two commands, all at once, again and again until nothing is left.
    std::thread::scope(|scope| {
        for served in &servers {
            scope.spawn(move || {
                for _ in 0..6 {
                    for job in ["release", "series"] {
                        let status = served.ask("POST", &format!("/api/v1/jobs/{job}/run"), None).0;
                        // A store that is too busy with the others says so, and changes nothing.
                        assert!([202, 409, 503].contains(&status), "{status}");
                    }
                }
            });
        }
        for job in ["series", "release"] {
            scope.spawn(move || {
                for _ in 0..3 {
                    let output = ground.run(&["process", job], &[]);
                    let code = output.status.code().unwrap();
                    assert!(code == 0 || code == 4, "{}", text(&output.stderr));
                }
            });
        }
    });
    until(|| {
        let idle =
            servers[0].get("/api/v1/jobs")["jobs"].as_array().unwrap().iter().all(|job| job["state"] != "running");
        idle.then_some(())
    });
    for job in ["series", "release"] {
        servers[0].process(job);
    }
    let twice = "SELECT count(*) FROM parsed_series WHERE attempts <> 1 OR state <> 'processed'";
    assert_eq!(ground.one(twice), "0");
    assert_eq!(ground.one(&twice.replace("series", "release")), "0");
    assert_eq!(ground.one("SELECT count(*) FROM video"), "150");
    assert_eq!(ground.one("SELECT count(*) FROM pending_relation"), "0");
}

fn the_clock_starts_a_job_once(ground: &Ground) {
    let env = [("JOB_CHARACTER_CRON", "* * * * * *")];
    let servers = [ground.serve(&env), ground.serve(&env)];
    let many: Vec<_> = (1..=20).map(|id| character(&id.to_string())).collect();
    servers[0].stage(&many);
    until(|| (ground.one("SELECT count(*) FROM parsed_character WHERE state = 'processed'") == "20").then_some(()));
    assert_eq!(ground.one("SELECT count(*) FROM parsed_character WHERE attempts <> 1"), "0");
    assert_eq!(servers[1].get("/api/v1/jobs/character")["started_by"], "schedule");
}

fn a_record_that_the_store_refuses_is_parked(ground: &Ground) {
    ground.stage(&[series("1"), series("2"), series("3")]);
    // Something in the database itself that no check foresees.
    if ground.is_server() {
        ground.sql("ALTER TABLE series ADD CHECK (source_id <> '2')");
    } else {
        ground.sql(
            "CREATE TRIGGER never BEFORE INSERT ON series WHEN new.source_id = '2' \
             BEGIN SELECT raise(ABORT, 'never'); END",
        );
    }
    let child = ground.command(&["process", "series"], &[]).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(child.status.code(), Some(1), "{}", text(&child.stderr));
    assert_eq!(
        ground.sql("SELECT external_id, error_code FROM parsed_series WHERE state = 'with_errors'"),
        [["2", "store"]]
    );
    assert_eq!(ground.one("SELECT count(*) FROM series"), "2", "the others are there");
    ground.sql(if ground.is_server() {
        "ALTER TABLE series DROP CONSTRAINT series_source_id_check"
    } else {
        "DROP TRIGGER never"
    });
    ground.expect(&["process", "series"], 0);
    assert_eq!(ground.one("SELECT count(*) FROM series"), "2", "only when asked for");
    ground.expect(&["process", "series", "--retry-errors"], 0);
    assert_eq!(ground.one("SELECT count(*) FROM series"), "3");
    let odd = record("series", "9", &json!({ "title": " " }));
    ground.stage(&[odd]);
    ground.expect(&["process", "series"], 1);
}

#[test]
fn a_run_whose_request_was_given_up_is_carried_out_all_the_same() {
    let ground = Ground::embedded();
    ground.stage(&[series("1")]);
    // Nobody would take it over: whoever begins the run has to carry it out.
    let served = ground.serve(&[("SERVER_REQUEST_TIMEOUT_SECONDS", "1"), ("JOB_LEASE_SECONDS", "3600")]);
    let other = rusqlite::Connection::open(ground.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, body) = served.ask("POST", "/api/v1/jobs/series/run", None);
    assert_eq!((status, &body["code"]), (503, &json!("unavailable")), "{body}");
    other.execute_batch("COMMIT").unwrap();
    let state = until(|| {
        let state = served.get("/api/v1/jobs/series");
        (state["state"] == "finished").then_some(state)
    });
    assert_eq!(state["counts"]["written"], 1, "{state}");
}
