//! The jobs with their buttons, and staged records: read, queued again, thrown away.

use serde_json::json;

use crate::browser::looked_at;
use crate::chromium::Browser;
use crate::imports::{api, ended, import, record, send};
use crate::pages::valid;
use crate::visitor::Visitor;
use crate::world::{DEADLINE, Served};

/// Records that wait in staging for their job.
fn staged(served: &Served, records: std::ops::Range<u32>) -> String {
    let body = json!({ "source": "later", "processor": "test/1", "process": "later" });
    let id = api(served, "POST", "/api/v1/imports", &body)["id"].as_str().unwrap().to_owned();
    let records: Vec<_> = records.map(|number| record(number, &format!("Title {number}"))).collect();
    send(served, &id, &records);
    ended(served, &id);
    id
}

/// One record that was refused; its row.
fn refused(served: &Served) -> String {
    let id = import(served, "s");
    send(served, &id, &[record(99, "")]);
    ended(served, &id);
    served.one("SELECT id FROM parsed_series WHERE state = 'with_errors'")
}

fn until(served: &Served, sql: &str, expected: &str) {
    let started = std::time::Instant::now();
    while served.one(sql) != expected {
        assert!(started.elapsed() < DEADLINE, "`{sql}` is `{}`", served.one(sql));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_job_is_run_by_its_button() {
    let served = Served::new();
    staged(&served, 0..12);
    let visitor = Visitor::new(&served);
    let page = visitor.page("/jobs");
    valid("/jobs", &page);
    assert_eq!(page.matches(">never ran<").count(), 4, "{page}");
    for job in ["series", "release", "character", "pet"] {
        assert!(page.contains(&format!("action=\"/jobs/{job}/run\"")), "{page}");
    }
    assert_eq!(visitor.send("/jobs/series/run", &[], &[]).status, 403, "not without the form's token");
    assert_eq!(visitor.submit("/jobs/nothing/run", &[]).status, 404);
    assert_eq!(served.one("SELECT count(*) FROM series"), "0");
    let run = visitor.submit("/jobs/series/run", &[]);
    assert_eq!((run.status, run.header("location")), (303, Some("/jobs?done=started")), "{}", run.text);
    until(&served, "SELECT count(*) FROM job WHERE name = 'series' AND finished_at IS NOT NULL", "1");
    assert_eq!(served.one("SELECT count(*) FROM series"), "12");
    let page = visitor.page("/jobs?done=started");
    assert!(page.contains("has been started") && page.contains(">finished<") && page.contains(">12<"), "{page}");
    assert!(page.contains("by api"));
}

#[test]
fn a_running_job_is_not_started_twice() {
    let served = Served::new();
    served.execute("UPDATE job SET lease_owner = 'x', lease_until = 9999999999999, started_at = 1 WHERE name = 'pet'");
    let visitor = Visitor::new(&served);
    let page = visitor.page("/jobs");
    assert!(page.contains(">running<") && page.matches("disabled>").count() == 2, "{page}");
    let run = visitor.submit("/jobs/pet/run", &[]);
    assert_eq!(run.header("location"), Some("/jobs?done=running"));
    assert!(visitor.page("/jobs?done=running").contains("it was not started again"));
}

#[test]
fn a_refused_record_is_read_queued_again_and_thrown_away() {
    let served = Served::new();
    let row = refused(&served);
    let visitor = Visitor::new(&served);
    for path in ["/", "/staging", "/staging/series", "/staging/series?state=with_errors&source=s"] {
        let page = visitor.page(path);
        valid(path, &page);
    }
    let list = visitor.page("/staging/series?state=with_errors");
    assert!(list.contains("s 99") && list.contains(">refused<") && list.contains("title"), "{list}");
    assert!(visitor.page("/staging/series?state=processed").contains("There is none."));
    assert!(visitor.page("/staging/series?source=other").contains("There is none."));
    let path = format!("/staging/series/{row}");
    let page = visitor.page(&path);
    valid(&path, &page);
    assert!(page.contains("&#34;title&#34;: &#34;&#34;") && page.contains("Queue it again"), "{page}");
    assert!(page.contains("href=\"/imports/"), "its import is linked");

    assert_eq!(visitor.send(&format!("{path}/requeue"), &[], &[]).status, 403);
    let again = visitor.submit(&format!("{path}/requeue"), &[]);
    assert_eq!(again.header("location"), Some(format!("{path}?done=requeued").as_str()));
    assert_eq!(served.one("SELECT state FROM parsed_series"), "init");
    let twice = visitor.submit(&format!("{path}/requeue"), &[]);
    assert_eq!(twice.status, 409);
    visitor.submit("/jobs/series/run", &[]);
    until(&served, "SELECT state FROM parsed_series", "with_errors");
    until(&served, "SELECT count(*) FROM job WHERE name = 'series' AND finished_at IS NOT NULL", "1");
    assert!(visitor.page("/jobs").contains("finished, some refused"));
    let all = visitor.submit("/staging/series/requeue", &[]);
    assert_eq!(all.header("location"), Some("/staging/series?done=requeued"));
    assert_eq!(served.one("SELECT state FROM parsed_series"), "init");

    assert_eq!(visitor.send(&format!("{path}/discard"), &[], &[]).status, 403);
    let gone = visitor.submit(&format!("{path}/discard"), &[]);
    assert_eq!(gone.header("location"), Some("/staging/series?done=discarded"));
    assert_eq!(visitor.get(&path).status, 404);
    assert_eq!(visitor.submit(&format!("{path}/discard"), &[]).status, 404);
    for path in ["/staging/nothing", "/staging/series/x", "/staging/series/9999", "/staging/nothing/1"] {
        assert_eq!(visitor.get(path).status, 404, "{path}");
    }
}

#[test]
fn long_lists_of_staged_records_have_pages() {
    let served = Served::new();
    staged(&served, 0..60);
    let visitor = Visitor::new(&served);
    let first = visitor.page("/staging/series?state=init");
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    assert!(next.contains("state=init"), "the filter stays: {next}");
    let second = visitor.page(&next);
    valid(&next, &second);
    let rows = |page: &str| -> Vec<String> {
        let rows = page.split("href=\"/staging/series/").skip(1);
        rows.filter_map(|row| row.split_once("\">s ")?.1.split('<').next().map(str::to_owned)).collect()
    };
    let (one, two) = (rows(&first), rows(&second));
    assert_eq!((one.len(), two.len()), (25, 25));
    assert!(one.iter().all(|row| !two.contains(row)), "{one:?} {two:?}");
}

#[test]
fn a_title_names_the_records_and_the_import_that_brought_it() {
    let served = Served::new();
    let id = import(&served, "s");
    send(&served, &id, &[record(1, "Whole One")]);
    ended(&served, &id);
    served.import_anime("2", "In Parts");
    let visitor = Visitor::new(&served);
    let page = visitor.page("/catalogue/whole-one");
    valid("/catalogue/whole-one", &page);
    assert!(page.contains(&format!("href=\"/imports/{id}\"")) && page.contains(">whole record<"), "{page}");
    let row = served.one("SELECT id FROM parsed_series WHERE external_id = '1'");
    assert!(page.contains(&format!("href=\"/staging/series/{row}\"")));
    let parts = visitor.page("/catalogue/in-parts");
    assert!(parts.contains(">card<"), "{parts}");
}

#[test]
fn a_browser_starts_a_job_and_sees_it_end() {
    let served = Served::new();
    staged(&served, 0..30);
    let row = refused(&served);
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    browser.open("/jobs");
    browser.click("#run-series");
    browser.until("document.querySelector('.done')?.textContent.includes('has been started')");
    browser.eval("void (window.same = true)");
    browser.until("document.querySelector('tr:has(#run-series) .badge').textContent === 'finished'");
    browser.until("document.querySelector('tr:has(#run-series)').textContent.includes('30')");
    assert_eq!(browser.eval("window.same"), json!(true), "nobody has reloaded the page");
    assert_eq!(served.one("SELECT count(*) FROM series"), "30");
    browser.assert_clean();

    browser.open(&format!("/staging/series/{row}"));
    browser.click("#requeue");
    browser.until("document.querySelector('.done')");
    for (path, name) in [
        ("/jobs", "jobs"),
        ("/staging", "staging"),
        ("/staging/series", "staging-series"),
        (&format!("/staging/series/{row}"), "staging-row"),
        ("/", "overview-jobs"),
    ] {
        looked_at(&mut browser, path, name);
    }
    browser.open(&format!("/staging/series/{row}"));
    browser.click("#discard");
    browser.until("location.search === '?done=discarded'");
    assert_eq!(served.one("SELECT count(*) FROM parsed_series WHERE external_id = '99'"), "0");
    browser.assert_clean();
}
