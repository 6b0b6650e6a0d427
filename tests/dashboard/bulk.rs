//! Files on the pages: what came of each, the rows that failed with what they were, all of them to be taken away, and
//! trying again.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::looked_at;
use crate::chromium::Browser;
use crate::imports::{api, ended, record};
use crate::pages::valid;
use crate::visitor::Visitor;
use crate::world::{Served, command};

/// A server that may read the files of a folder.
fn served() -> (TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::with(&[("IMPORT_FILES_PATH", folder.path().to_str().unwrap())]);
    (folder, served)
}

fn put(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).unwrap();
}

/// An import of these files that has ended; its id.
fn files(served: &Served, body: &Value, names: &[&str], status: &str) -> String {
    let id = api(served, "POST", "/api/v1/imports", body)["id"].as_str().unwrap().to_owned();
    for name in names {
        api(served, "POST", &format!("/api/v1/imports/{id}/batches"), &json!({ "storage_url": name }));
    }
    assert_eq!(ended(served, &id), status);
    id
}

fn tables(folder: &Path, served: &Served) -> String {
    put(folder, "types.jsonl", "{\"id\":1,\"name\":\"One\"}\nno <json>\n{\"id\":2}\n{\"name\":\"no key\"}\n");
    put(folder, "groups.jsonl", "{\"id\":1}\n{\"id\":2}\n{\"id\":2}\n");
    let body = json!({ "source": "things", "format": "tables", "options": {} });
    files(served, &body, &["types.jsonl", "groups.jsonl"], "partially_failed")
}

fn nodes(folder: &Path, served: &Served) -> String {
    put(folder, "users.csv", "id,group,name\n1,g,\"One, first\"\n,g,Nobody\n");
    put(folder, "more.csv", "id,group,name\n2,g,Two\n");
    let body = json!({ "source": "people", "format": "nodes", "options": { "domain": "shop" } });
    files(served, &body, &["users.csv", "more.csv"], "partially_failed")
}

fn catalogue(folder: &Path, served: &Served) -> String {
    put(folder, "series.jsonl", &format!("{}\n{}\n[]\n", record(1, "One"), record(2, "")));
    files(served, &json!({ "source": "titles" }), &["series.jsonl"], "partially_failed")
}

/// What the browser has taken away, when it is there.
fn downloaded(served: &Served, folder: &Path, id: &str) -> Vec<Value> {
    let file = folder.join(format!("failed-{id}.jsonl"));
    served.poll_until(|| file.exists());
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_browser_sees_files_and_takes_away_the_rows_that_failed() {
    let (folder, served) = served();
    let imports = [
        (tables(folder.path(), &served), "things", "tables"),
        (nodes(folder.path(), &served), "people", "nodes"),
        (catalogue(folder.path(), &served), "titles", "records"),
    ];
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    let taken = tempfile::tempdir().unwrap();
    browser.call("Page.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": taken.path() }));
    let expected = [
        // `new replaced failed` of the tiles, batches with their progress, failed rows, and what they were.
        (
            Some("4 1 2"),
            vec!["types.jsonl 4 of 4 rows, 2 failed", "groups.jsonl 3 of 3 rows"],
            vec!["line 2, byte 22", "line 4, byte 41"],
            vec!["no <json>", "{\"name\":\"no key\"}"],
        ),
        (
            Some("2 0 1"),
            vec!["users.csv 2 of 2 rows, 1 failed", "more.csv 1 of 1 rows"],
            vec!["line 3, byte 31"],
            vec![",g,Nobody"],
        ),
        (
            None,
            vec!["series.jsonl 3 of 3 records, 2 failed"],
            vec!["line 2, byte", "line 3, byte"],
            vec!["\"external_id\":\"2\"", "[]"],
        ),
    ];
    for ((id, source, format), (tiles, batches, places, originals)) in imports.iter().zip(expected) {
        browser.open("/imports");
        let link = format!("tbody a[href='/imports/{id}']");
        browser.until(&format!("document.querySelector({}).textContent === '{source}'", json!(link)));
        browser.click(&link);
        browser.until(&format!("location.pathname === '/imports/{id}' && document.querySelector('#batches')"));
        let holds = "[...document.querySelectorAll('.facts div')].find(d => d.textContent.startsWith('Holds')).querySelector('dd').textContent";
        assert_eq!(browser.eval(holds), json!(format));
        if let Some(tiles) = tiles {
            let shown = "['New', 'Replaced by a later row', 'Failed'].map(name => [...document.querySelectorAll('.tiles div')]\
                 .find(d => d.querySelector('dt').textContent === name).querySelector('dd').textContent).join(' ')";
            assert_eq!(browser.eval(shown), json!(tiles), "{source}");
        }
        let rows = |of: &str| {
            format!("[...document.querySelectorAll('[data-live={of}] tbody tr')].map(row => row.textContent)")
        };
        for (list, texts) in [("batches", batches), ("failures", places)] {
            let shown = browser.eval(&rows(list));
            let shown = shown.as_array().unwrap();
            assert_eq!(shown.len(), texts.len(), "{source}: {shown:?}");
            for (row, text) in shown.iter().zip(texts) {
                let row = row.as_str().unwrap();
                let parts: Vec<_> = if list == "batches" { text.splitn(2, ' ').collect() } else { vec![text] };
                assert!(parts.iter().all(|part| row.contains(part)), "{text}: {row}");
            }
        }
        browser.click("#download");
        let lines = downloaded(&served, taken.path(), id);
        let found: Vec<_> = lines.iter().map(|line| line["original"].as_str().unwrap_or_default()).collect();
        assert_eq!(found.len(), originals.len(), "{lines:?}");
        for (found, original) in found.iter().zip(originals) {
            assert!(found.contains(original), "{found} {original}");
        }
        assert!(lines.iter().all(|line| line["status"] == "failed" && line["code"].is_string()), "{lines:?}");
    }
    browser.assert_clean();
    for (id, _, format) in &imports {
        looked_at(&mut browser, &format!("/imports/{id}"), &format!("import-{format}"));
    }
}

