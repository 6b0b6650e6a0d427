//! What messages must be: a JSON Schema for each, made from its type, and the check on arrival.
//!
//! The types say what a field is; what they cannot say (which fields belong together, what a name may hold) is added here
//! to both the schema and the check. A property test holds the two against each other.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::messages::{CatalogueRecord, NodeExchange, NodesTransferJobExchange};
use crate::error::json_problem;

/// Longest name or id: characters here, bytes where it is a part of a key.
const LONGEST: usize = 512;

/// Not blank, and without U+0000.
const NAMED: &str = "^[^\\u0000]*[^\\u0000\\u0009-\\u000D\\u0020\\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000][^\\u0000]*$";

/// Without U+0000.
const STORABLE: &str = "^[^\\u0000]*$";

/// Why a message is not what its topic is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct MessageRefused {
    /// Path of the field; `message` for the whole.
    pub field: String,
    /// What is wrong with it; never the value.
    pub problem: String,
}

fn refused(field: &str, problem: impl Into<String>) -> MessageRefused {
    MessageRefused { field: field.to_owned(), problem: problem.into() }
}

/// Reads a request for nodes as its schema has it. What this lets through, [`NodeExchange::request`] understands.
///
/// # Errors
/// What is wrong with which field.
pub fn read_node_exchange(json: &[u8]) -> Result<NodeExchange, MessageRefused> {
    // Serde would take the fields in their order from an array, too.
    if json.trim_ascii_start().first() == Some(&b'[') {
        return Err(refused("message", "is not an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message: NodeExchange = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if matches!(path.as_str(), "." | "?") { "message" } else { path.as_str() };
        let inner = error.inner();
        if inner.is_data() {
            return refused(field, json_problem(inner));
        }
        refused("message", format!("is not JSON (line {}, column {})", inner.line(), inner.column()))
    })?;
    deserializer.end().map_err(|_| refused("message", "is followed by more"))?;
    check(&message)?;
    Ok(message)
}

fn check(message: &NodeExchange) -> Result<(), MessageRefused> {
    let domain = message.domain_id.as_deref().ok_or_else(|| refused("domainId", "is missing"))?;
    if domain.trim().is_empty() {
        return Err(refused("domainId", "is empty"));
    }
    let group = message.group_id.as_deref().unwrap_or_default();
    for (field, text) in [("domainId", domain), ("groupId", group)] {
        if text.len() > LONGEST {
            return Err(refused(field, format!("is longer than {LONGEST} bytes")));
        }
    }
    let (path, file) = (message.file_path.as_deref().unwrap_or_default(), message.file_name.as_deref());
    let file = file.unwrap_or_default();
    for (field, text) in [("domainId", domain), ("groupId", group), ("filePath", path), ("fileName", file)] {
        if text.contains('\0') {
            return Err(refused(field, "holds U+0000"));
        }
    }
    let given = |text: &str| !text.trim().is_empty();
    let ids = message.reference_ids.as_ref().is_some_and(|ids| !ids.is_empty());
    match (given(path), given(file), given(group), ids) {
        (true, true, ..) | (.., true, true) => Ok(()),
        (true, false, ..) => Err(refused("fileName", "is missing, but `filePath` is there")),
        (false, true, ..) => Err(refused("filePath", "is missing, but `fileName` is there")),
        (.., false, true) => Err(refused("groupId", "is missing, but `referenceIds` are there")),
        (.., false) => Err(refused("referenceIds", "are missing or empty, and there is no `filePath`")),
    }
}

/// A message and its schema.
#[derive(Debug)]
pub struct MessageSchema {
    /// As it is asked for.
    pub name: &'static str,
    /// Who sends it, and where to.
    pub direction: &'static str,
    /// One sentence.
    pub description: String,
    /// The schema.
    pub document: Value,
}

/// The schemas of all messages.
pub fn all() -> Vec<MessageSchema> {
    vec![
        schema::<NodeExchange>("node-exchange", "in", node_exchange),
        schema::<CatalogueRecord>("catalogue-record", "in", catalogue_record),
        schema::<NodesTransferJobExchange>("nodes-transfer-job-exchange", "out", transfer_job),
    ]
}

fn schema<T: ToSchema>(name: &'static str, direction: &'static str, complete: fn(&mut Value)) -> MessageSchema {
    let mut document = as_json(&<T as PartialSchema>::schema());
    complete(&mut document);
    let mut parts = Vec::new();
    <T as ToSchema>::schemas(&mut parts);
    if !parts.is_empty() {
        let parts: Map<_, _> = parts.iter().map(|(name, part)| (name.clone(), as_json(part))).collect();
        document["$defs"] = parts.into();
    }
    let description = document["description"].as_str().unwrap_or_default().to_owned();
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    document["$id"] = format!("urn:parser:schema:{name}").into();
    document["title"] = T::name().into();
    MessageSchema { name, direction, description, document }
}

/// What serialises, serialises into a value as well. References are those of a document of its own.
fn as_json(schema: &impl serde::Serialize) -> Value {
    let text = serde_json::to_string(schema).unwrap_or_default();
    serde_json::from_str(&text.replace("#/components/schemas/", "#/$defs/")).unwrap_or_default()
}

/// Adds keywords to the schema of a field.
fn amend(document: &mut Value, field: &str, more: Value) {
    let schema = &mut document["properties"][field];
    if let Value::Object(more) = more {
        for (keyword, value) in more {
            schema[keyword] = value;
        }
    }
}

fn node_exchange(document: &mut Value) {
    document["required"] = json!(["domainId"]);
    let named = json!({ "type": "string", "maxLength": LONGEST, "pattern": NAMED });
    amend(document, "domainId", named);
    // Empty is as good as missing, where something may be missing.
    amend(document, "groupId", json!({ "minLength": 0, "maxLength": LONGEST, "pattern": STORABLE }));
    amend(document, "filePath", json!({ "minLength": 0, "pattern": STORABLE }));
    amend(document, "fileName", json!({ "minLength": 0, "pattern": STORABLE }));
    let given = json!({ "type": "string", "pattern": NAMED });
    document["anyOf"] = json!([
        {
            "title": "A file of nodes",
            "required": ["filePath", "fileName"],
            "properties": { "filePath": given, "fileName": given },
        },
        {
            "title": "Nodes of ids",
            "required": ["groupId", "referenceIds"],
            "properties": { "groupId": given, "referenceIds": { "type": "array", "minItems": 1 } },
        },
    ]);
    document["examples"] = json!([
        {
            "domainId": "example",
            "groupId": "members",
            "filePath": "s3://imports/2026-03-01/users.csv.gz",
            "fileName": "users.csv.gz",
            "contentType": "text/csv",
        },
        { "domainId": "example", "groupId": "members", "referenceIds": ["u-1", "u-2"] },
        {
            "domainId": "example",
            "groupId": "members",
            "filePath": null,
            "fileName": null,
            "contentType": null,
            "referenceIds": ["u-1"],
        },
    ]);
}

fn catalogue_record(document: &mut Value) {
    amend(document, "source_name", json!({ "pattern": NAMED }));
    let id = &mut document["properties"]["external_id"];
    let text = json!({ "type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": NAMED });
    // Signed and unsigned numbers of 64 bits.
    let number = json!({ "type": "integer", "minimum": i64::MIN, "maximum": u64::MAX });
    *id = json!({ "description": "The source's id; also as a whole number.", "anyOf": [text, number] });
    document["examples"] = json!([
        {
            "kind": "character",
            "source_name": "kodik-shikimori",
            "external_id": "73",
            "payload": { "name": "Aoi Mori" },
            "observed_at": "2026-03-01T04:05:06Z",
        },
        { "kind": "series", "source_name": "kodik-shikimori", "external_id": 1, "payload": { "title": "Cowboy Bebop" } },
    ]);
}

fn transfer_job(document: &mut Value) {
    let whole = "Where the whole lists are; only with `truncated`, and if there is an import.";
    amend(document, "more", json!({ "description": whole }));
    document["examples"] = json!([
        {
            "jobId": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11",
            "groupId": "members",
            "domainId": "example",
            "status": "COMPLETED",
            "processed": 2,
            "total": 2,
            "successList": ["u-1", "u-2"],
            "failedList": [],
            "truncated": false,
        },
        {
            "jobId": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e12",
            "groupId": null,
            "domainId": null,
            "status": "FAILED",
            "processed": 0,
            "total": 0,
            "successList": [],
            "failedList": [],
            "truncated": false,
            "reason": "`domainId` is missing",
        },
        {
            "jobId": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e13",
            "importId": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e13",
            "groupId": null,
            "domainId": "example",
            "status": "COMPLETED",
            "processed": 100_000,
            "total": 100_000,
            "successList": ["u-1", "u-2", "u-3"],
            "failedList": [],
            "truncated": true,
            "more": { "successList": "/api/v1/imports/0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e13/references" },
        },
    ]);
}

#[cfg(test)]
mod tests {
    use super::{all, read_node_exchange};

    fn problem(json: &str) -> String {
        read_node_exchange(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_names_the_field_and_never_the_value() {
        for (json, wanted) in [
            ("", "`message` is not JSON (line 1, column 0)"),
            ("nonsense", "`message` is not JSON (line 1, column 2)"),
            ("{", "`message` is not JSON (line 1, column 1)"),
            (r#"["d","g",null,null,null,["a"]]"#, "`message` is not an object"),
            ("{}", "`domainId` is missing"),
            (r#"{"domainId":7}"#, "`domainId` is not a string"),
            (r#"{"domainId":" "}"#, "`domainId` is empty"),
            (r#"{"domainId":"d","domainId":"e"}"#, "`message` duplicate field `domainId`"),
            (
                r#"{"domainId":"d","groupId":"g","referenceIds":["a","b",{"c":"S3CRET"}]}"#,
                "`referenceIds[2]` is not a string",
            ),
            (r#"{"domainId":"d","groupId":"g","referenceIds":"S3CRET"}"#, "`referenceIds` is not a sequence"),
            (r#"{"domainId":"d","filePath":"x"}"#, "`fileName` is missing, but `filePath` is there"),
            (r#"{"domainId":"d","fileName":"x"}"#, "`filePath` is missing, but `fileName` is there"),
            (r#"{"domainId":"d","referenceIds":["a"]}"#, "`groupId` is missing, but `referenceIds` are there"),
            (
                r#"{"domainId":"d","groupId":"g","referenceIds":[]}"#,
                "`referenceIds` are missing or empty, and there is no `filePath`",
            ),
            ("{\"domainId\":\"d\",\"groupId\":\"\\u0000\"}", "`groupId` holds U+0000"),
            (r#"{"domainId":"d","groupId":"g","referenceIds":["a"]} x"#, "`message` is followed by more"),
        ] {
            assert_eq!(problem(json), wanted, "{json}");
        }
        assert_eq!(problem(&format!(r#"{{"domainId":"{}"}}"#, "d".repeat(513))), "`domainId` is longer than 512 bytes");
    }

    #[test]
    fn every_schema_is_whole() {
        for message in all() {
            let text = message.document.to_string();
            assert!(!text.contains("#/components"), "{text}");
            for part in text.split("\"$ref\":\"#").skip(1) {
                let pointer = part.split('"').next().unwrap();
                assert!(message.document.pointer(pointer).is_some(), "{}: {pointer}", message.name);
            }
            let told = |value: &serde_json::Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(told(&message.document["description"]), "{}", message.name);
            for (field, schema) in message.document["properties"].as_object().unwrap() {
                assert!(told(&schema["description"]) || schema.get("$ref").is_some(), "{}: {field}", message.name);
            }
        }
    }
}
