//! Imports on the pages: what came, what failed and why, trying again, stopping; and in a browser, as it happens.

use serde_json::{Value, json};

use crate::browser::looked_at;
use crate::chromium::Browser;
use crate::pages::valid;
use crate::visitor::Visitor;
use crate::world::{DEADLINE, Served, TOKEN, ask};

/// A request to the API, which must be taken.
pub(crate) fn api(served: &Served, method: &str, path: &str, body: &Value) -> Value {
    let headers = [("X-Internal-Token", TOKEN), ("Content-Type", "application/json")];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(served.address, method, path, &headers, text.as_bytes());
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    serde_json::from_str(&answer.text).unwrap_or(Value::Null)
}

/// A record of a title; without a title it is refused.
pub(crate) fn record(id: u32, title: &str) -> Value {
    json!({ "kind": "series", "source_name": "s", "external_id": id.to_string(), "payload": { "title": title } })
}

/// An open import; its id.
pub(crate) fn import(served: &Served, source: &str) -> String {
    let body = json!({ "source": source, "processor": "test/1", "notes": "for a test" });
    api(served, "POST", "/api/v1/imports", &body)["id"].as_str().unwrap().to_owned()
}

pub(crate) fn send(served: &Served, import: &str, records: &[Value]) {
    api(served, "POST", &format!("/api/v1/imports/{import}/batches"), &json!(records));
}

