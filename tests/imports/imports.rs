//! An import as a whole: made once, closed, stopped, tried again.

use serde_json::{Value, json};

use crate::place::{DEADLINE, IMPORTS, JSON, LINES, Place, lines, on_each_engine, record, refused};

#[test]
fn an_import_goes_its_way() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s", "processor": "p/1", "expected_count": 3, "notes": "n" }));
        let made = served.get(&import);
        assert_eq!(made["status"], "created");
        assert_eq!(
            (&made["expected_count"], &made["collision"], &made["process"]),
            (&json!(3), &json!("upsert"), &json!("now"))
        );

        let sent = served.send(&import, &[LINES], &lines([record(1), record(2), refused(3)]));
        assert_eq!(sent.status, 202, "{}", sent.text);
        let batch = served.ended(sent.header("location").unwrap());
        assert_eq!((&batch["status"], &batch["reason"]), (&json!("partially_failed"), &json!("1 of 3 records failed")));
        assert_eq!(served.get(&import)["status"], "started", "an import that is not closed does not end");

        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("partially_failed"), &json!("1 of 3 records failed")));
        let again = served.ask("PATCH", &format!("{import}/finalise"), &[], b"");
        assert_eq!((again.status, again.json()), (200, ended), "closing again changes nothing");
        let more = served.send(&import, &[JSON], b"[]");
        assert_eq!(more.refusal(), (409, "import_finalised".to_owned()));
        assert_eq!(served.ask("POST", &format!("{import}/cancel"), &[], b"").refusal().0, 409);

        let summary = served.get(&format!("{import}/summary"));
        assert_eq!(summary["records"], 3);
        assert_eq!(summary["failures"], json!([{ "code": "invalid_field", "count": 1 }]));
        let results = served.get(&format!("{import}/results"))["items"].clone();
        let statuses: Vec<_> = results.as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
        assert_eq!(statuses, ["completed", "completed", "failed"]);
    });
}

#[test]
fn the_wrong_number_of_records_is_a_failure_with_the_reason() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s", "expected_count": 3 }));
        served.send(&import, &[JSON, ("Prefer", "wait=20")], json!([record(1), record(2)]).to_string().as_bytes());
        let ended = served.finalise(&import);
        assert_eq!(ended["status"], "partially_failed");
        assert_eq!(ended["reason"], "3 records were expected, 2 came");

        let nothing = served.import(&json!({ "source": "s" }));
        assert_eq!(served.finalise(&nothing)["status"], "completed");
    });
}

#[test]
fn a_key_makes_one_import_and_stands_for_one_request() {
    on_each_engine(|place| {
        let served = place.serve();
        let make = |key: &str, body: &Value| {
            served.ask("POST", IMPORTS, &[JSON, ("Idempotency-Key", key)], body.to_string().as_bytes())
        };
        let first = make("k", &json!({ "source": "s" }));
        let again = make("k", &json!({ "source": "s" }));
        assert_eq!((first.status, again.status), (201, 200));
        assert_eq!(first.json()["id"], again.json()["id"]);
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
        assert_eq!(make("k", &json!({ "source": "other" })).refusal(), (409, "idempotency_key_reused".to_owned()));
        assert_ne!(make("l", &json!({ "source": "s" })).json()["id"], first.json()["id"]);
        assert_eq!(make(&"x".repeat(300), &json!({ "source": "s" })).status, 422);

        for bad in [
            json!({}),
            json!({ "source": "" }),
            json!({ "source": "s", "collision": "x" }),
            json!({ "source": "s", "expected_count": -1 }),
            json!({ "source": "s", "x": 1 }),
        ] {
            assert_eq!(make("m", &bad).status, 422, "{bad}");
        }
        let list = served.get(&format!("{IMPORTS}?limit=1"));
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        let next = served.get(&format!("{IMPORTS}?limit=1&cursor={}", list["next_cursor"].as_str().unwrap()));
        assert_eq!(next["items"][0]["id"], first.json()["id"], "the newest first");
        assert_eq!(next["next_cursor"], Value::Null);
        assert_eq!(served.get(&format!("{IMPORTS}?status=completed"))["items"], json!([]));
        assert_eq!(served.ask("GET", &format!("{IMPORTS}?status=x"), &[], b"").status, 422);
        assert_eq!(served.ask("GET", &format!("{IMPORTS}/01a20210-2e58-7546-8038-e1c30add527b"), &[], b"").status, 404);
        assert_eq!(served.ask("GET", &format!("{IMPORTS}/x"), &[], b"").status, 404);
    });
}

