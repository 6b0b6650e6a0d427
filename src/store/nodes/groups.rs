//! Domains and the groups in them, made where there are none.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::store::sql::{Session, SqlError, Value, values};

/// A group of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub domain: String,
    /// Its name in the domain.
    pub name: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// Is there such a group?
pub fn has_group(session: &Session<'_>, domain: &str, group: &str) -> Result<bool, SqlError> {
    session.exists("SELECT 1 FROM matching_groups WHERE domain_id = ?1 AND name = ?2", values![domain, group])
}

/// Ids of groups by their names, made where there are none. New ones are made in the order of their names, so that two
/// that make the same cannot wait for each other.
pub fn group_ids<'r>(
    session: &Session<'_>,
    domain: &str,
    names: &BTreeSet<&'r str>,
    now: i64,
) -> Result<BTreeMap<&'r str, String>, SqlError> {
    let mut known = find(session, domain, names)?;
    if known.len() == names.len() {
        return Ok(known);
    }
    session
        .execute("INSERT INTO domains (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING", values![domain, now])?;
    let ids: Vec<(String, &str)> = names
        .iter()
        .filter(|name| !known.contains_key(**name))
        .map(|name| (Uuid::now_v7().to_string(), *name))
        .collect();
    session.execute_many(
        "INSERT INTO matching_groups (id, domain_id, name, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        ids.iter().map(|(id, name)| vec![id.into(), domain.into(), (*name).into(), now.into()]),
    )?;
    // Somebody else may have made some of them meanwhile.
    known.extend(find(session, domain, names)?);
    Ok(known)
}

/// Groups in the order of their domains and names, behind one of them; of one domain or of all.
pub fn groups(
    session: &Session<'_>,
    domain: Option<&str>,
    (after_domain, after_name): (&str, &str),
    limit: u32,
) -> Result<Vec<Group>, SqlError> {
    let of = if domain.is_some() { "domain_id = ?4 AND" } else { "" };
    let sql = format!(
        "SELECT domain_id, name, created_at FROM matching_groups \
         WHERE {of} (domain_id, name) > (?1, ?2) ORDER BY domain_id, name LIMIT ?3"
    );
    let mut values = vec![after_domain.into(), after_name.into(), limit.into()];
    values.extend(domain.map(Value::from));
    session.query(&sql, &values, |row| Ok(Group { domain: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? }))
}

fn find<'r>(
    session: &Session<'_>,
    domain: &str,
    names: &BTreeSet<&'r str>,
) -> Result<BTreeMap<&'r str, String>, SqlError> {
    let list = serde_json::to_string(names).map_err(|error| SqlError::Refused(error.to_string()))?;
    let sql = format!(
        "SELECT w.value, (SELECT CAST(id AS TEXT) FROM matching_groups WHERE domain_id = ?1 AND name = w.value LIMIT 1) \
         FROM {}",
        session.engine().texts("?2")
    );
    let found: Vec<(String, Option<String>)> =
        session.query(&sql, values![domain, &list], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.into_iter().filter_map(|(name, id)| Some((*names.get(name.as_str())?, id?))).collect())
}
