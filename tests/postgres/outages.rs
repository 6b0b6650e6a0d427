//! The server is restarted, connections are cut, none is free: nothing is lost, and the caller hears what it may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use parser::backend::Catalogue;
use parser::error::{Fault as _, Severity};
use parser::load::Embedded;
use parser::model::Outcome;
use parser::store::{Location, Server, Store, StoreErrorKind};

use crate::cluster::{Cluster, database, sql};
use crate::place::{POINTS, Place, SOURCE, record, server};

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid()";

/// Loads many titles while `disturb` is done again and again; in the end everything is there, as if nothing had been.
async fn loads_all_the_same(url: &str, times: usize, disturb: impl Fn() + Send + Sync + 'static) {
    let expected = Place::sqlite().catalogue_of(60).await;
    let store = Store::open(&Location::Server(server(url)), 0).await.unwrap();
    let loader = Arc::new(Embedded::new(Catalogue::new(Arc::new(store), SOURCE)));
    let done = Arc::new(AtomicUsize::new(0));
    let disturbing = tokio::task::spawn_blocking({
        let done = Arc::clone(&done);
        move || {
            for round in 1..=times {
                while done.load(Ordering::SeqCst) < round * 50 / times {
                    std::thread::yield_now();
                }
                disturb();
            }
        }
    });
    let loads = titles(60).into_iter().map(|title| {
        let (loader, done) = (Arc::clone(&loader), Arc::clone(&done));
        tokio::spawn(async move {
            // What a crawl does about a failed title: the next run tries it again.
            let mut outcome = loader.load(&title).await.unwrap();
            if let Outcome::Failed(failure) = &outcome {
                assert!(failure.retryable, "{failure:?}");
                outcome = loader.load(&title).await.unwrap();
            }
            assert!(matches!(outcome, Outcome::Loaded { .. } | Outcome::Unchanged), "{outcome:?}");
            done.fetch_add(1, Ordering::SeqCst);
        })
    });
    join_all(loads).await.into_iter().for_each(|load| load.unwrap());
    disturbing.await.unwrap();
    assert_eq!(loader.catalogue().dump().await.unwrap(), expected);
}

fn titles(count: u64) -> Vec<parser::model::TitleRecord> {
    (1..=count).map(|id| record(id, &format!("Title {id}"), 6, &[610, 735])).collect()
}