#[test]
fn a_cancel_whose_server_is_killed_is_all_or_nothing() {
    on_each_engine(|place| {
        for point in ["imports.cancel.before_commit", "imports.cancel.after_commit"] {
            let mut served = place.serve_hastily(&[("PARSER_CRASH_AT", &format!("{point}=1"))]);
            let later = json!({ "source": point, "process": "later" });
            let import = served.import(&later);
            served.send(&import, &[LINES], &lines((1..=10).map(record)));
            assert!(served.try_ask("POST", &format!("{import}/cancel"), &[], b"").is_none(), "{point}");
            let started = std::time::Instant::now();
            while !served.is_dead() {
                assert!(started.elapsed() < DEADLINE);
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let served = place.serve_hastily(&[]);
            let asked = served.ask("POST", &format!("{import}/cancel"), &[], b"");
            assert_eq!((asked.status, asked.json()["status"].as_str()), (200, Some("cancelled")), "{point}");
            let open = ["created", "started", "retrying"].map(|name| asked.json()["results"][name].clone());
            assert_eq!(open, [0, 0, 0].map(Value::from), "{point}");
        }
    });
}

#[test]
fn what_is_cancelled_ends_and_leaves_nothing_open() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        let sent = served.send(&import, &[LINES], &lines((1..=3000).map(record)));
        assert_eq!(sent.status, 202);
        let cancelled = served.ask("POST", &format!("{import}/cancel"), &[], b"");
        assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("cancelled")));
        let results = &cancelled.json()["results"];
        let count = |name: &str| results[name].as_u64().unwrap();
        assert_eq!(count("created") + count("started") + count("retrying"), 0);
        assert_eq!(count("completed") + count("failed"), 3000);
        assert!(count("failed") > 0, "nothing was left to cancel");
        let summary = served.get(&format!("{import}/summary"));
        assert_eq!(summary["failures"][0]["code"], "cancelled");
        assert_eq!(served.get(sent.header("location").unwrap())["status"], "cancelled");
        // What is in is in, and what is not is not: nobody works on it any more.
        let stored = place.dump().lines().filter(|line| line.contains("\"table\":\"series\"")).count();
        assert_eq!(stored as u64, count("completed"));
        assert_eq!(served.ask("POST", &format!("{import}/cancel"), &[], b"").json(), cancelled.json());
        assert_eq!(served.send(&import, &[JSON], b"[]").status, 409);

        let retry = served.ask("POST", &format!("{import}/retry"), &[], b"");
        assert_eq!(retry.status, 201, "{}", retry.text);
        let ended = served.ended(retry.header("location").unwrap());
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(count("failed"))));
        let stored = place.dump().lines().filter(|line| line.contains("\"table\":\"series\"")).count();
        assert_eq!(stored, 3000);
    });
}

#[test]
fn failed_records_are_tried_again_from_their_own_bytes() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        let odd = "{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"9\",  \"payload\":{\"title\":\"T\",\"year\":5}}";
        let body = format!("{}\n{odd}\nno json\n", record(1));
        served.send(&import, &[LINES, ("Prefer", "wait=20")], body.as_bytes());
        assert_eq!(
            served.ask("POST", &format!("{import}/retry"), &[], b"").refusal(),
            (409, "import_not_ended".to_owned())
        );
        served.finalise(&import);

        let failed = format!("{import}/results?status=FAILED&originals=true");
        let as_lines = served.ask("GET", &failed, &[("Accept", "application/x-ndjson")], b"");
        assert_eq!(as_lines.header("content-type"), Some("application/x-ndjson"));
        let originals: Vec<_> = as_lines.lines().iter().map(|line| line["original"].clone()).collect();
        assert_eq!(originals, [odd, "no json"], "to the byte");
        assert_eq!(served.get(&failed)["items"], json!(as_lines.lines()));

        let key = ("Idempotency-Key", "again");
        let retry = served.ask("POST", &format!("{import}/retry"), &[key], b"");
        let same = served.ask("POST", &format!("{import}/retry"), &[key], b"");
        assert_eq!((retry.status, same.status), (201, 200));
        assert_eq!(retry.json()["id"], same.json()["id"]);
        let ended = served.ended(retry.header("location").unwrap());
        assert_eq!((&ended["status"], &ended["results"]["failed"]), (&json!("failed"), &json!(2)));
        assert_eq!(format!("{IMPORTS}/{}", ended["retry_of"].as_str().unwrap()), import);
        assert_eq!(served.get(&import)["status"], "partially_failed", "the first stays what it was");

        let clean = served.import(&json!({ "source": "s" }));
        served.finalise(&clean);
        assert_eq!(
            served.ask("POST", &format!("{clean}/retry"), &[], b"").refusal(),
            (409, "nothing_failed".to_owned())
        );
    });
}

#[test]
fn later_stages_only() {
    let place = Place::sqlite();
    let served = place.serve();
    let import = served.import(&json!({ "source": "s", "process": "later" }));
    served.send(&import, &[JSON, ("Prefer", "wait=20")], json!([record(1)]).to_string().as_bytes());
    served.send(&import, &[LINES], &lines([record(2)]));
    assert_eq!(served.finalise(&import)["results"]["completed"], 2);
    assert_eq!(place.dump(), Place::sqlite().dump());
}

#[test]
fn many_records_are_staged_each_by_itself() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s", "process": "later" }));
        let mut body = lines((0..700).map(|at| {
            json!({ "kind": "series", "source_name": "s", "external_id": (at % 350).to_string(),
                "payload": { "title": format!("Version {at}") } })
        }));
        body.extend(b"{\"kind\": \n");
        body.extend(lines((1..=50).map(|at| {
            json!({ "kind": "pet", "source_name": "s",
            "external_id": at.to_string(), "payload": { "name": "Pochi" } })
        })));
        served.send(&import, &[LINES], &body);
        let ended = served.finalise(&import);
        assert_eq!((&ended["results"]["completed"], &ended["results"]["failed"]), (&json!(750), &json!(1)));
        assert_eq!(served.get("/api/v1/jobs/pet")["staged"]["init"], 50);
        let rows = served.get("/api/v1/staging/series?state=init&limit=500");
        let rows = rows["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 350);
        let row = served.get(&format!("/api/v1/staging/series/{}", rows[0]["id"]));
        let (id, title) = (row["external_id"].as_str().unwrap(), row["payload"]["title"].as_str().unwrap());
        assert_eq!(title, format!("Version {}", id.parse::<u32>().unwrap() + 350), "the last one stands");
        assert_eq!(place.store(async |store| left_of_originals(&store).await), 1, "only what failed keeps its bytes");
    });
}

async fn left_of_originals(store: &parser::store::Store) -> u64 {
    store.read(|session| session.one("SELECT count(*) FROM import_original", &[], |row| row.get(0))).await.unwrap()
}
