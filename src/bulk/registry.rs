//! What a file holds, told by its name and its first byte, and which table it goes to.

use super::inputs::Source;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Records of the catalogue, as the imports API takes them.
    Catalogue,
    /// Rows of a table.
    Table,
    /// Rows of nodes.
    Nodes,
}

/// Names of files whose records go into the catalogue, one and many.
const CATALOGUE: [&str; 7] = ["series", "release", "releases", "character", "characters", "pet", "pets"];

/// A file's name without its endings.
pub fn stem(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let mut end = name.len();
    for packed in [".gz", ".zst"] {
        if lower.ends_with(packed) {
            end = name.len() - packed.len();
            break;
        }
    }
    for ending in [".jsonl", ".ndjson", ".csv", ".json"] {
        if lower[..end].ends_with(ending) {
            end -= ending.len();
            break;
        }
    }
    &name[..end]
}

/// What a file holds, by its name; none = its first byte has to tell.
pub fn kind_by_name(name: &str) -> Option<Kind> {
    let lower = name.to_lowercase();
    let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
    match plain.rsplit_once('.')?.1 {
        "csv" => Some(Kind::Nodes),
        "jsonl" | "ndjson" => Some(kind_of_lines(name)),
        _ => None,
    }
}

/// Which of the two a file of JSON lines holds.
pub fn kind_of_lines(name: &str) -> Kind {
    if CATALOGUE.contains(&stem(name).to_lowercase().as_str()) { Kind::Catalogue } else { Kind::Table }
}

/// What bytes hold: lines of JSON begin with `{`.
pub fn kind_by_content(name: &str, start: &[u8]) -> Kind {
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => kind_of_lines(name),
        _ => Kind::Nodes,
    }
}

/// The table that a file goes to; none = it has no name that could be one.
pub fn table_of(source: &Source) -> Option<String> {
    match source {
        Source::Stdin => None,
        Source::Object(url) => table_named(stem(url.name())),
    }
}

/// A name as both engines take it: letters, digits and `_`, at most 63 bytes.
pub fn table_named(name: &str) -> Option<String> {
    let mut table: String = name.trim().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    while table.len() > 63 {
        table.pop();
    }
    (!table.trim_matches('_').is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind_by_content, kind_by_name, stem, table_named};

    #[test]
    fn names_tell_what_files_hold() {
        assert_eq!(kind_by_name("series.jsonl"), Some(Kind::Catalogue));
        assert_eq!(kind_by_name("Releases.ndjson.gz"), Some(Kind::Catalogue));
        assert_eq!(kind_by_name("invTypes.jsonl.zst"), Some(Kind::Table));
        assert_eq!(kind_by_name("users.CSV.gz"), Some(Kind::Nodes));
        assert_eq!(kind_by_name("dump"), None);
        assert_eq!(kind_by_content("dump", b"\xEF\xBB\xBF\n {\"a\""), Kind::Table);
        assert_eq!(kind_by_content("pets", b"{}"), Kind::Catalogue);
        assert_eq!(kind_by_content("dump", b"id,group"), Kind::Nodes);
        assert_eq!(stem("a.b.JSONL.GZ"), "a.b");
        assert_eq!(stem(".jsonl"), "");
    }

    #[test]
    fn tables_have_names_that_both_engines_take() {
        assert_eq!(table_named("types-2024 (1)").as_deref(), Some("types_2024__1_"));
        assert_eq!(table_named("типы").as_deref(), Some("типы"));
        assert_eq!(table_named("--"), None);
        assert_eq!(table_named(&"я".repeat(40)).map(|name| name.len()), Some(62));
    }
}
