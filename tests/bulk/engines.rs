//! The same file on both engines leaves the same nodes and the same counts.

use std::sync::Arc;

use parser::backend::imports::{BulkBegin, Imports, Limits};
use parser::bulk::nodes::{Options, Progress, Summary, import};
use parser::config::{Layers, Needs, Settings};
use parser::model::{ImportFormat, NodesOptions, RowCounts};
use parser::store::objects::{ObjectUrl, Sources};
use parser::store::{Location, Server, Store};
use tokio::sync::watch;

use crate::cluster;
use crate::world::{NODES, World, generated};

struct Silent;

impl Progress for Silent {
    fn at(&self, _: &RowCounts, _: u64, _: Option<u64>) {}
}

async fn load(store: &Arc<Store>, world: &World, name: &str) -> Summary {
    let settings = Settings::load(&Layers::from_environment([]), Needs::default()).unwrap();
    let sources = Sources::unrestricted(&settings.objects).unwrap();
    let url = ObjectUrl::parse(world.path(name).to_str().unwrap()).unwrap();
    let nodes = NodesOptions { domain: "d".to_owned(), group: None, refs: false, known_groups: false };
    let imports = Imports::new(Arc::clone(store), Limits::default(), None);
    let new = BulkBegin {
        format: ImportFormat::Nodes,
        options: None,
        source: "test".to_owned(),
        processor: String::new(),
        files: vec![url.whole()],
        piece_rows: 100,
        resume: false,
    };
    let begun = imports.begin_bulk(new).await.unwrap();
    let options = Options { url: Some(url), nodes, in_flight: 8, max_errors: None, max_row: 1 << 20, batch: 100 };
    let (_keep, stop) = watch::channel(false);
    import(&imports, &sources, &begun.files[0], &options, &Silent, stop).await.unwrap()
}

fn counts(summary: &Summary) -> (String, RowCounts) {
    (format!("{:?} {:?}", summary.status, summary.reason), summary.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_take_the_same_file_alike() {
    let world = World::new();
    let hostile = "u1,g0,,\"'; DROP TABLE nodes; --\",\\N\nu2,g0,x,\"a\\\"\"b\t\\x41 %s \u{1F600}\",{}\nu2,g0,bot,again,\"[\"\"]\"\n,g0,,,\n\
                   u3,g0,,\u{202e}\u{feff},NULL\nü,g0,,\\\\,\u{7f}\n";
    world.write("first.csv", generated(2000));
    world.write("second.csv", format!("user_id,group,type,Full Name,City\n{hostile}"));
    std::fs::create_dir(world.path("state")).unwrap();
    let file = Arc::new(Store::open(&Location::File(world.path("state/catalog.db")), 0).await.unwrap());
    let names = ["first.csv", "second.csv", "first.csv"];
    let mut on_file = Vec::new();
    for name in names {
        on_file.push(counts(&load(&file, &world, name).await));
    }
    let nodes = world.nodes();
    assert!(nodes.iter().any(|node| node == "g0|u2|BOT|city|[\"]"), "{nodes:?}");
    let Some(database) = cluster::database() else { return };
    let server = Location::Server(Server::new(database.url.clone().into()));
    let server = Arc::new(Store::open(&server, 0).await.unwrap());
    for (name, expected) in names.iter().zip(&on_file) {
        assert_eq!(counts(&load(&server, &world, name).await), *expected, "{name}");
    }
    let ordered = NODES.replace(
        "ORDER BY g.name, n.reference_id, m.metadata_key",
        "ORDER BY g.name COLLATE \"C\", n.reference_id COLLATE \"C\", m.metadata_key COLLATE \"C\"",
    );
    let found: Vec<String> = cluster::sql(&database.url, &ordered).into_iter().map(|row| row.join("|")).collect();
    let expected: Vec<_> = nodes.iter().map(|node| node.replace("|NULL|NULL", "||")).collect();
    assert_eq!(found, expected);
    // A row that this server refuses does not cost its neighbours either.
    cluster::sql(
        &database.url,
        "ALTER TABLE nodes ADD CONSTRAINT picky CHECK (reference_id NOT IN ('w7', 'w42')) NOT VALID",
    );
    world.write("third.csv", generated(60).replace("\nu", "\nw"));
    let summary = load(&server, &world, "third.csv").await;
    assert_eq!((summary.rows.inserted, summary.rows.failed), (58, 2), "{summary:?}");
}

#[test]
fn the_command_imports_into_a_server_and_goes_on_there() {
    let Some(database) = cluster::database() else { return };
    let world = World::new();
    world.write("users.csv", generated(1000));
    let args = ["users.csv", "--batch-size", "50", "--into", "env:DATABASE"];
    let env = ("DATABASE", database.url.as_str());
    for point in ["nodes.batch.before_commit=7", "nodes.batch.after_commit=4", "bulk.end.before_commit=1"] {
        let args = [&args[..], &["--resume"]].concat();
        let killed = world.run_with(&args, &[env, ("PARSER_CRASH_AT", point)]);
        assert_eq!(killed.code(), None, "{point}: {}", killed.said());
    }
    let done = world.run_with(&[&args[..], &["--resume"]].concat(), &[env]);
    assert_eq!(done.counts(0), "COMPLETED 1000 1000 0 0 0 0");
    assert_eq!(world.run_with(&args, &[env]).counts(0), "COMPLETED 1000 0 0 1000 0 0");
    let batches = "SELECT status, records, completed, unchanged FROM import_batch ORDER BY number";
    let batches = cluster::sql(&database.url, batches);
    assert_eq!(batches, [["completed", "1000", "1000", "0"], ["completed", "1000", "0", "1000"]]);
    assert!(!world.path("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_equal_keys_wins_over_all_batches() {
    let Some(database) = cluster::database() else { return };
    let world = World::new();
    let rows = (0..6000).map(|row| format!("u{},g,{row}\n", row % 70));
    world.write("users.csv", "id,group,value\n".to_owned() + &rows.collect::<String>());
    let server = Location::Server(Server::new(database.url.clone().into()));
    let server = Arc::new(Store::open(&server, 0).await.unwrap());
    let summary = load(&server, &world, "users.csv").await;
    assert_eq!((summary.rows.total(), summary.rows.inserted), (6000, 70), "{summary:?}");
    let lowest = "SELECT min(CAST(metadata_value AS int)), count(*) FROM node_metadata";
    assert_eq!(cluster::sql(&database.url, lowest), [["5930", "70"]]);
}
