//! Nodes from ids alone, many requests in one transaction: what messages ask for.

use parser::backend::nodes::{Asked, FileOf, References, Request, enqueue, import_references};
use parser::model::{ImportFormat, ImportStatus, RowCounts};
use parser::store::sqlite::CrashPoints;

use crate::place::{IMPORTS, Place, on_each_engine};

const POINTS: CrashPoints = CrashPoints { before: "test.before", after: "test.after" };

fn request(key: Option<&str>) -> Request {
    let (key, source) = (key.map(str::to_owned), "test".to_owned());
    Request { id: parser::model::ImportId::new().to_string(), key, source, processor: "test/1".to_owned(), notes: None }
}

fn references(key: Option<&str>, group: &str, ids: &[&str]) -> References {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    References { request: request(key), domain: "d".to_owned(), group: group.to_owned(), ids, tells_above: None }
}

fn asked(place: &Place, requests: Vec<References>) -> Vec<Asked> {
    place.store(async |store| {
        store.write(POINTS, move |session| import_references(session, &requests, 1_700_000_000_000)).await.unwrap()
    })
}

/// `status inserted unchanged duplicates failed replayed`.
fn told(asked: &Asked) -> String {
    let RowCounts { inserted, unchanged, duplicates, failed, .. } = asked.rows;
    format!("{} {inserted} {unchanged} {duplicates} {failed} {}", asked.status.as_str(), asked.replayed)
}

#[test]
fn many_requests_are_one_transaction_and_each_an_import_of_its_own() {
    on_each_engine(|place| {
        let requests = || {
            vec![
                references(Some("a"), "g", &["1", "2", " 2 ", ""]),
                references(Some("b"), "g", &["2", "3"]),
                references(Some("a"), "g", &["1", "2", " 2 ", ""]),
                references(None, "h", &["1"]),
                references(Some("c"), "g", &[]),
                references(Some("d"), "g", &["\u{0}", &"x".repeat(600)]),
            ]
        };
        let first = asked(place, requests());
        let expected = [
            "partially_failed 2 0 1 1 false",
            "completed 1 1 0 0 false",
            "partially_failed 2 0 1 1 true",
            "completed 1 0 0 0 false",
            "failed 0 0 0 0 false",
            "failed 0 0 0 2 false",
        ];
        assert_eq!(first.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(first[0].import, first[2].import);
        assert_eq!(first[4].reason.as_deref(), Some("no reference ids were given"));
        // Delivered again: the same answers, and only the request without a key does anything.
        let again = asked(place, requests());
        assert!(again.iter().enumerate().all(|(index, one)| one.replayed != (index == 3)), "{again:?}");
        assert_eq!(again[0].import, first[0].import);
        assert_eq!(told(&again[3]), "completed 0 1 0 0 false");
        let served = place.serve();
        let shown = served.get(&format!("{IMPORTS}/{}", first[0].import));
        assert_eq!((&shown["status"], &shown["rows"]["inserted"]), (&"partially_failed".into(), &2.into()));
        let failed = served.get(&format!("{IMPORTS}/{}/results?status=failed", first[0].import));
        assert_eq!(failed["items"][0]["code"], "reference_missing");
        let listed = served.get(IMPORTS);
        assert_eq!(listed["items"].as_array().unwrap().len(), 6);
    });
}

#[test]
fn a_file_that_is_asked_for_is_imported_by_a_worker_once() {
    on_each_engine(|place| {
        std::fs::create_dir(place.folder.path().join("in")).unwrap();
        std::fs::write(place.folder.path().join("in/users.csv"), "id,group\n1,g\n2,g\n").unwrap();
        let file = FileOf {
            request: request(Some("topic-0-17")),
            format: ImportFormat::Nodes,
            options: r#"{"domain":"d"}"#.to_owned(),
            url: "users.csv".to_owned(),
            piece_rows: 100,
            patience: None,
            tells: 0,
        };
        let ask = || {
            let file = file.clone();
            place.store(async |store| store.write(POINTS, move |session| enqueue(session, &file, 1)).await.unwrap())
        };
        let (first, again) = (ask(), ask());
        assert_eq!((first.replayed, first.status, again.replayed), (false, ImportStatus::Created, true));
        assert_eq!(first.import, again.import);
        let served = place.serve_with(&[("IMPORT_FILES_PATH", "in")]);
        let ended = served.ended(&format!("{IMPORTS}/{}", first.import));
        assert_eq!((&ended["status"], &ended["rows"]["inserted"]), (&"completed".into(), &2.into()), "{ended}");
        assert_eq!((ask().status, ask().rows.inserted), (ImportStatus::Completed, 2));
    });
}
