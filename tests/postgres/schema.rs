//! Both engines have the same tables, column for column, whoever adds some.

use std::collections::BTreeMap;

use parser::store::tables::{Column, tables};

use crate::place::{POINTS, Place};

/// Types that hold the same values.
fn fits(sqlite: &Column, postgres: &Column) -> bool {
    let allowed: &[&str] = match sqlite.kind.as_str() {
        "INTEGER" => &["bigint", "integer", "smallint", "boolean", "timestamp with time zone"],
        "TEXT" => &["text", "jsonb", "uuid"],
        "REAL" => &["double precision"],
        "BLOB" => &["bytea"],
        _ => &[],
    };
    allowed.contains(&postgres.kind.as_str()) && sqlite.nullable == postgres.nullable && sqlite.key == postgres.key
}

#[tokio::test]
async fn every_table_and_column_is_in_both_engines() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let mut found = Vec::new();
    for place in [&sqlite, &postgres] {
        let tables = place.store().await.read(tables).await.unwrap();
        found.push(tables.into_iter().map(|table| (table.name.clone(), table)).collect::<BTreeMap<_, _>>());
    }
    let names = |index: usize| found[index].keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(0), names(1), "tables of SQLite and of PostgreSQL");
    assert!(names(0).contains(&"series_character".to_owned()));
    let mut faults = Vec::new();
    for (name, sqlite) in &found[0] {
        let postgres = &found[1][name];
        // Not in the same order: one engine rebuilds a table where the other adds a column.
        let [ours, theirs] = [sqlite, postgres]
            .map(|table| table.columns.iter().map(|column| (column.name.as_str(), column)).collect::<BTreeMap<_, _>>());
        assert!(ours.keys().eq(theirs.keys()), "columns of {name}: {ours:?}, {theirs:?}");
        assert_eq!(sqlite.refers_to, postgres.refers_to, "what {name} refers to");
        for (column, ours) in ours {
            if !fits(ours, theirs[column]) {
                faults.push(format!("{name}.{column}: {ours:?}\n    {:?}", theirs[column]));
            }
        }
    }
    assert!(faults.is_empty(), "columns that do not fit each other:\n{}", faults.join("\n"));
}

#[tokio::test]
async fn unique_keys_and_checks_refuse_the_same() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let series = "INSERT INTO series (source, source_id, slug, title, alternative_titles, genres, studios, origin, \
                  fingerprint, year, created_at, updated_at) VALUES (1, ";
    let rest = "'[]', '[]', '[]', 'material_data', '',";
    let statements = [
        "INSERT INTO source (id, name) VALUES (1, 's')".to_owned(),
        "INSERT INTO source (name) VALUES ('')".to_owned(),
        "INSERT INTO source (id, name) VALUES (2, 's')".to_owned(),
        format!("{series}'1', 'a', 'A', {rest} 2000, ?1, ?1)"),
        format!("{series}'2', 'a', 'A', {rest} 2000, ?1, ?1)"),
        format!("{series}'1', 'b', 'A', {rest} 2000, ?1, ?1)"),
        format!("{series}'3', 'c', '', {rest} 2000, ?1, ?1)"),
        format!("{series}'4', 'd', 'A', {rest} 1800, ?1, ?1)"),
        "UPDATE series SET origin = 'nowhere'".to_owned(),
        "UPDATE series SET source = 99".to_owned(),
        "UPDATE series SET title = NULL".to_owned(),
    ];
    let mut seen = Vec::new();
    for place in [&sqlite, &postgres] {
        let store = place.store().await;
        let mut taken = Vec::new();
        for statement in statements.clone() {
            let values = statement.contains("?1");
            let run = move |session: &parser::store::sql::Session<'_>| {
                let now = [parser::store::sql::Value::Int(1)];
                session.execute(&statement, if values { &now } else { &[] })
            };
            taken.push(store.write(POINTS, run).await.is_ok());
        }
        seen.push(taken);
    }
    assert_eq!(seen[0], seen[1], "{statements:#?}");
    assert_eq!(seen[0].iter().filter(|taken| **taken).count(), 2);
}
