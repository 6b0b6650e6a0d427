//! Batches in all their forms: arrays, lines, nothing, too much, and cut.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::place::{JSON, LINES, Place, head, lines, on_each_engine, record, refused};

const WAIT: (&str, &str) = ("Prefer", "respond-async, wait=20");

#[test]
fn a_small_batch_is_answered_with_its_results() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        let body = json!([record(1), refused(2), 5]).to_string();
        let key = ("Idempotency-Key", "b");
        let sent = served.send(&import, &[JSON, WAIT, key], body.as_bytes());
        assert_eq!(sent.status, 200, "{}", sent.text);
        let answer = sent.json();
        assert_eq!(answer["batch"]["status"], "partially_failed");
        let results = answer["results"].as_array().unwrap();
        let of = |name: &str| results.iter().map(|result| result[name].clone()).collect::<Vec<_>>();
        assert_eq!(of("status"), ["completed", "failed", "failed"]);
        assert_eq!(of("ordinal"), [1, 2, 3]);
        assert_eq!(of("code"), [Value::Null, json!("invalid_field"), json!("invalid_field")]);
        assert_eq!(results[0]["change"], "created");
        assert_eq!(results[0]["writes"]["series"], 1);
        assert_eq!(results[2]["byte_offset"], body.len() - 2);
        assert!(results[2]["message"].as_str().unwrap().starts_with("record 3, byte "));

        // The same again is the same answer, and is not done twice.
        let again = served.send(&import, &[JSON, WAIT, key], body.as_bytes());
        assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
        assert_eq!(again.json(), answer);
        let other = served.send(&import, &[JSON, WAIT, key], b"[]");
        assert_eq!(other.refusal(), (409, "idempotency_key_reused".to_owned()));
        assert_eq!(served.get(&format!("{import}/batches"))["items"].as_array().unwrap().len(), 1);
        served.finalise(&import);
        assert_eq!(served.send(&import, &[JSON, WAIT, key], body.as_bytes()).json(), answer, "also when it is closed");

        // In another import the catalogue has it already.
        let second = served.import(&json!({ "source": "s" }));
        let sent = served.send(&second, &[LINES, WAIT], &lines([record(1)])).json();
        assert_eq!((&sent["results"][0]["status"], &sent["results"][0]["line"]), (&json!("unchanged"), &json!(1)));
        let batch = sent["batch"]["id"].as_str().unwrap();
        let results = served.get(&format!("{second}/batches/{batch}/results"));
        assert_eq!(results["items"], sent["results"]);
    });
}

#[test]
fn a_policy_is_kept() {
    let place = Place::sqlite();
    let served = place.serve();
    let send = |collision: &str, title: &str| {
        let import = served.import(&json!({ "source": "s", "collision": collision }));
        let record =
            json!([{ "kind": "series", "source_name": "s", "external_id": "1", "payload": { "title": title } }]);
        let sent = served.send(&import, &[JSON, WAIT], record.to_string().as_bytes()).json();
        (sent["results"][0]["status"].clone(), sent["results"][0]["code"].clone())
    };
    assert_eq!(send("fail", "A"), (json!("completed"), Value::Null));
    assert_eq!(send("fail", "B").0, "failed");
    assert_eq!(send("skip", "B"), (json!("unchanged"), Value::Null));
    assert_eq!(send("upsert", "B"), (json!("completed"), Value::Null));
}

#[test]
fn a_bad_line_fails_alone_with_its_place() {
    on_each_engine(|place| {
        let served = place.serve_with(&[("IMPORT_MAX_LINE_MIB", "1")]);
        let import = served.import(&json!({ "source": "s" }));
        let separators = json!({ "kind": "series", "source_name": "s", "external_id": "2",
            "payload": { "title": "a\u{2028}b\u{85}c" } });
        let mut body = b"\xEF\xBB\xBF".to_vec();
        body.extend(format!("{}\r\n", record(1)).bytes());
        body.extend(b"\n  \r\n");
        body.extend(format!("{separators}\n").bytes());
        let malformed = body.len();
        body.extend(b"{\"kind\": \n");
        let oversize = body.len();
        body.extend([b"\"", "x".repeat(2 << 20).as_bytes(), b"\"\n"].concat());
        let not_text = body.len();
        body.extend(b"{\"kind\":\"\xff\"}\n");
        body.extend(record(3).to_string().bytes());

        let sent = served.send(&import, &[LINES], &body);
        assert_eq!(sent.status, 202, "{}", sent.text);
        let batch = served.ended(sent.header("location").unwrap());
        assert_eq!((&batch["records"], &batch["position"]["bytes"]), (&json!(6), &json!(body.len())));
        let results = served.get(&format!("{}/results", sent.header("location").unwrap()));
        let seen: Vec<_> = results["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| json!([result["line"], result["byte_offset"], result["status"], result["code"]]))
            .collect();
        let expected = [
            json!([1, 3, "completed", null]),
            json!([4, malformed - separators.to_string().len() - 1, "completed", null]),
            json!([5, malformed, "failed", "malformed"]),
            json!([6, oversize, "failed", "too_large"]),
            json!([7, not_text, "failed", "invalid_utf8"]),
            json!([8, not_text + 13, "completed", null]),
        ];
        assert_eq!(seen, expected);
        let items = served.get(&format!("{import}/results?status=failed&originals=true"))["items"].clone();
        assert_eq!(items[0]["original"], "{\"kind\": ");
        assert_eq!(items[2]["original_base64"], "eyJraW5kIjoi/yJ9");
        let failed = served.ask("GET", &format!("{import}/results?status=failed"), &[("Accept", LINES.1)], b"").lines();
        assert_eq!((failed.len(), &failed[0]["original"]), (3, &json!("{\"kind\": ")), "a download has them unasked");
        let bare = served.ask("GET", &format!("{import}/results"), &[("Accept", LINES.1)], b"").lines();
        assert!(bare.iter().all(|result| result.get("original").is_none()));
        assert_eq!(place.dump().matches("\"table\":\"series\"").count(), 3, "split on the line feed only");
    });
}

#[test]
fn a_record_that_is_nested_too_deeply_fails_alone() {
    let place = Place::sqlite();
    let served = place.serve();
    let import = served.import(&json!({ "source": "s" }));
    let deep = format!("{{\"kind\":\"series\",\"payload\":{}", "[".repeat(200_000));
    let mut body = lines([record(1)]);
    body.extend(format!("{deep}\n").bytes());
    let sent = served.send(&import, &[LINES, WAIT], &body).json();
    let of = |name: &str| [sent["results"][0][name].clone(), sent["results"][1][name].clone()];
    assert_eq!((of("status"), of("code")), ([json!("completed"), json!("failed")], [Value::Null, json!("too_deep")]));
}

#[test]
fn nothing_is_complete() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s", "expected_count": 0 }));
        for (kind, body) in [(LINES, &b""[..]), (LINES, b"\n \r\n\n"), (JSON, b"[]"), (JSON, b"  ")] {
            for wait in [WAIT, ("X-Other", "1")] {
                let sent = served.send(&import, &[kind, wait], body);
                assert_eq!(sent.json()["batch"]["status"], "completed", "{}", sent.text);
                assert_eq!(sent.json()["batch"]["records"], 0);
            }
        }
        assert_eq!(served.finalise(&import)["status"], "completed");
    });
}

