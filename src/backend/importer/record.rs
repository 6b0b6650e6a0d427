//! Records: what is to be imported, parsed once at the edge.
//!
//! The envelope is checked here, field by field; what the payload says is read by the importer, so that a record with a
//! bad payload is kept, with its reason, under its name.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::payload::SeriesPayload;
use crate::error::json_problem;
use crate::model::{RecordKind, TitleRecord};

/// One thing to import.
#[derive(Debug, Clone)]
pub struct Record {
    /// What it is about.
    pub kind: RecordKind,
    /// Whose: ids are unique inside a source.
    pub source_name: String,
    /// The source's id.
    pub external_id: String,
    /// What it says.
    pub payload: Payload,
    /// When the sender saw it.
    pub observed_at: Option<Timestamp>,
}

/// What a record says.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A JSON object as it came.
    Json(Box<RawValue>),
    /// A whole title of this program's own crawler.
    Title(Box<TitleRecord>),
}

/// Why a text is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct RecordRefused {
    /// A short code for grouping: `malformed`, `unknown_kind`, `invalid_field`.
    pub code: &'static str,
    /// Path of the field; `record` for the whole.
    pub field: String,
    /// What is wrong with it; never the value.
    pub problem: String,
}

impl RecordRefused {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { code: "invalid_field", field: field.into(), problem: problem.into() }
    }
}

/// Longest id and source name, in bytes: both are parts of keys.
pub const LONGEST_ID: usize = 512;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    source_name: Option<String>,
    #[serde(default)]
    external_id: Option<IdText>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    observed_at: Option<String>,
}

