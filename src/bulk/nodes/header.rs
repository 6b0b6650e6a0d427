//! What the columns of a node file mean: two keys under many names, the type, and everything else as metadata.

use std::collections::BTreeMap;

/// Names of the reference id, most telling first.
const REFERENCE: &[&str] =
    &["reference_id", "referenceid", "refid", "ref_id", "ref", "reference", "id", "userid", "user_id"];

/// Names of the group.
const GROUP: &[&str] = &["group_id", "groupid", "group", "grp_id", "grp"];

/// Names of the type.
const KIND: &[&str] = &["type", "nodetype", "node_type"];

/// The types of nodes. What is none of them is the last.
pub const KINDS: &[&str] = &[
    "TASK",
    "AGENT",
    "USER",
    "MENTOR",
    "MENTEE",
    "FRIEND",
    "SEEKER",
    "PROVIDER",
    "MATCHMAKER",
    "COUPLE_CANDIDATE",
    "ADMIN",
    "BOT",
    "UNKNOWN",
];

/// The columns of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Names as they are in the file, to write rejected rows under.
    pub names: Vec<String>,
    pub(super) reference: usize,
    pub(super) group: Option<usize>,
    pub(super) kind: Option<usize>,
    /// The other columns, by their standardised names.
    pub(super) metadata: BTreeMap<usize, String>,
}

impl Header {
    /// Reads the first row. `group_given`: the file may do without a column of groups.
    pub fn read(names: Vec<String>, group_given: bool) -> Result<Self, String> {
        let standard: Vec<String> = names.iter().map(|name| standardised(name)).collect();
        let find = |aliases: &[&str]| aliases.iter().find_map(|alias| standard.iter().position(|name| name == alias));
        let reference = find(REFERENCE).ok_or("no column is a reference id")?;
        let group = find(GROUP);
        if group.is_none() && !group_given {
            return Err("no column is a group id".to_owned());
        }
        let kind = find(KIND);
        let mut metadata = BTreeMap::new();
        for (index, name) in standard.into_iter().enumerate() {
            if index == reference || Some(index) == group || Some(index) == kind {
                continue;
            }
            let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
            if let Some((other, _)) = metadata.iter().find(|(_, taken)| **taken == name) {
                let (one, two): (&usize, usize) = (other, index);
                return Err(format!("columns {} and {} are both called `{name}`", one + 1, two + 1));
            }
            metadata.insert(index, name);
        }
        Ok(Self { names, reference, group, kind, metadata })
    }

    /// The columns of a list of ids.
    pub fn of_ids() -> Self {
        let names = vec!["reference_id".to_owned()];
        Self { names, reference: 0, group: None, kind: None, metadata: BTreeMap::new() }
    }
}

/// The type that a cell names; an empty one says nothing.
pub fn kind_of(cell: &str) -> Option<&'static str> {
    if cell.is_empty() {
        return None;
    }
    let name: String = cell.chars().map(|c| if c == ' ' || c == '-' { '_' } else { c.to_ascii_uppercase() }).collect();
    Some(KINDS.iter().find(|kind| **kind == name).copied().unwrap_or("UNKNOWN"))
}

/// Lower case, and `_` for whatever is not a letter of a to z, a digit or `_`.
fn standardised(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '_' };
    name.trim().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::{Header, kind_of};

    fn header(names: &[&str], group: bool) -> Result<Header, String> {
        Header::read(names.iter().map(|name| (*name).to_owned()).collect(), group)
    }

    #[test]
    fn keys_have_many_names_and_the_most_telling_wins() {
        let found = header(&["ID", " Grp ", "Reference Id", "E-Mail", "NodeType"], false).unwrap();
        assert_eq!((found.reference, found.group, found.kind), (2, Some(1), Some(4)));
        let metadata: Vec<_> = found.metadata.into_iter().collect();
        assert_eq!(metadata, [(0, "id".to_owned()), (3, "e_mail".to_owned())]);
        for name in ["reference_id", "ReferenceId", "refid", "REF_ID", "ref", "reference", "id", "userid", "User Id"] {
            assert_eq!(header(&[name], true).unwrap().reference, 0, "{name}");
        }
        for name in ["group_id", "GroupId", "group", "grp_id", "GRP"] {
            assert_eq!(header(&["id", name], false).unwrap().group, Some(1), "{name}");
        }
    }

    #[test]
    fn what_is_missing_or_twice_is_said() {
        assert_eq!(header(&["name", "group"], false).unwrap_err(), "no column is a reference id");
        assert_eq!(header(&["id", "name"], false).unwrap_err(), "no column is a group id");
        assert!(header(&["id", "name"], true).is_ok());
        assert_eq!(header(&["id", "a b", "A-B"], true).unwrap_err(), "columns 2 and 3 are both called `a_b`");
        let unnamed: Vec<_> = header(&["id", "", " "], true).unwrap().metadata.into_values().collect();
        assert_eq!(unnamed, ["column_2", "_3"].map(|name| name.replace("_3", "column_3")));
    }

    #[test]
    fn types_are_thirteen_and_unknown_is_the_fallback() {
        assert_eq!(kind_of("couple candidate"), Some("COUPLE_CANDIDATE"));
        assert_eq!(kind_of("Bot"), Some("BOT"));
        assert_eq!(kind_of(""), None);
        assert_eq!(kind_of("wizard"), Some("UNKNOWN"));
    }
}