#[test]
fn what_is_no_batch_is_refused() {
    let place = Place::sqlite();
    let served = place.serve_with(&[("IMPORT_MAX_LINE_MIB", "1"), ("IMPORT_MAX_BATCH_MIB", "1")]);
    let import = served.import(&json!({ "source": "s" }));
    for body in ["5", "[1", "{}", "{\"storage_url\": 5}", "\"x\"", "[] []"] {
        assert_eq!(served.send(&import, &[JSON], body.as_bytes()).status, 422, "{body}");
    }
    assert_eq!(served.send(&import, &[("Content-Type", "text/csv")], b"a,b").status, 415);
    let large = format!("[\"{}\"]", "x".repeat(2 << 20));
    assert_eq!(served.send(&import, &[JSON], large.as_bytes()).status, 413);
    let large = served.send(&import, &[LINES], &lines((0..20_000).map(record)));
    assert_eq!(large.refusal(), (413, "batch_too_large".to_owned()));
    assert_eq!(served.send("/api/v1/imports/01a20210-2e58-7546-8038-e1c30add527b", &[JSON], b"[]").status, 404);
    assert_eq!(served.finalise(&import)["results"]["completed"], 0);
    assert!(!place.dump().contains("Title"));
}

#[test]
fn a_cut_body_leaves_the_reason_and_can_be_sent_again() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s", "expected_count": 1200 }));
        let body = lines((1..=1200).map(record));
        let headers = [LINES, ("Idempotency-Key", "cut")];
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(&head("POST", &format!("{import}/batches"), &headers, body.len())).unwrap();
        stream.write_all(&body[..body.len() / 2]).unwrap();
        let path = format!("{import}/batches");
        served.until(&path, |page| page["items"][0]["records"].as_u64() > Some(0));
        let other = served.send(&import, &headers, &body);
        assert_eq!(other.refusal(), (409, "idempotency_key_in_use".to_owned()));
        drop(stream);

        let page = served.until(&path, |page| page["items"][0]["status"] == "failed");
        assert!(page["items"][0]["reason"].as_str().unwrap().contains("cut after"), "{page}");
        assert_eq!(served.get(&format!("{import}/results"))["items"], json!([]), "nothing of it was begun");
        let sent = served.send(&import, &headers, &body);
        assert_eq!(sent.status, 202, "{}", sent.text);
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(1200)));
        let again = served.send(&import, &headers, &body);
        assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
        let page = served.get(&path)["items"].clone();
        assert_eq!((&page[0]["superseded"], &page[1]["superseded"]), (&json!(true), &json!(false)));
    });
}

#[test]
fn many_records_come_in_one_stream_and_the_last_of_a_name_wins() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        let versions = (0..1200).map(|at| {
            json!({ "kind": "series", "source_name": "s", "external_id": (at % 100).to_string(),
                "payload": { "title": format!("Version {at}") } })
        });
        served.send(&import, &[LINES], &lines(versions));
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(1200)));
        let dump = place.dump();
        for last in 1100..1200 {
            assert!(dump.contains(&format!("\"Version {last}\"")), "{last} is not the last");
        }
        let mut cursor = String::new();
        let mut seen = Vec::new();
        loop {
            let page = served.get(&format!("{import}/results?limit=1000{cursor}"));
            seen.extend(page["items"].as_array().unwrap().iter().map(|result| result["line"].as_u64().unwrap()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, (1..=1200).collect::<Vec<_>>());
        let whole = served.ask("GET", &format!("{import}/results"), &[("Accept", "application/x-ndjson")], b"");
        assert_eq!(whole.lines().len(), 1200);
    });
}