#[test]
fn a_mended_file_is_tried_again_by_a_button() {
    let (folder, served) = served();
    let id = nodes(folder.path(), &served);
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    put(folder.path(), "users.csv", "id,group,name\n1,g,\"One, first\"\n3,g,Somebody\n");
    browser.open(&format!("/imports/{id}"));
    browser.click("#retry");
    browser.until("document.querySelector('.done')");
    browser.until("document.querySelector('#progress .badge').textContent === 'completed'");
    // The file that was in whole is not read again.
    assert_eq!(browser.eval("document.querySelectorAll('[data-live=batches] tbody tr').length"), json!(1));
    assert_eq!(
        served.one("SELECT group_concat(reference_id) FROM (SELECT reference_id FROM nodes ORDER BY 1)"),
        "1,2,3"
    );
    browser.assert_clean();
}

#[test]
fn what_the_command_has_imported_is_shown_and_left_to_it() {
    let served = Served::new();
    put(served.root(), "types.jsonl", "{\"id\":1}\n<b>bad</b>\n");
    put(served.root(), "users.csv", "id,group\n1,g\n");
    let args = ["import", "types.jsonl", "users.csv", "--domain", "d"];
    let done = command(served.root(), &args, &[]).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let visitor = Visitor::new(&served);
    let list = visitor.page("/imports");
    for (source, status) in [("types", "partially_failed"), ("d", "completed")] {
        let id = served.one(&format!("SELECT id FROM import_record WHERE source = '{source}' AND status = '{status}'"));
        assert!(list.contains(&id), "{list}");
        let page = visitor.page(&format!("/imports/{id}"));
        valid(source, &page);
        assert!(!page.contains("Try again what failed") && !page.contains("Cancel this import"), "{page}");
        let file = visitor.get(&format!("/imports/{id}/failed"));
        // The answer comes in chunks.
        let count = file.text.lines().filter(|line| line.starts_with('{')).count();
        assert_eq!((file.status, count), (200, usize::from(status != "completed")), "{}", file.text);
        assert!(file.header("content-disposition").unwrap().starts_with("attachment"), "{file:?}");
        assert_eq!(file.header("content-type"), Some("application/x-ndjson"));
    }
    assert_eq!(visitor.get("/imports/nothing/failed").status, 404);
    assert_ne!(Visitor::stranger(&served).get("/imports/nothing/failed").status, 200);
}