/// An id as a text or as a whole number.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct IdText(pub String);

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = IdText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<IdText, E> {
                key("", text.to_owned()).map(IdText).map_err(|refused| E::custom(refused.problem))
            }

            fn visit_u64<E>(self, number: u64) -> Result<IdText, E> {
                Ok(IdText(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<IdText, E> {
                Ok(IdText(number.to_string()))
            }

            /// `7.0` is a whole number, too: that is how some write JSON, and what JSON Schema says.
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<IdText, E> {
                const RANGE: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0;
                let whole = number.fract() == 0.0 && RANGE.contains(&number);
                // The sum is no negative zero.
                if whole {
                    Ok(IdText(format!("{:.0}", number + 0.0)))
                } else {
                    Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Record {
    /// Reads a record out of one JSON object:
    ///
    /// ```json
    /// {"kind": "character", "source_name": "kodik-shikimori", "external_id": "73", "payload": {"name": "Aoi"},
    ///  "observed_at": "2026-03-01T04:05:06Z"}
    /// ```
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn parse(json: &[u8]) -> Result<Self, RecordRefused> {
        if json.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            typed::<serde::de::IgnoredAny>(json, "")?;
            return Err(RecordRefused::field("record", "is not an object"));
        }
        Self::checked(typed(json, "")?)
    }

    fn checked(envelope: Envelope<'_>) -> Result<Self, RecordRefused> {
        let missing = |field: &str| RecordRefused::field(field, "is missing");
        let kind = envelope.kind.ok_or_else(|| missing("kind"))?;
        let kind = kind.parse().map_err(|error: crate::model::UnknownWord| RecordRefused {
            code: "unknown_kind",
            field: "kind".to_owned(),
            problem: error.to_string(),
        })?;
        let source_name = key("source_name", envelope.source_name.ok_or_else(|| missing("source_name"))?)?;
        let IdText(external_id) = envelope.external_id.ok_or_else(|| missing("external_id"))?;
        let payload = envelope.payload.ok_or_else(|| missing("payload"))?;
        if !payload.get().trim_start().starts_with('{') {
            return Err(RecordRefused::field("payload", "is not an object"));
        }
        let observed_at = envelope
            .observed_at
            .map(|text| {
                text.parse::<Timestamp>().map_err(|_| {
                    RecordRefused::field("observed_at", "is not a time with a zone (`2026-03-01T04:05:06Z`)")
                })
            })
            .transpose()?;
        Ok(Self { kind, source_name, external_id, payload: Payload::Json(payload.to_owned()), observed_at })
    }

    /// A whole title.
    pub fn of_title(source_name: &str, title: TitleRecord) -> Self {
        Self {
            kind: RecordKind::Series,
            source_name: source_name.to_owned(),
            external_id: title.series.id.to_string(),
            payload: Payload::Title(Box::new(title)),
            observed_at: None,
        }
    }

    /// A record out of its parts; the payload is an object as JSON text.
    pub(super) fn of_parts(
        kind: RecordKind,
        source_name: String,
        external_id: String,
        payload: String,
        observed_at: Option<i64>,
    ) -> Result<Self, RecordRefused> {
        let payload = RawValue::from_string(payload)
            .map_err(|_| RecordRefused { code: "malformed", ..RecordRefused::field("payload", "is not JSON") })?;
        let observed_at = observed_at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        Ok(Self { kind, source_name, external_id, payload: Payload::Json(payload), observed_at })
    }

    /// The payload as JSON text.
    pub fn payload_json(&self) -> Cow<'_, str> {
        match &self.payload {
            Payload::Json(raw) => Cow::Borrowed(raw.get()),
            // Serialising into memory cannot fail: there is no map with keys that are no text.
            Payload::Title(title) => {
                Cow::Owned(serde_json::to_string(&SeriesPayload::from(&**title)).unwrap_or_default())
            }
        }
    }

    /// The record as one line of JSON, as [`Record::parse`] reads it.
    pub fn to_json(&self) -> String {
        let mut text = format!(
            "{{\"kind\":\"{}\",\"source_name\":{},\"external_id\":{},\"payload\":{}",
            self.kind,
            serde_json::Value::from(self.source_name.as_str()),
            serde_json::Value::from(self.external_id.as_str()),
            self.payload_json()
        );
        if let Some(at) = self.observed_at {
            // Writing into a String cannot fail.
            let _ = write!(text, ",\"observed_at\":\"{at}\"");
        }
        text.push('}');
        text
    }
}

/// A part of a key: neither empty nor longer than an index can hold.
fn key(field: &str, text: String) -> Result<String, RecordRefused> {
    let problem = match &text {
        text if text.trim().is_empty() => "is empty".to_owned(),
        text if text.len() > LONGEST_ID => format!("is longer than {LONGEST_ID} bytes"),
        text if text.contains('\0') => "holds U+0000".to_owned(),
        _ => return Ok(text),
    };
    Err(RecordRefused::field(field, problem))
}

/// Reads a JSON text into a type; faults name their path below `root`, never a value.
pub(super) fn typed<'a, T: Deserialize<'a>>(json: &'a [u8], root: &str) -> Result<T, RecordRefused> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = match (root, path.as_str()) {
            ("", "." | "?") => "record".to_owned(),
            (root, "." | "?") => root.to_owned(),
            ("", path) => path.to_owned(),
            (root, path) => format!("{root}.{path}"),
        };
        let inner = error.inner();
        if inner.is_data() {
            RecordRefused::field(field, json_problem(inner))
        } else {
            let at = format!("is not JSON (line {}, column {})", inner.line(), inner.column());
            RecordRefused { code: "malformed", ..RecordRefused::field(field, at) }
        }
    })?;
    match deserializer.end() {
        Ok(()) => Ok(value),
        Err(_) => Err(RecordRefused { code: "malformed", ..RecordRefused::field("record", "is followed by more") }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, RecordRefused};
    use crate::model::RecordKind;

    fn refused(json: &str) -> String {
        let RecordRefused { code, field, problem } = Record::parse(json.as_bytes()).unwrap_err();
        format!("{code}: {field} {problem}")
    }

    #[test]
    fn a_record_is_read_and_written_back() {
        let json = r#"{"kind":"pet","source_name":"s","external_id":"7","payload":{"name": "Кот", "x": [1]},"observed_at":"2026-03-01T04:05:06Z"}"#;
        let record = Record::parse(json.as_bytes()).unwrap();
        assert_eq!((record.kind, record.external_id.as_str()), (RecordKind::Pet, "7"));
        assert_eq!(record.to_json(), json, "the payload keeps its bytes");
        let number = json.replace("\"7\"", "7");
        assert_eq!(Record::parse(number.as_bytes()).unwrap().external_id, "7");
    }

    #[test]
    fn every_fault_names_its_field_and_no_value() {
        let with = |part: &str| format!(r#"{{"kind":"pet","source_name":"s","external_id":"7","payload":{{}}{part}}}"#);
        assert_eq!(refused("[]"), "invalid_field: record is not an object");
        assert_eq!(refused("hello"), "malformed: record is not JSON (line 1, column 1)");
        assert_eq!(refused("{"), "malformed: record is not JSON (line 1, column 1)");
        assert_eq!(refused("{} {}"), "malformed: record is followed by more");
        assert_eq!(refused("{}"), "invalid_field: kind is missing");
        assert!(refused(&with("").replace("pet", "S3CRET")).starts_with("unknown_kind: kind is not one of `series`"));
        assert_eq!(refused(&with("").replace("\"s\"", "\" \"")), "invalid_field: source_name is empty");
        assert_eq!(refused(&with("").replace("\"s\"", "{}")), "invalid_field: source_name is not a string");
        assert_eq!(
            refused(&with("").replace('7', &"7".repeat(600))),
            "invalid_field: external_id is longer than 512 bytes"
        );
        assert_eq!(refused(&with("").replace('7', "\\u0000")), "invalid_field: external_id holds U+0000");
        assert_eq!(refused(&with("").replace("{}", "[]")), "invalid_field: payload is not an object");
        assert!(refused(&with(r#","observed_at":"S3CRET""#)).starts_with("invalid_field: observed_at is not a time"));
    }
}
