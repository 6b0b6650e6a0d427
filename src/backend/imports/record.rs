//! A record as it is sent: read strictly, whole or not at all, with a reason that says where.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backend::importer::Record;
use crate::model::RecordKind;

/// Deeper JSON is nobody's record.
const DEEPEST: usize = 64;

/// Names are no longer than this.
const LONGEST_NAME: usize = 512;

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Malformed {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a record is about. The payload is passed over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline<'a> {
    /// Series, release, character, pet.
    pub kind: RecordKind,
    /// Who says so.
    #[serde(borrow)]
    pub source_name: Cow<'a, str>,
    /// Of what.
    #[serde(borrow)]
    pub external_id: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    observed_at: Option<jiff::Timestamp>,
}

/// Reads what a record is about, and makes sure that the rest is JSON.
pub fn outline(bytes: &[u8]) -> Result<Outline<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Malformed::new("invalid_utf8", format!("not UTF-8 from byte {} of the record on", error.valid_up_to()))
    })?;
    if depth(bytes) > DEEPEST {
        return Err(Malformed::new("too_deep", format!("nested deeper than {DEEPEST}")));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let outline: Outline<'_> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let place = if path == "." { String::new() } else { format!("`{path}`: ") };
            Malformed::new("invalid_record", format!("{place}{}", without_place(&inner)))
        } else {
            let message = format!("not JSON: {}, at column {}", without_place(&inner), inner.column());
            Malformed::new("malformed_json", message)
        }
    })?;
    json.end().map_err(|_| Malformed::new("malformed_json", "something follows the JSON"))?;
    for (name, value) in [("source_name", &outline.source_name), ("external_id", &outline.external_id)] {
        if value.is_empty() || value.len() > LONGEST_NAME || value.contains('\0') {
            let message = format!("`{name}`: is empty, longer than {LONGEST_NAME} bytes, or holds U+0000");
            return Err(Malformed::new("invalid_record", message));
        }
    }
    if !outline.payload.get().starts_with('{') {
        return Err(Malformed::new("invalid_record", "`payload`: is no object"));
    }
    Ok(outline)
}

/// Reads one record.
pub fn read(bytes: &[u8]) -> Result<Record, Malformed> {
    let outline = outline(bytes)?;
    let payload: Value = serde_json::from_str(outline.payload.get())
        .map_err(|error| Malformed::new("malformed_json", format!("not JSON: {}", without_place(&error))))?;
    Ok(Record {
        kind: outline.kind,
        source_name: outline.source_name.into_owned(),
        external_id: outline.external_id.into_owned(),
        payload,
        observed_at: outline.observed_at.map(jiff::Timestamp::as_millisecond),
    })
}

/// serde's text without its own line and column: the line is ours to name.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(text, _)| text.to_owned())
}

/// Is there nothing but white space?
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// How deeply brackets are nested, strings aside.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::read;

    fn code(bytes: &[u8]) -> &'static str {
        read(bytes).map(|_| "ok").unwrap_or_else(|malformed| malformed.code)
    }

    #[test]
    fn a_record_is_read_whole_or_not_at_all() {
        let good = br#"{"kind":"series","source_name":"s","external_id":"1","payload":{"title":"T"}}"#;
        let record = read(good).unwrap();
        assert_eq!((record.source_name.as_str(), record.external_id.as_str()), ("s", "1"));
        assert_eq!(code(&good[..good.len() - 1]), "malformed_json");
        assert_eq!(code(&[good.as_slice(), b"x"].concat()), "malformed_json");
        assert_eq!(code(b"{\"kind\":\"\xff\"}"), "invalid_utf8");
        assert_eq!(code(b"[1]"), "invalid_record");
        assert_eq!(code(br#"{"kind":"film","source_name":"s","external_id":"1","payload":{}}"#), "invalid_record");
        assert_eq!(code(br#"{"kind":"series","source_name":"","external_id":"1","payload":{}}"#), "invalid_record");
        assert_eq!(code(br#"{"kind":"series","source_name":"s","external_id":"1","payload":[]}"#), "invalid_record");
        assert_eq!(code("[".repeat(100).as_bytes()), "too_deep");
    }

    #[test]
    fn the_reason_names_the_field_and_no_line_of_its_own() {
        let message = read(br#"{"kind":"series","source_name":5,"external_id":"1","payload":{}}"#).unwrap_err().message;
        assert!(message.starts_with("`source_name`: ") && !message.contains("line"), "{message}");
    }
}
