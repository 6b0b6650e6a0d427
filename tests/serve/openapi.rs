//! The description of the API: it is the one that was agreed on, and it is whole.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::world::Served;

/// Path, method and description of every operation.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    all
}

pub(crate) fn document(served: &Served) -> Value {
    let answer = served.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

#[test]
fn the_description_is_the_one_that_was_agreed_on() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/openapi.json");
    let found = format!("{:#}\n", document(&Served::new()));
    if std::env::var_os("PARSER_UPDATE_DOCS").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let agreed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        agreed == found,
        "tests/serve/openapi.json is out of date: `PARSER_UPDATE_DOCS=1 cargo test --test serve openapi` brings it up \
         to date, `git diff` shows what changes for clients"
    );
}

#[test]
fn the_description_is_whole() {
    let document = document(&Served::new());
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}: no summary");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(&&own[0]), "{name}: {own:?} is not one of {tags:?}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{name}: never succeeds");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let told = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(told, "{name}: nothing is said about `{}`", parameter["name"]);
        }
    }
    // A schema that is used must exist, and bodies must have examples.
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} does not exist");
    }
    for (path, method, operation) in operations(&document) {
        let body = &operation["requestBody"]["content"]["application/json"];
        if body.is_null() {
            continue;
        }
        let schema = body["schema"]["$ref"].as_str().and_then(|reference| document.pointer(&reference[1..]));
        let shown = [Some(body), schema]
            .into_iter()
            .flatten()
            .any(|at| at.get("example").is_some() || at.get("examples").is_some());
        assert!(shown, "{method} {path}: the body has no example");
    }
}
