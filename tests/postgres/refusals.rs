//! A server that cannot be used: the command says which, why and what to do, never the password, and exits with 4 or 2.

use parser::store::{Location, Store};

use crate::cluster::{Cluster, database, sql};
use crate::place::{parser, server};

/// What `parser serve` and `parser run --sandbox` say about this address; both must end with this code.
fn refused(url: &str, code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", url), ("DATABASE_WAIT_SECONDS", "0.2"), ("LISTEN", "127.0.0.1:0")];
    let said = [&["serve"][..], &["run", "--mode", "full", "--sandbox"], &["dump"]].map(|args| {
        let output = parser(folder.path(), args, &env);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("S3CRET") && !String::from_utf8_lossy(&output.stdout).contains("S3CRET"), "{said}");
        said
    });
    assert!(!folder.path().join("state/catalog.db").exists(), "it must not fall back to a file");
    said.concat()
}

#[test]
fn a_wrong_password_is_a_refused_login() {
    let Some(database) = database() else { return };
    let make =
        "DO $$ BEGIN CREATE ROLE locked LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    sql(&database.url, make);
    let said = refused(&database.url_of("locked:S3CRET-S3CRET"), 4);
    assert!(said.contains("refuses the login") && said.contains("hint: check user and password"), "{said}");
    assert!(refused(&database.url_of("locked"), 4).contains("refuses the login"), "without any password");
    sql(&database.url, "DROP ROLE locked");
}

#[test]
fn a_missing_database_is_named() {
    let Some(database) = database() else { return };
    let said = refused(&format!("{}_gone", database.url), 4);
    assert!(said.contains("_gone") && said.contains("hint: create it"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refused(&format!("postgres://me:S3CRET-S3CRET@{free}/anime"), 4);
    assert!(
        said.contains(&format!("postgres://{free}/anime")) && said.contains("hint: is PostgreSQL running"),
        "{said}"
    );
}

#[test]
fn an_address_that_is_none_is_a_usage_error() {
    for url in ["mysql://me:S3CRET@h/d", "postgres://me:S3CRET@h/d?sslmode=S3CRET", "postgres://me:S3CRET@h:S3CRET/d"] {
        let said = refused(url, 2);
        assert!(said.contains("postgres://user:password@host"), "{said}");
    }
}

#[test]
fn tls_that_is_required_is_not_given_up() {
    // A given server may speak TLS.
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    for mode in ["require", "verify-full"] {
        let said = refused(&format!("{}?sslmode={mode}", database.url), 4);
        assert!(said.contains("by TLS"), "{said}");
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let Some(database) = database() else { return };
    drop(Store::open(&Location::Server(server(&database.url)), 0).await.unwrap());
    sql(
        &database.url,
        "INSERT INTO refinery_schema_history SELECT 999, 'future', applied_on, '1' FROM refinery_schema_history LIMIT 1",
    );
    let said = refused(&database.url, 4);
    assert!(said.contains("schema version 999") && said.contains("hint: use the newer version"), "{said}");
}

#[tokio::test]
async fn tables_that_were_made_otherwise_are_noticed() {
    let Some(database) = database() else { return };
    drop(Store::open(&Location::Server(server(&database.url)), 0).await.unwrap());
    sql(&database.url, "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1");
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let output = parser(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &env);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_user_without_rights_hears_which() {
    let Some(database) = database() else { return };
    let make = "DO $$ BEGIN CREATE ROLE poor LOGIN PASSWORD 'poor'; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    sql(&database.url, make);
    let folder = tempfile::tempdir().unwrap();
    let url = database.url_of("poor:poor");
    let output = parser(folder.path(), &["run", "--mode", "full", "--sandbox"], &[("DATABASE_URL", &url)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("permission denied") && said.contains("hint: grant it"), "{said}");
    sql(&database.url, "DROP ROLE poor");
}

#[test]
fn diagnose_asks_the_server() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = |url: &str| {
        let env = [
            ("DATABASE_URL", url),
            ("KODIK_BASE_URL", "http://127.0.0.1:1"),
            ("SHIKIMORI_BASE_URL", "http://127.0.0.1:1"),
        ];
        let output = parser(folder.path(), &["diagnose", "--json"], &env);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("S3CRET"), "{text}");
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        let checks = found["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"].as_str().unwrap().contains("PostgreSQL")).unwrap()
    };
    let empty = check(&database.url);
    assert!(empty["ok"] == true && empty["finding"].as_str().unwrap().contains("makes the tables"), "{empty}");
    let gone = check("postgres://me:S3CRET-S3CRET@127.0.0.1:1/anime");
    assert!(gone["ok"] == false && gone["hint"].as_str().unwrap().contains("is PostgreSQL running"), "{gone}");
}
