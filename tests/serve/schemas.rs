//! The schemas of messages: those that were agreed on, and exactly what is taken.

use std::path::Path;

use parser::backend::importer::Record;
use parser::model::messages::{NodesTransferJobExchange, TransferStatus, WholeLists};
use parser::model::schemas::{all, read_node_exchange};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::world::Served;

fn judge(name: &str) -> jsonschema::Validator {
    let message = all().into_iter().find(|message| message.name == name).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&message.document).unwrap()
}

#[test]
fn the_schemas_are_those_that_were_agreed_on() {
    let served = Served::new();
    let listed = served.get("/schemas").json();
    let mut found = Map::new();
    for message in listed["schemas"].as_array().unwrap() {
        let answer = served.get(message["path"].as_str().unwrap());
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/schema+json")));
        let document = answer.json();
        assert_eq!((&document["$id"], &document["title"]), (&message["id"], &message["title"]));
        assert_eq!(document["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::meta::is_valid(&document), "{document:#}");
        found.insert(message["name"].as_str().unwrap().to_owned(), document);
    }
    assert_eq!(served.get("/schemas/nothing").problem().0, 404);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/schemas.json");
    let found = format!("{:#}\n", json!({ "index": listed, "schemas": found }));
    if std::env::var_os("PARSER_UPDATE_DOCS").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    assert!(
        std::fs::read_to_string(&golden).unwrap_or_default() == found,
        "tests/serve/schemas.json is out of date: `PARSER_UPDATE_DOCS=1 cargo test --test serve schemas` brings it up to \
         date, `git diff` shows what changes for those who send and read messages"
    );
}

#[test]
fn examples_are_what_they_are_examples_of() {
    for message in all() {
        let judge = judge(message.name);
        let examples = message.document["examples"].as_array().unwrap();
        assert!(examples.len() >= 2, "{}", message.name);
        for example in examples {
            assert!(judge.is_valid(example), "{}: {example}", message.name);
            let bytes = example.to_string().into_bytes();
            match message.name {
                "node-exchange" => {
                    let request = read_node_exchange(&bytes).unwrap_or_else(|error| panic!("{error}: {example}"));
                    request.request().unwrap();
                }
                "catalogue-record" => drop(Record::parse(&bytes).unwrap()),
                "nodes-transfer-job-exchange" => {
                    let parsed: NodesTransferJobExchange = serde_json::from_slice(&bytes).unwrap();
                    assert_eq!(&serde_json::to_value(parsed).unwrap(), example);
                }
                other => panic!("{other}: nothing reads it"),
            }
        }
    }
}

/// Texts on the edges: empty, blank in every way, with U+0000, as long as may be and longer.
fn edge() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}",
        1 => Just(String::new()),
        1 => "[ \\t\\n\u{85}\u{a0}\u{2003}\u{3000}\u{feff}]{1,3}",
        1 => "[a-z\u{0}]{1,3}",
        1 => "\\PC{0,12}",
        1 => (510_usize..516).prop_map(|length| "x".repeat(length)),
        1 => Just("{not: json".to_owned()),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => edge().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        3 => prop::collection::vec(edge(), 0..4).prop_map(Value::from),
        1 => Just(json!(["a", 7])),
        1 => Just(json!({ "a": {} })),
    ]
}

fn object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let field = |name: &'static str| prop::option::weighted(0.7, any_value()).prop_map(move |value| (name, value));
    let fields: Vec<_> = names.iter().map(|name| field(name)).collect();
    fields.prop_map(|fields| {
        let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect())
    })
}

/// Where bytes and characters differ, the schema can only speak of characters.
fn counts_alike(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= 512 || text.chars().count() > 512,
        Value::Array(items) => items.iter().all(counts_alike),
        Value::Object(fields) => fields.values().all(counts_alike),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_node_exchange_is_taken_exactly_if_its_schema_says_so(
        message in prop_oneof![
            8 => object(&["domainId", "groupId", "filePath", "fileName", "contentType", "referenceIds", "more"]),
            1 => any_value(),
        ],
    ) {
        prop_assume!(counts_alike(&message));
        let taken = read_node_exchange(message.to_string().as_bytes());
        thread_local!(static JUDGE: jsonschema::Validator = judge("node-exchange"));
        JUDGE.with(|judge| {
            prop_assert_eq!(taken.is_ok(), judge.is_valid(&message), "{:?}: {}", taken, message);
            Ok(())
        })?;
        match taken {
            Ok(exchange) => prop_assert!(exchange.clone().request().is_ok(), "{exchange:?}"),
            Err(refused) => prop_assert!(!refused.field.is_empty() && !refused.problem.is_empty()),
        }
    }

    #[test]
    fn a_catalogue_record_is_taken_exactly_if_its_schema_says_so(
        record in prop_oneof![
            8 => object(&["kind", "source_name", "external_id", "payload", "observed_at", "more"]),
            1 => any_value(),
        ],
        kind in prop::option::weighted(0.9, prop::sample::select(vec!["series", "release", "character", "pet", "film"])),
        payload in any::<bool>(),
        time in prop::option::weighted(0.8, prop::sample::select(vec![
            "2026-03-01T04:05:06Z", "2026-03-01T04:05:06.123+03:00", "2026-02-30T00:00:00Z", "yesterday", "",
        ])),
    ) {
        let mut record = record;
        if let Value::Object(fields) = &mut record {
            fields.extend(kind.map(|kind| ("kind".to_owned(), kind.into())));
            if payload {
                fields.insert("payload".to_owned(), json!({ "title": "T" }));
            }
            fields.remove("observed_at");
            fields.extend(time.map(|time| ("observed_at".to_owned(), time.into())));
        }
        prop_assume!(counts_alike(&record));
        let taken = Record::parse(record.to_string().as_bytes());
        thread_local!(static JUDGE: jsonschema::Validator = judge("catalogue-record"));
        JUDGE.with(|judge| {
            prop_assert_eq!(taken.is_ok(), judge.is_valid(&record), "{:?}: {}", taken, record);
            Ok(())
        })?;
    }

    #[test]
    fn what_is_published_is_what_its_schema_says(
        status in prop::sample::select(vec![TransferStatus::Processing, TransferStatus::Completed, TransferStatus::Failed]),
        names in prop::option::of((edge(), edge())),
        (processed, total) in any::<(u64, u64)>(),
        lists in (prop::collection::vec(edge(), 0..3), prop::collection::vec(edge(), 0..3)),
        (truncated, reason) in (any::<bool>(), prop::option::of(edge())),
        more in prop::option::of((prop::option::of(edge()), prop::option::of(edge()))),
    ) {
        let (group_id, domain_id) = names.unzip();
        let (success_list, failed_list) = lists;
        let more = more.map(|(success_list, failed_list)| WholeLists { success_list, failed_list });
        let message = NodesTransferJobExchange {
            job_id: "j".to_owned(), group_id, domain_id, status, processed, total, success_list, failed_list, truncated,
            import_id: None,
            more, reason,
        };
        let message = serde_json::to_value(message).unwrap();
        thread_local!(static JUDGE: jsonschema::Validator = judge("nodes-transfer-job-exchange"));
        let valid = JUDGE.with(|judge| judge.is_valid(&message));
        prop_assert!(valid, "{message}");
    }
}
