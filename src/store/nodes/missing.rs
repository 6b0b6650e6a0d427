//! Nodes from ids alone: those that are missing are made, all others stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
use uuid::Uuid;

use super::group_ids;
use crate::model::DEFAULT_NODE_KIND;
use crate::store::sql::{Engine, Session, SqlError, values};

/// A node to be on its way to a server.
#[derive(Serialize)]
struct Sent<'a> {
    i: Uuid,
    g: &'a str,
    r: &'a str,
}

/// Makes the nodes of a domain that are missing among these (group, reference id), in their order; which of them it
/// has made.
pub fn insert_missing<'r>(
    session: &Session<'_>,
    domain: &str,
    keys: &BTreeSet<(&'r str, &'r str)>,
    now: i64,
) -> Result<BTreeSet<(&'r str, &'r str)>, SqlError> {
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let names: BTreeSet<&str> = keys.iter().map(|(group, _)| *group).collect();
    let groups = group_ids(session, domain, &names, now)?;
    let new: BTreeMap<Uuid, (&str, &str)> = keys.iter().map(|key| (Uuid::now_v7(), *key)).collect();
    let made: HashSet<Uuid> = match session.engine() {
        Engine::Sqlite => {
            let mut made = HashSet::new();
            for (id, (group, reference)) in &new {
                let inserted = session.execute(
                    "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT DO NOTHING",
                    values![&id.to_string(), *reference, &groups[group], domain, DEFAULT_NODE_KIND, now],
                )?;
                if inserted > 0 {
                    made.insert(*id);
                }
            }
            made
        }
        Engine::Postgres => {
            let sent: Vec<_> =
                new.iter().map(|(id, (group, reference))| Sent { i: *id, g: &groups[group], r: reference }).collect();
            let sent = serde_json::to_string(&sent).map_err(|error| SqlError::Refused(error.to_string()))?;
            // In the order of keys, so that two that make the same nodes cannot wait for each other.
            let ids: Vec<String> = session.query(
                "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at)
                 SELECT input.i, input.r, input.g, ?2, ?3, ?4, ?4
                 FROM jsonb_to_recordset(CAST(CAST(?1 AS text) AS jsonb)) AS input (i uuid, g uuid, r text)
                 ORDER BY input.g, input.r COLLATE \"C\" ON CONFLICT DO NOTHING RETURNING CAST(id AS text)",
                values![&sent, domain, DEFAULT_NODE_KIND, now],
                |row| row.get(0),
            )?;
            ids.iter().filter_map(|id| Uuid::try_parse(id).ok()).collect()
        }
    };
    Ok(new.into_iter().filter(|(id, _)| made.contains(id)).map(|(_, key)| key).collect())
}