impl Place {
    async fn catalogue_of(&self, count: u64) -> String {
        let catalogue = self.catalogue().await;
        for title in titles(count) {
            catalogue.import(&title).await.unwrap();
        }
        catalogue.dump().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_in_mid_import_loses_nothing() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    let database = cluster.database();
    let control = Arc::clone(&cluster);
    // `immediate` is what a crash of the server is.
    loads_all_the_same(&database.url, 2, move || control.control(&["-m", "immediate", "restart"])).await;
}

#[tokio::test]
async fn an_encrypted_connection_is_what_the_address_asks_for() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let Some(certificate) = cluster.certify() else {
        println!("skipped: no openssl to make a certificate");
        return;
    };
    let opened = async |options: &str| {
        let store = Store::open(&Location::Server(server(&format!("{}?{options}", database.url))), 0).await?;
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        store.read(move |session| session.one(sql, &[], |row| row.get::<bool>(0))).await
    };
    let root = certificate.display();
    for (options, encrypted) in [
        (String::new(), true),
        ("sslmode=disable".to_owned(), false),
        ("sslmode=require".to_owned(), true),
        (format!("sslmode=verify-full&sslrootcert={root}"), true),
    ] {
        assert_eq!(opened(&options).await.unwrap(), encrypted, "{options}");
    }
    let unknown = opened("sslmode=verify-full").await.unwrap_err();
    assert!(matches!(unknown.kind, StoreErrorKind::Tls(_)), "nobody has vouched for it: {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing() {
    let Some(database) = database() else { return };
    let url = database.url.clone();
    loads_all_the_same(&database.url, 10, move || drop(sql(&url, CUT))).await;
}

#[tokio::test]
async fn a_connection_that_was_cut_while_idle_is_made_anew_unnoticed() {
    let Some(database) = database() else { return };
    let store = Store::open(&Location::Server(server(&database.url)), 0).await.unwrap();
    for _ in 0..10 {
        assert!(!sql(&database.url, CUT).is_empty());
        store.ping().await.unwrap();
        store.write(POINTS, |session| session.exists("SELECT 1", &[])).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_whose_connection_is_cut_before_its_commit_is_undone_and_worth_another_try() {
    let Some(database) = database() else { return };
    let store = Store::open(&Location::Server(server(&database.url)), 0).await.unwrap();
    let url = database.url.clone();
    let error = store
        .write(POINTS, move |session| {
            session.execute("INSERT INTO source (name) VALUES ('half')", &[])?;
            sql(&url, CUT);
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable(_)), "{error:?}");
    assert!(error.is_transient() && error.stops_run() && error.severity() == Severity::Transient);
    let left = store.read(|session| session.exists("SELECT 1 FROM source WHERE name = 'half'", &[]));
    assert!(!left.await.unwrap());
}

#[tokio::test]
async fn an_error_that_a_job_keeps_to_itself_is_no_success() {
    let Some(database) = database() else { return };
    let store = Store::open(&Location::Server(server(&database.url)), 0).await.unwrap();
    let result = store
        .write(POINTS, |session| {
            session.execute("INSERT INTO source (name) VALUES ('kept')", &[])?;
            let _ = session.execute("INSERT INTO source (name) VALUES ('')", &[]);
            Ok(())
        })
        .await;
    assert!(matches!(result.unwrap_err().kind, StoreErrorKind::Refused(_)));
    assert!(!store.read(|session| session.exists("SELECT 1 FROM source", &[])).await.unwrap());
}

#[tokio::test]
async fn who_finds_no_free_connection_is_told_so_and_no_more_is_lost() {
    let Some(database) = database() else { return };
    let one = Server { connections: 1, wait: Duration::from_millis(100), ..server(&database.url) };
    let store = Arc::new(Store::open(&Location::Server(one), 0).await.unwrap());
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let slow = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let job = store.write(POINTS, move |session| {
                session.execute("INSERT INTO source (name) VALUES ('slow')", &[])?;
                let _ = begun.send(());
                let _ = held.recv();
                Ok(())
            });
            job.await
        }
    });
    begins.await.unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Exhausted { connections: 1, .. }), "{error:?}");
    assert!(error.is_transient() && error.hint().unwrap().contains("DATABASE_CONNECTIONS"), "{error}");
    release.send(()).unwrap();
    slow.await.unwrap().unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_job_that_panics_costs_neither_a_connection_nor_a_change_of_others() {
    let Some(database) = database() else { return };
    let one = Location::Server(Server { connections: 1, ..server(&database.url) });
    let folder = tempfile::tempdir().unwrap();
    for location in [one, Location::File(folder.path().join("catalog.db"))] {
        let store = Store::open(&location, 0).await.unwrap();
        let insert = |name: &'static str, fails: bool| {
            store.write(POINTS, move |session| {
                session.execute("INSERT INTO source (name) VALUES (?1)", &[name.into()])?;
                assert!(!fails, "thrown on purpose");
                Ok(())
            })
        };
        let (before, panics, after) =
            tokio::join!(insert("before", false), insert("half", true), insert("after", false));
        let error = panics.unwrap_err();
        assert_eq!((&error.kind, error.is_transient(), error.stops_run()), (&StoreErrorKind::Broke, false, false));
        assert_eq!(error.severity(), Severity::Permanent);
        assert_eq!((before.is_ok(), after.is_ok()), (true, true));
        // Nobody waits for what it had locked, though nothing more is asked of its connection.
        let done = insert("again", true).await.unwrap_err();
        assert_eq!(done.kind, StoreErrorKind::Broke);
        if let Location::Server(_) = location {
            let until = Instant::now() + Duration::from_secs(20);
            let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND state LIKE 'idle in transaction%'";
            while sql(&database.url, open)[0][0] != "0" {
                assert!(Instant::now() < until, "its transaction is still open");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let read = store
            .read(|session| session.query("SELECT name FROM source ORDER BY name", &[], |row| row.get::<String>(0)));
        assert_eq!(read.await.unwrap(), ["after", "before"]);
        let asks = store.read(|session| -> Result<(), _> {
            session.exists("SELECT 1", &[])?;
            panic!("thrown on purpose")
        });
        assert_eq!(asks.await.unwrap_err().kind, StoreErrorKind::Broke);
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let Some(database) = database() else { return };
    let hasty = Server { statement_timeout: Duration::from_millis(50), ..server(&database.url) };
    let store = Store::open(&Location::Server(hasty), 0).await.unwrap();
    let sleeps = |session: &parser::store::sql::Session<'_>| session.exists("SELECT pg_sleep(60)", &[]);
    let error = store.read(sleeps).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Conflict(_)) && error.is_transient(), "{error:?}");
    let patient = store.read(|session| {
        session.take_time()?;
        session.exists("SELECT pg_sleep(0.1)", &[])
    });
    assert!(patient.await.unwrap());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn more_rows_than_go_at_once_arrive_in_order() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    for place in [&sqlite, &postgres] {
        let store = place.store().await;
        let names: Vec<_> = (0..1_000).map(|n| format!("{n:04}")).collect();
        let ids = store
            .write(POINTS, move |session| {
                let rows = names.iter().map(|name| vec![parser::store::sql::Value::from(name)]);
                session.insert_many("INSERT INTO source (name) VALUES (?1) RETURNING id", rows)
            })
            .await
            .unwrap();
        let found: Vec<i64> = store
            .read(|session| {
                let mut nested = 0;
                let ids = session.query("SELECT id FROM source ORDER BY name", &[], |row| {
                    // Asking on while an answer is read.
                    nested += u32::from(session.exists("SELECT 1", &[])?);
                    row.get(0)
                })?;
                assert_eq!(nested, 1_000);
                Ok(ids)
            })
            .await
            .unwrap();
        assert_eq!(ids, found);
    }
}
