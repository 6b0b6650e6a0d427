//! The store itself lets no status go back, whoever asks.

use parser::store::sqlite::CrashPoints;
use parser::store::{Store, imports};
use serde_json::json;

use crate::place::{JSON, LINES, lines, on_each_engine, record};

const POINTS: CrashPoints = CrashPoints { before: "test.before", after: "test.after" };

const IMPORT: [&str; 6] = ["created", "started", "completed", "partially_failed", "failed", "cancelled"];
const RESULT: [&str; 6] = ["created", "started", "retrying", "completed", "unchanged", "failed"];

fn import_may(from: &str, to: &str) -> bool {
    match from {
        _ if from == to => true,
        "created" => ["started", "cancelled"].contains(&to),
        "started" => !["created", "started"].contains(&to),
        _ => false,
    }
}

fn result_may(from: &str, to: &str) -> bool {
    match from {
        _ if from == to => true,
        "created" | "retrying" => ["started", "failed"].contains(&to),
        "started" => !["created", "started"].contains(&to),
        _ => false,
    }
}

/// Is the statement taken? It is undone in any case.
async fn takes(store: &Store, sql: String) -> bool {
    let tried = store.write(POINTS, move |session| {
        session.batch(&sql)?;
        Err::<(), _>(parser::store::sql::SqlError::Refused("taken".to_owned()))
    });
    tried.await.unwrap_err().to_string().contains("taken")
}

/// May a status follow another?
type Allowed = fn(&str, &str) -> bool;

#[test]
fn no_status_goes_back_by_sql() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        served.send(&import, &[JSON, ("Prefer", "wait=20")], json!([record(1)]).to_string().as_bytes());
        drop(served);
        place.store(async |store| {
            let tables: [(&str, [&str; 6], Allowed); 3] = [
                ("import_record", IMPORT, import_may),
                ("import_batch", IMPORT, import_may),
                ("import_result", RESULT, result_may),
            ];
            for (table, statuses, may) in tables {
                for from in statuses {
                    // A row of that status, made by switching the guard off for a moment.
                    for to in statuses {
                        let sql = step(&store, table, from, to);
                        assert_eq!(takes(&store, sql).await, may(from, to), "{table}: {from} → {to}");
                    }
                }
            }
            assert!(!store.read(|session| imports::imports(session, None, None, 10)).await.unwrap().is_empty());
        });
    });
}

/// Statements that bring a row from its status to `from` by allowed steps of fresh rows, and then to `to`.
fn step(store: &Store, table: &str, from: &str, to: &str) -> String {
    let _ = store;
    let now = if matches!(store.engine(), parser::store::sql::Engine::Sqlite) { "0" } else { "'epoch'" };
    let (yes, id) = if matches!(store.engine(), parser::store::sql::Engine::Sqlite) {
        ("1", "'00000000-0000-7000-8000-00000000000a'")
    } else {
        ("TRUE", "'00000000-0000-7000-8000-00000000000a'")
    };
    let insert = match table {
        "import_record" => format!(
            "INSERT INTO import_record (number, id, source, processor, collision, process, status, created_at, \
             updated_at) VALUES (900, {id}, 's', '', 'upsert', 'now', '{from}', {now}, {now})"
        ),
        "import_batch" => format!(
            "INSERT INTO import_batch (number, id, import, ordinal, status, received, created_at, updated_at) \
             SELECT 900, {id}, number, 900, '{from}', {yes}, {now}, {now} FROM import_record LIMIT 1"
        ),
        _ => format!(
            "INSERT INTO import_result (id, batch, byte_offset, status, updated_at) \
             SELECT number * 16777216 + 900, number, 0, '{from}', {now} FROM import_batch LIMIT 1"
        ),
    };
    let which = match table {
        "import_result" => "id % 16777216 = 900",
        _ => "number = 900",
    };
    format!("{insert}; UPDATE {table} SET status = '{to}' WHERE {which}")
}

#[test]
fn a_crawled_queue_is_empty_in_the_end() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        served.send(&import, &[LINES], &lines((1..=50).map(record)));
        served.finalise(&import);
        drop(served);
        place.store(async |store| {
            let left =
                store.read(|session| session.one("SELECT count(*) FROM import_original", &[], |row| row.get::<i64>(0)));
            assert_eq!(left.await.unwrap(), 0, "what is in is not kept twice");
        });
    });
}
