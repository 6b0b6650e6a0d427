//! The disk of the store is full in mid-file: nothing is half in, the command says so and how to go on, and when there
//! is space again it does.

use crate::cluster::{self, Cluster};
use crate::disk::SmallDisk;
use crate::tables::lines;
use crate::world::{Done, World, generated};

/// A store on a small disk, and a way to ask it.
struct Place {
    world: World,
    /// What `--into env:STORE` means.
    store: String,
    disk: SmallDisk,
    /// It ends before its disk goes.
    cluster: Option<Cluster>,
}

impl Place {
    fn sqlite() -> Option<Self> {
        let disk = SmallDisk::mount()?;
        let store = format!("sqlite:{}", disk.space().join("catalog.db").display());
        Some(Self { world: World::new(), store, disk, cluster: None })
    }

    fn postgres() -> Option<Self> {
        let disk = SmallDisk::mount()?;
        let cluster = Cluster::start()?;
        Some(Self { world: World::new(), store: cluster.database_on(&disk), disk, cluster: Some(cluster) })
    }

    fn import(&self, args: &[&str]) -> Done {
        let args = [args, &["--into", "env:STORE"]].concat();
        Done(self.world.import(&args, &[("STORE", &self.store)]).output().unwrap())
    }

    /// The columns of one row, joined by `|`.
    fn ask(&self, sql: &str) -> String {
        if self.cluster.is_some() {
            return cluster::sql(&self.store, sql)[0].join("|");
        }
        let file = rusqlite::Connection::open(self.store.strip_prefix("sqlite:").unwrap()).unwrap();
        let mut statement = file.prepare(sql).unwrap();
        let columns = statement.column_count();
        statement
            .query_row([], |row| {
                let cells = (0..columns).map(|at| match row.get_ref(at).unwrap() {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str().unwrap().to_owned(),
                });
                Ok(cells.collect::<Vec<_>>().join("|"))
            })
            .unwrap()
    }

    /// Imports a file that is too large for so many MiB; how many rows are in.
    fn fills(&self, left: u64, args: &[&str], count: &str) -> u64 {
        self.disk.fill_but(left << 20);
        let full = self.import(args);
        assert_eq!(full.code(), Some(4), "{}", full.said());
        for text in ["no space left to write", "hint: free some space on the disk", "parser import --resume"] {
            assert!(full.said().contains(text), "{text}: {}", full.said());
        }
        let last = "SELECT status FROM import_record ORDER BY number DESC LIMIT 1";
        assert_eq!(self.ask(last), "started", "it can be gone on with");
        let pieces = "SELECT coalesce(CAST(sum(inserted) AS bigint), 0) FROM bulk_piece WHERE batch = (SELECT max(number) FROM import_batch)";
        let said = self.ask(pieces).parse().unwrap();
        assert_eq!(self.ask(count), format!("{}", said + 1), "what is said to be in is in, and nothing else");
        self.disk.free();
        said
    }
}

fn nodes_go_on(place: Option<Place>) {
    let Some(place) = place else { return };
    let args = ["users.csv", "--kind", "nodes", "--domain", "d", "--batch-size", "500", "--workers", "2"];
    // The tables are made while there is space.
    place.world.write("users.csv", "id,group,a,b\nfirst,g,1,2\n");
    place.import(&args).file(0);
    place.world.write("users.csv", generated(12_000));
    let kept = place.fills(2, &args, "SELECT count(*) FROM nodes");
    assert!((1..12_000).contains(&kept), "{kept}");
    let whole = "SELECT count(*) FROM (SELECT 1 FROM nodes n JOIN node_metadata m ON m.node_id = n.id GROUP BY n.id HAVING count(*) = 2) x";
    assert_eq!(place.ask(whole), format!("{}", kept + 1), "no node is without its metadata");
    let resumed = place.import(&[&args[..], &["--resume"]].concat());
    assert_eq!(resumed.counts(0), "COMPLETED 12000 12000 0 0 0 0");
    assert_eq!(place.ask("SELECT count(*), count(DISTINCT reference_id) FROM nodes"), "12001|12001");
    assert_eq!(place.ask("SELECT count(*) FROM node_metadata"), "24002");
    assert_eq!(place.ask("SELECT count(*), min(status), max(status) FROM import_record"), "2|completed|completed");
}

/// A file of so many rows where so many MiB are left.
fn tables_go_on(place: Option<Place>, (rows, left): (usize, u64), atomic: &[&str]) {
    let Some(place) = place else { return };
    place.world.write("t.jsonl", lines(100_000, 100_001));
    place.import(&["t.jsonl"]).file(0);
    place.world.write("t.jsonl", lines(0, rows));
    let args = [&["t.jsonl"], atomic].concat();
    let kept = place.fills(left, &args, "SELECT count(*) FROM t");
    assert!(if atomic.is_empty() { kept == 0 } else { (1..rows as u64).contains(&kept) }, "{kept}");
    let resumed = place.import(&[&args[..], &["--resume"]].concat());
    assert_eq!(resumed.counts(0), format!("COMPLETED {rows} {rows} 0 0 0 0"));
    assert_eq!(place.ask("SELECT count(*), min(_key), max(_key) FROM t"), format!("{}|0|100000", rows + 1));
    assert_eq!(place.ask("SELECT count(*), min(status), max(status) FROM import_record"), "2|completed|completed");
}

const BATCHES: &[&str] = &["--atomic", "batch", "--batch-size", "2000"];

#[test]
fn nodes_in_a_file_go_on_when_there_is_space_again() {
    nodes_go_on(Place::sqlite());
}

#[test]
fn nodes_on_a_server_go_on_when_there_is_space_again() {
    nodes_go_on(Place::postgres());
}

#[test]
fn tables_in_a_file_go_on_when_there_is_space_again() {
    tables_go_on(Place::sqlite(), (30_000, 2), &[]);
    tables_go_on(Place::sqlite(), (30_000, 2), BATCHES);
}

#[test]
fn tables_on_a_server_go_on_when_there_is_space_again() {
    tables_go_on(Place::postgres(), (30_000, 2), &[]);
    // What is staged before it is merged needs room, too.
    tables_go_on(Place::postgres(), (60_000, 5), BATCHES);
}