/// Closes it and waits for its end; its status.
pub(crate) fn ended(served: &Served, import: &str) -> String {
    api(served, "PATCH", &format!("/api/v1/imports/{import}/finalise"), &Value::Null);
    let started = std::time::Instant::now();
    loop {
        let status = api(served, "GET", &format!("/api/v1/imports/{import}"), &Value::Null)["status"].clone();
        if !["created", "started"].contains(&status.as_str().unwrap()) {
            return status.as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < DEADLINE, "{import} does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// An import of which two records are in and one is refused.
fn half(served: &Served) -> String {
    let id = import(served, "kodik-shikimori");
    send(served, &id, &[record(1, "One"), record(2, "Two"), record(3, "")]);
    assert_eq!(ended(served, &id), "partially_failed");
    id
}

#[test]
fn an_import_shows_what_failed_and_why() {
    let served = Served::new();
    let id = half(&served);
    let visitor = Visitor::new(&served);
    for path in ["/".to_owned(), "/imports".to_owned(), format!("/imports/{id}")] {
        let page = visitor.page(&path);
        valid(&path, &page);
        for text in ["kodik-shikimori", "partially failed", "3 of 3 records, 1 failed"] {
            assert!(page.contains(text), "{text} in {path}: {page}");
        }
    }
    let page = visitor.page(&format!("/imports/{id}"));
    let code = served.one("SELECT code FROM import_result WHERE status = 'failed'");
    for text in ["Try again what failed", "s 3", "for a test", &format!("<code>{code}</code>"), "sent with the request"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Cancel this import") && !page.contains("data-events"), "it has ended");
    assert!(visitor.page("/imports?status=failed").contains("There is none."));
    assert!(visitor.page("/imports?status=partially_failed").contains(&id));
    let originals = visitor.get(&format!("/imports/{id}/failed"));
    assert_eq!(originals.status, 200, "the link to the originals works: {}", originals.text);
    assert!(originals.text.contains("\"original\":\"{"), "{}", originals.text);
}

#[test]
fn what_failed_is_tried_again_once() {
    let served = Served::new();
    let id = half(&served);
    let visitor = Visitor::new(&served);
    let forged = visitor.send(&format!("/imports/{id}/retry"), &[], &[]);
    assert_eq!(forged.status, 403, "not without the form's token");
    assert_eq!(served.one("SELECT count(*) FROM import_record"), "1");
    let first = visitor.submit(&format!("/imports/{id}/retry"), &[]);
    assert_eq!(first.status, 303, "{}", first.text);
    let there = first.header("location").unwrap().to_owned();
    let page = visitor.page(&there);
    assert!(page.contains("is tried again, in this new import") && page.contains(&format!("href=\"/imports/{id}\"")));
    let second = visitor.submit(&format!("/imports/{id}/retry"), &[]);
    assert_eq!(second.header("location"), Some(there.as_str()), "pressed twice");
    assert_eq!(served.one("SELECT count(*) FROM import_record"), "2");
    valid(&there, &page);
}

#[test]
fn an_open_import_can_be_stopped_and_an_ended_one_cannot() {
    let served = Served::new();
    let id = import(&served, "s");
    let visitor = Visitor::new(&served);
    let page = visitor.page(&format!("/imports/{id}"));
    assert!(page.contains("Cancel this import") && !page.contains("Try again"));
    assert!(page.contains("it takes more batches until it is closed") && page.contains("No batches yet"));
    let retry = visitor.submit(&format!("/imports/{id}/retry"), &[]);
    assert_eq!(retry.status, 409);
    assert!(retry.text.contains("has not ended") && retry.text.contains("That did not work"), "{}", retry.text);
    let stopped = visitor.submit(&format!("/imports/{id}/cancel"), &[]);
    assert_eq!(stopped.header("location"), Some(format!("/imports/{id}?done=cancelled").as_str()));
    assert!(visitor.page(&format!("/imports/{id}?done=cancelled")).contains(">cancelled<"));
    for path in ["/imports/nothing", "/imports/0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11", "/imports/%ff"] {
        assert_eq!(visitor.get(path).status, 404, "{path}");
        assert_eq!(visitor.submit(&format!("{path}/cancel"), &[]).status, 404, "{path}");
    }
}

#[test]
fn names_and_reasons_of_imports_never_become_markup() {
    let served = Served::new();
    let hostile = "<script>alert(1)</script>\" onclick=\"x";
    let body = json!({ "source": hostile, "processor": hostile, "notes": hostile });
    let id = api(&served, "POST", "/api/v1/imports", &body)["id"].as_str().unwrap().to_owned();
    send(&served, &id, &[json!({ "kind": "series", "source_name": hostile, "external_id": hostile, "payload": {} })]);
    ended(&served, &id);
    let visitor = Visitor::new(&served);
    for path in ["/".to_owned(), "/imports".to_owned(), format!("/imports/{id}")] {
        let page = visitor.page(&path);
        valid(&path, &page);
        assert!(!page.contains("<script>") && !page.contains("\" onclick"), "{page}");
    }
}

#[test]
fn long_lists_of_imports_batches_and_failures_have_pages() {
    let served = Served::new();
    for number in 0..52 {
        import(&served, &format!("source-{number:02}"));
    }
    let id = import(&served, "large");
    for batch in 0..51 {
        send(&served, &id, &[record(batch, "")]);
    }
    ended(&served, &id);
    let visitor = Visitor::new(&served);
    let page = visitor.page("/imports");
    assert!(page.contains("source-51") && !page.contains("source-02<"), "{page}");
    let older = page.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let rest = visitor.page(&older.replace("&#38;", "&"));
    assert!(rest.contains("source-02") && rest.contains("source-00") && !rest.contains("source-03<"), "{rest}");
    let one = visitor.page(&format!("/imports/{id}"));
    for list in ["batches", "failures"] {
        let link = one.split("rel=\"next\" href=\"").skip(1).find(|part| part.contains(&format!("#{list}\""))).unwrap();
        let next =
            visitor.page(&link.split('"').next().unwrap().replace("&#38;", "&").replace(&format!("#{list}"), ""));
        valid(list, &next);
        assert!(next.contains(if list == "batches" { ">51<" } else { "s 50" }), "{list}: {next}");
    }
}

#[test]
fn a_session_may_ask_the_api_and_needs_its_form_token_to_change_anything() {
    let served = Served::new();
    let visitor = Visitor::new(&served);
    assert_eq!(visitor.get("/api/v1/imports").status, 200);
    assert_eq!(Visitor::stranger(&served).get("/api/v1/imports").status, 401);
    let body = json!({ "source": "s", "processor": "p" }).to_string();
    let kind = ("Content-Type", "application/json");
    let post = |more: &[(&str, &str)]| {
        let headers = [&[kind], more].concat();
        visitor.ask("POST", "/api/v1/imports", &headers, body.as_bytes()).status
    };
    let token = visitor.form_token();
    assert_eq!(post(&[]), 401);
    assert_eq!(post(&[("X-Form-Token", "0")]), 401);
    assert_eq!(post(&[("X-Form-Token", &token), ("Sec-Fetch-Site", "cross-site")]), 401);
    assert_eq!(served.one("SELECT count(*) FROM import_record"), "0");
    assert_eq!(post(&[("X-Form-Token", &token), ("Sec-Fetch-Site", "same-origin")]), 201);
    let contract = visitor.ask("POST", crate::world::ANIME, &[kind, ("X-Form-Token", &token)], b"{}");
    assert_eq!(contract.status, 422, "the contract knows no sessions");
}

#[test]
fn a_browser_sees_an_import_move_and_tries_again_what_failed() {
    let served = Served::new();
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    browser.until("document.documentElement.dataset.connected === 'yes'");
    browser.eval("void (window.same = true)");
    let id = import(&served, "live-source");
    // The overview shows it by itself.
    browser.until("document.body.textContent.includes('live-source')");
    send(&served, &id, &[record(1, "One")]);
    browser.until("document.body.textContent.includes('1 of 1 records')");
    assert_eq!(browser.eval("window.same"), json!(true), "nobody has reloaded the page");

    browser.click("tbody a");
    browser.until(&format!(
        "location.pathname === '/imports/{id}' && document.documentElement.dataset.connected === 'yes'"
    ));
    browser.eval("void (window.same = true)");
    browser.eval("document.querySelector('#cancel').focus()");
    send(&served, &id, &[record(2, "Two"), record(3, "")]);
    browser.until("document.querySelector('progress').max === 3 && document.querySelector('progress').value === 3");
    browser.until("document.querySelector('[data-live=failures] tbody tr')");
    assert_eq!(browser.eval("document.activeElement.id"), json!("cancel"), "the focus stays where it was");
    assert_eq!(ended(&served, &id), "partially_failed");
    browser.until("document.querySelector('#progress').textContent.includes('partially failed')");
    browser.until("document.querySelector('#live-status').textContent.includes('partially failed: 3 of 3')");
    assert_eq!(browser.eval("window.same"), json!(true));

    browser.click("#retry");
    browser.until("document.querySelector('.done')");
    browser.until("document.querySelector('#progress').textContent.includes('failed')");
    browser.until("document.querySelector('[data-live=ended] time')");
    assert_eq!(served.one("SELECT count(*) FROM import_record WHERE retry_of IS NOT NULL"), "1");
    browser.assert_clean();
    looked_at(&mut browser, &format!("/imports/{id}"), "import");
    looked_at(&mut browser, "/imports", "imports");
    looked_at(&mut browser, "/", "overview-imports");
}

#[test]
fn without_scripts_everything_but_the_moving_works() {
    let served = Served::new();
    let id = half(&served);
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    browser.scripts(false);
    browser.open(&format!("/imports/{id}"));
    assert_eq!(browser.eval("document.documentElement.dataset.connected ?? null"), Value::Null);
    browser.click("#retry");
    browser.until("document.querySelector('.done')");
    assert_eq!(served.one("SELECT count(*) FROM import_record"), "2");
}
