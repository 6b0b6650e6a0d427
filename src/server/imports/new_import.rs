//! An import as it is asked for: of records, or of rows.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use utoipa::ToSchema;

use crate::backend::imports::Create;
use crate::model::{Collision, ImportFormat, NodesOptions};
use crate::server::answer::Refusal;
use crate::server::body::typed;
use crate::store::imports::Process;

/// Longest texts of an import.
const LONGEST_NAME: usize = 200;
const LONGEST_NOTES: usize = 4000;

/// An import as it is asked for.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({ "source": "kodik-shikimori", "processor": "parser/0.1.0", "expected_count": 2 }))]
pub(super) enum NewImport {
    /// Of records.
    Records(RecordsImport),
    /// Of nodes.
    Nodes(NodesImport),
}

/// An import of records.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsImport {
    /// Where the records come from.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    source: String,
    /// What has made them, with its version.
    #[schema(max_length = 200, pattern = r"^[^\x00]*$")]
    #[serde(default)]
    processor: String,
    /// How many records there will be; checked when the import is finalised.
    #[schema(required = false, value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_u32)]
    #[serde(default, deserialize_with = "count")]
    expected_count: Option<u32>,
    /// For people.
    #[schema(required = false, max_length = 4000, pattern = r"^[^\x00]*$")]
    #[serde(default)]
    notes: Option<String>,
    /// What becomes of a record whose entity is in the catalogue already.
    #[serde(default)]
    collision: Collision,
    /// `now`: into the catalogue; `later`: only into staging, and the jobs do the rest.
    #[serde(default)]
    process: Process,
    /// `records`.
    #[schema(required = false)]
    #[serde(default)]
    format: RecordsFormat,
}

/// An import of nodes: its batches are files of rows (CSV, or lists of ids), or reference ids.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesImport {
    /// Where the rows come from.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    source: String,
    /// What has made them, with its version.
    #[schema(max_length = 200, pattern = r"^[^\x00]*$")]
    #[serde(default)]
    processor: String,
    /// How many rows there will be; checked when the import is finalised.
    #[schema(required = false, value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_u32)]
    #[serde(default, deserialize_with = "count")]
    expected_count: Option<u32>,
    /// For people.
    #[schema(required = false, max_length = 4000, pattern = r"^[^\x00]*$")]
    #[serde(default)]
    notes: Option<String>,
    /// `nodes`.
    format: NodesFormat,
    /// Whose nodes they are.
    options: NodesOptions,
}

/// The word of an import of records.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordsFormat {
    /// Records.
    #[default]
    Records,
}

/// The word of an import of nodes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NodesFormat {
    /// Nodes.
    Nodes,
}

/// A whole number, which JSON may also write as `5.0`.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole = |number: f64| (number.fract() == 0.0).then(|| format!("{number:.0}").parse::<u32>().ok()).flatten();
    let small = number.as_u64().and_then(|number| u32::try_from(number).ok());
    small.or_else(|| number.as_f64().and_then(whole)).map(Some).ok_or_else(|| D::Error::custom("is no whole number"))
}

impl NewImport {
    /// Reads the import of its format.
    pub(super) fn read(body: Value) -> Result<Self, Refusal> {
        match body.get("format").and_then(Value::as_str) {
            Some("nodes") => typed(body).map(Self::Nodes),
            _ => typed(body).map(Self::Records),
        }
    }

    /// The import, if its texts are as they must be.
    pub(super) fn checked(self) -> Result<Create, Refusal> {
        let create = match self {
            Self::Records(import) => {
                let RecordsFormat::Records = import.format;
                Create {
                    source: import.source,
                    processor: import.processor,
                    expected_count: import.expected_count.map(u64::from),
                    notes: import.notes,
                    collision: import.collision,
                    process: import.process,
                    format: ImportFormat::Records,
                    options: None,
                }
            }
            Self::Nodes(import) => {
                let NodesFormat::Nodes = import.format;
                let NodesOptions { domain, group, .. } = &import.options;
                if !is_name(domain) || group.as_ref().is_some_and(|group| !is_name(group)) {
                    let texts = "`options.domain` and `options.group`";
                    return Err(Refusal::invalid(format!("{texts} are 1 to 200 characters without U+0000")));
                }
                Create {
                    source: import.source,
                    processor: import.processor,
                    expected_count: import.expected_count.map(u64::from),
                    notes: import.notes,
                    collision: Collision::Upsert,
                    process: Process::Now,
                    format: ImportFormat::Nodes,
                    options: serde_json::to_string(&import.options).ok(),
                }
            }
        };
        let bad = |text: &str, longest| text.chars().count() > longest || text.contains('\0');
        if !is_name(&create.source) {
            return Err(Refusal::invalid("`source` is empty, longer than 200 characters, or holds U+0000"));
        }
        if bad(&create.processor, LONGEST_NAME) {
            return Err(Refusal::invalid("`processor` is longer than 200 characters, or holds U+0000"));
        }
        if create.notes.as_deref().is_some_and(|notes| bad(notes, LONGEST_NOTES)) {
            return Err(Refusal::invalid("`notes` is longer than 4000 characters, or holds U+0000"));
        }
        Ok(create)
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME && !text.contains('\0')
}
