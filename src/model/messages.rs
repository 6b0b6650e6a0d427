//! Messages: what asks for work on a topic, and what tells how it went. Names are those of the wire.
//!
//! A request says one of two things. With a path and a file name it is a file of nodes; else, with a group and ids, it
//! makes nodes of the ids. Whatever is neither is refused. Fields that are not named here are let through unread.

use serde::{Deserialize, Serialize};

use super::RecordKind;

/// Longest name of a domain or a group, in bytes: both are parts of keys.
pub const LONGEST_NAME: usize = 512;

/// Asks for nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeExchange {
    /// Whose nodes. Needed for every request.
    #[schema(min_length = 1, max_length = 512)]
    pub domain_id: Option<String>,
    /// Their group. Needed with `referenceIds`; with a file it is the group of all rows.
    #[schema(min_length = 1, max_length = 512)]
    pub group_id: Option<String>,
    /// Where the file is: `s3://bucket/key`, `http(s)://host/path`, or a path inside the configured folder.
    #[schema(min_length = 1)]
    pub file_path: Option<String>,
    /// The file's name. Needed with `filePath`.
    #[schema(min_length = 1)]
    pub file_name: Option<String>,
    /// What the sender takes the file for; only noted.
    pub content_type: Option<String>,
    /// Ids of the nodes to make.
    pub reference_ids: Option<Vec<String>>,
}

/// A record of the catalogue, as the imports API takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogueRecord {
    /// What it is about.
    pub kind: RecordKind,
    /// Whose: ids are unique inside a source.
    #[schema(min_length = 1, max_length = 512)]
    pub source_name: String,
    /// The source's id.
    #[schema(min_length = 1, max_length = 512)]
    pub external_id: String,
    /// What the record says.
    #[schema(value_type = Object)]
    pub payload: serde_json::Map<String, serde_json::Value>,
    /// When the sender saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<jiff::Timestamp>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TransferStatus {
    /// It is worked on.
    Processing,
    /// Everything it asked for is in.
    Completed,
    /// Something is not in.
    Failed,
}

impl TransferStatus {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }

    /// The status of that word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Processing, Self::Completed, Self::Failed].into_iter().find(|status| status.as_str() == word)
    }
}

/// Tells how a job went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodesTransferJobExchange {
    /// The job.
    pub job_id: String,
    /// The import that does it, at `/api/v1/imports/{importId}`; only if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<String>,
    /// The request's group; null if the request could not be read.
    pub group_id: Option<String>,
    /// The request's domain; null if the request could not be read.
    pub domain_id: Option<String>,
    /// How it ended.
    pub status: TransferStatus,
    /// Nodes that are in.
    pub processed: u64,
    /// Nodes that were asked for.
    pub total: u64,
    /// Their reference ids (of a catalogue record: its own id), at most as many as the settings allow.
    pub success_list: Vec<String>,
    /// Reference ids (of rows without one: their lines; of a catalogue record: its own id) that are not in, at most as many
    /// as the settings allow.
    pub failed_list: Vec<String>,
    /// Are the lists shorter than the numbers say?
    pub truncated: bool,
    /// Where the whole lists are; only with `truncated`, and if there is an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<WholeLists>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Addresses of lists that a message is too short for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WholeLists {
    /// All of `successList`; only if it is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_list: Option<String>,
    /// All of `failedList`, each with its reason; only if it is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_list: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRequest {
    /// A file of nodes.
    File {
        /// Whose.
        domain: String,
        /// The group of all rows, if there is one.
        group: Option<String>,
        /// The whole address.
        path: String,
    },
    /// Nodes of ids.
    References {
        /// Whose.
        domain: String,
        /// Their group.
        group: String,
        /// Their ids, as they came.
        ids: Vec<String>,
    },
}

impl NodeExchange {
    /// What it asks for, or what is wrong with which field.
    pub fn request(self) -> Result<NodeRequest, String> {
        let domain = name("domainId", self.domain_id)?.ok_or("`domainId` is missing")?;
        let group = name("groupId", self.group_id)?;
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        match (given(self.file_path), given(self.file_name), group, self.reference_ids.filter(|ids| !ids.is_empty())) {
            (Some(path), Some(file), group, _) => {
                if path.contains('\0') || file.contains('\0') {
                    return Err("`filePath` holds a NUL character".to_owned());
                }
                Ok(NodeRequest::File { domain, group, path: whole(path, &file) })
            }
            (_, _, Some(group), Some(ids)) => Ok(NodeRequest::References { domain, group, ids }),
            (Some(_), None, ..) => Err("`filePath` without `fileName`".to_owned()),
            (None, Some(_), ..) => Err("`fileName` without `filePath`".to_owned()),
            (None, None, None, Some(_)) => Err("`referenceIds` without `groupId`".to_owned()),
            (None, None, ..) => Err("no file and no `referenceIds`".to_owned()),
        }
    }
}

/// A path that ends with `/` is a folder: the file is in it. Any other names the file itself.
fn whole(path: String, file: &str) -> String {
    if path.ends_with('/') { path + file } else { path }
}

fn name(field: &str, text: Option<String>) -> Result<Option<String>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    if text.len() > LONGEST_NAME {
        return Err(format!("`{field}` is longer than {LONGEST_NAME} bytes"));
    }
    if text.contains('\0') {
        return Err(format!("`{field}` holds a NUL character"));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::{NodeExchange, NodeRequest};

    fn asked(json: &str) -> Result<NodeRequest, String> {
        serde_json::from_str::<NodeExchange>(json).map_err(|error| error.to_string())?.request()
    }

    #[test]
    fn a_file_goes_before_ids() {
        let file = asked(
            r#"{"domainId":"d","groupId":"g","filePath":"s3://b/k.csv","fileName":"k.csv","referenceIds":["a"]}"#,
        );
        let path = "s3://b/k.csv".to_owned();
        assert_eq!(file, Ok(NodeRequest::File { domain: "d".to_owned(), group: Some("g".to_owned()), path }));
        let folder = asked(r#"{"domainId":"d","filePath":"s3://b/in/","fileName":"k.csv","contentType":"text/csv"}"#);
        let path = "s3://b/in/k.csv".to_owned();
        assert_eq!(folder, Ok(NodeRequest::File { domain: "d".to_owned(), group: None, path }));
    }

    #[test]
    fn ids_need_a_domain_and_a_group() {
        let ids = vec!["a".to_owned(), "b".to_owned()];
        let (domain, group) = ("d".to_owned(), "g".to_owned());
        assert_eq!(
            asked(r#"{"domainId":"d","groupId":"g","filePath":null,"referenceIds":["a","b"],"extra":1}"#),
            Ok(NodeRequest::References { domain, group, ids })
        );
        for (json, problem) in [
            (r#"{"groupId":"g","referenceIds":["a"]}"#, "`domainId` is missing"),
            (r#"{"domainId":"d","referenceIds":["a"]}"#, "`referenceIds` without `groupId`"),
            (r#"{"domainId":"d","groupId":"g","referenceIds":[]}"#, "no file and no `referenceIds`"),
            (r#"{"domainId":"d","groupId":" ","filePath":"x"}"#, "`filePath` without `fileName`"),
            ("{\"domainId\":\"d\\u0000\"}", "`domainId` holds a NUL character"),
        ] {
            assert_eq!(asked(json), Err(problem.to_owned()), "{json}");
        }
        assert!(asked(r#"{"domainId":7}"#).unwrap_err().contains("string"));
    }
}
