//! Looking at staged records, finding out why one was refused, mending it.

use serde_json::json;

use crate::ground::{Ground, both, character, record, release, series};

both!(
    a_refused_record_is_kept_with_its_reason_and_mended,
    pages_and_filters,
    what_is_thrown_away_is_gone,
    commands_do_the_same,
    an_operator_whose_command_is_killed_asks_again,
    what_is_no_record_is_refused_whole,
);

fn bad() -> serde_json::Value {
    record("series", "2", &json!({ "title": "Two", "year": "soon", "more": [1] }))
}

fn a_refused_record_is_kept_with_its_reason_and_mended(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[series("1"), bad(), series("3")]);
    let job = served.process("series");
    assert_eq!((&job["counts"]["written"], &job["counts"]["failed"]), (&json!(2), &json!(1)), "the others go on");
    let list = served.get("/api/v1/staging/series?state=with_errors");
    let row = &list["rows"][0];
    assert_eq!(
        (&row["external_id"], &row["attempts"], &row["error"]["code"]),
        (&json!("2"), &json!(1), &json!("invalid_field"))
    );
    let message = row["error"]["message"].as_str().unwrap();
    assert!(message.contains("payload.year") && !message.contains("soon"), "{message}");
    let path = format!("/api/v1/staging/series/{}", row["id"]);
    assert_eq!(served.get(&path)["payload"], json!({ "title": "Two", "year": "soon", "more": [1] }), "as it came");
    for _ in 0..2 {
        assert_eq!(served.process("series")["counts"]["failed"], 0, "never picked up again by itself");
    }
    // Queued again it is tried again, and still wrong.
    assert_eq!(served.ask("POST", &format!("{path}/requeue"), None).0, 200);
    assert_eq!(served.ask("POST", &format!("{path}/requeue"), None).0, 409);
    assert_eq!(served.process("series")["counts"]["failed"], 1);
    assert_eq!(served.ask("POST", "/api/v1/jobs/series/run?retry_errors=true", None).0, 202);
    crate::ground::until(|| (served.get("/api/v1/jobs/series")["counts"]["failed"] == 1).then_some(()));
    // The sender mends it: the row of the same name gives way.
    served.stage(&[series("2")]);
    assert_eq!(served.process("series")["counts"]["written"], 1);
    assert_eq!(ground.one("SELECT count(*) FROM series"), "3");
    assert_eq!(ground.one("SELECT count(*) FROM parsed_series WHERE state <> 'processed'"), "0");
}

fn pages_and_filters(ground: &Ground) {
    let served = ground.serve(&[]);
    let many: Vec<_> = (1..=7).map(|id| character(&id.to_string())).collect();
    served.stage(&many);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/api/v1/staging/character?limit=3{cursor}"));
        seen.extend(page["rows"].as_array().unwrap().iter().map(|row| row["external_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(served.get("/api/v1/staging/character?source=t")["rows"], json!([]));
    assert_eq!(served.get("/api/v1/staging/character?state=processed")["rows"], json!([]));
    for (path, status) in [
        ("/api/v1/staging/person", 404),
        ("/api/v1/staging/character/999", 404),
        ("/api/v1/staging/character/x", 404),
        ("/api/v1/staging/character?state=lost", 422),
        ("/api/v1/staging/character?limit=0", 422),
        ("/api/v1/staging/character?limit=501", 422),
        ("/api/v1/staging/character?cursor=x", 422),
    ] {
        assert_eq!(served.ask("GET", path, None).0, status, "{path}");
    }
}

fn what_is_thrown_away_is_gone(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[release("m1", "5", 1)]);
    served.process("release");
    let id = served.get("/api/v1/staging/release")["rows"][0]["id"].clone();
    let path = format!("/api/v1/staging/release/{id}");
    assert_eq!(served.ask("DELETE", &path, None).0, 204);
    assert_eq!(served.ask("DELETE", &path, None).0, 404);
    served.stage(&[series("5")]);
    served.process("series");
    assert_eq!(ground.one("SELECT count(*) FROM release"), "0");
    assert_eq!(ground.one("SELECT count(*) FROM pending_relation"), "0");
}

fn commands_do_the_same(ground: &Ground) {
    ground.stage(&[series("1"), bad(), release("m1", "9", 1)]);
    let (out, err) = ground.expect(&["process", "all"], 1);
    assert!(out.contains("series     1 written, 0 unchanged, 0 waiting, 1 refused"), "{out}");
    assert!(err.contains("hint: `parser staging list --in-state with_errors`"), "{err}");
    ground.expect(&["process", "series"], 0);
    let (out, _) = ground.expect(&["staging", "list", "--in-state", "with_errors"], 0);
    assert!(out.contains("invalid_field") && out.contains("payload.year"), "{out}");
    let (out, _) = ground.expect(&["staging", "list", "--kind", "release", "--json"], 0);
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows["rows"][0]["waits_for"], "series s/9");
    let id = ground.one("SELECT id FROM parsed_series WHERE state = 'with_errors'");
    let (out, _) = ground.expect(&["staging", "show", "--kind", "series", &id], 0);
    assert!(out.contains("soon"), "{out}");
    ground.expect(&["staging", "show", "--kind", "series", "999"], 1);
    let (out, _) = ground.expect(&["process", "series", "--retry-errors", "--json"], 1);
    let outcome: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(outcome["jobs"][0]["failed"], 1);
    assert_eq!(ground.expect(&["staging", "requeue", "--kind", "series", "--all"], 0).0, "requeued 1\n");
    ground.expect(&["staging", "requeue", "--kind", "series", &id], 1);
    ground.expect(&["process", "series", "--limit", "1"], 1);
    assert_eq!(ground.expect(&["staging", "discard", "--kind", "series", &id], 0).0, "discarded 1\n");
    ground.expect(&["process", "everything"], 2);
}

fn an_operator_whose_command_is_killed_asks_again(ground: &Ground) {
    ground.stage(&[series("1"), bad()]);
    ground.expect(&["process", "series"], 1);
    let id = ground.one("SELECT id FROM parsed_series WHERE state = 'with_errors'");
    for (point, left) in [("staging.before_commit", "1"), ("staging.after_commit", "0")] {
        let args = ["staging", "discard", "--kind", "series", &id];
        let killed = ground.run(&args, &[("PARSER_CRASH_AT", &format!("{point}=1"))]);
        assert_eq!(killed.status.code(), None, "{point}: {}", crate::ground::text(&killed.stderr));
        // A server may only now hear that the command is gone.
        let count = format!("SELECT count(*) FROM parsed_series WHERE id = {id}");
        crate::ground::until(|| (ground.one(&count) == left).then_some(()));
    }
    ground.expect(&["staging", "discard", "--kind", "series", &id], 1);
    assert_eq!(ground.one("SELECT count(*) FROM parsed_series"), "1");
}

fn what_is_no_record_is_refused_whole(ground: &Ground) {
    let served = ground.serve(&[]);
    let mut odd = character("2");
    odd["kind"] = json!("person");
    let (status, problem) = served.post("/api/v1/staging", &json!([character("1"), odd]));
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("record 1: `kind`"), "{problem}");
    assert_eq!(ground.one("SELECT count(*) FROM parsed_character"), "0", "all or none");
}
