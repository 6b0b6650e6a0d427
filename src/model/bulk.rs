//! The words of bulk imports: what files hold, and what became of their rows.

use serde::{Deserialize, Serialize};

/// What the batches of an import hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// Records of the catalogue, each with a result of its own.
    #[default]
    Records,
    /// Rows of nodes.
    Nodes,
    /// Rows of tables.
    Tables,
}

impl ImportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Records, Self::Nodes, Self::Tables];

    /// Its word in the store, in answers and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Nodes => "nodes",
            Self::Tables => "tables",
        }
    }

    /// The format of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }
}

/// What became of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowCounts {
    /// New.
    pub inserted: u64,
    /// There already, otherwise.
    pub updated: u64,
    /// There already, exactly so.
    pub unchanged: u64,
    /// Replaced by a later row of the same key before they were stored.
    pub duplicates: u64,
    /// Not in.
    pub failed: u64,
}

impl RowCounts {
    /// Rows that are in, or that gave way to another.
    pub fn processed(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.duplicates
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.processed() + self.failed
    }

    /// Adds those of another piece.
    pub fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.duplicates += other.duplicates;
        self.failed += other.failed;
    }

    /// The same in the words of results.
    pub fn as_results(&self) -> super::ResultCounts {
        super::ResultCounts {
            completed: self.inserted + self.updated + self.duplicates,
            unchanged: self.unchanged,
            failed: self.failed,
            ..super::ResultCounts::default()
        }
    }
}

/// The type of a node where nothing says which.
pub const DEFAULT_NODE_KIND: &str = "USER";

/// Longest reference id and group of a node in bytes: both are keys of an index.
pub const LONGEST_NODE_KEY: usize = 512;

/// What an import of nodes has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesOptions {
    /// Whose nodes they are.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    pub domain: String,
    /// The group of all rows; without it each row names its own.
    #[schema(
        required = false,
        nullable = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Files are lists of reference ids, one a line, without a header.
    #[schema(required = false, default = false)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refs: bool,
    /// Rows of groups that are not there are rejected; otherwise their groups are made.
    #[schema(required = false, default = false)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known_groups: bool,
}

/// What an import of tables has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TablesOptions {
    /// The table for all of the files; without it each goes to that of its name.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 63, pattern = "^[A-Za-z][A-Za-z0-9_]*$")]
    #[serde(default)]
    pub table: Option<String>,
    /// The field that tells rows apart; without it `_key`, `id`, or the whole line.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 200, pattern = r"^[^\x00]+$")]
    #[serde(default)]
    pub key: Option<String>,
    /// What may become of the table.
    #[schema(required = false)]
    #[serde(default)]
    pub schema: TableSchema,
    /// What is in wholly or not at all.
    #[schema(required = false)]
    #[serde(default)]
    pub atomic: Atomic,
}

/// What may become of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableSchema {
    /// It is made, gets columns, and its columns get wider types.
    #[default]
    Evolve,
    /// It is there and stays as it is; records that do not fit are rejected.
    Freeze,
}

/// What is in wholly or not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Atomic {
    /// Each batch of a file: others can write meanwhile.
    #[default]
    Batch,
    /// Each file.
    File,
}

#[cfg(test)]
mod tests {
    use super::{ImportFormat, NodesOptions, RowCounts};

    #[test]
    fn counts_are_the_same_in_both_words() {
        let rows = RowCounts { inserted: 1, updated: 2, unchanged: 4, duplicates: 8, failed: 16 };
        let results = rows.as_results();
        assert_eq!((results.total(), results.succeeded(), results.failed), (31, 15, 16));
        assert_eq!((rows.total(), rows.processed()), (31, 15));
    }

    #[test]
    fn words_are_found_again_and_options_are_read_as_they_were_written() {
        for format in ImportFormat::ALL {
            assert_eq!(ImportFormat::named(format.as_str()), Some(format));
        }
        let options = NodesOptions { domain: "d".to_owned(), group: None, refs: false, known_groups: false };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(text, r#"{"domain":"d"}"#);
        assert_eq!(serde_json::from_str::<NodesOptions>(&text).unwrap(), options);
        assert!(serde_json::from_str::<NodesOptions>(r#"{"domain":"d","grp":"x"}"#).is_err());
    }
}
