//! `parser groups`: on the embedded file and on a server.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::cluster;
use crate::world::World;

fn command(world: &World, url: Option<&str>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
    command.arg("groups").args(args).current_dir(world.path("")).env_clear();
    command.envs(url.map(|url| ("DATABASE_URL", url)));
    command
}

fn groups(world: &World, url: Option<&str>, args: &[&str]) -> Output {
    command(world, url, args).output().unwrap()
}

fn told(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn are_made_once_and_listed_in_order(url: Option<&str>) {
    let world = World::new();
    let made = |args: &[&str]| told(&groups(&world, url, &[&["add", "--json", "--domain"], args].concat()));
    assert_eq!(made(&["b", "two", "one", "two"]), json!({ "made": ["one", "two"], "known": [] }));
    assert_eq!(made(&["b", "two", "three"]), json!({ "made": ["three"], "known": ["two"] }));
    assert_eq!(made(&["a", "two"]), json!({ "made": ["two"], "known": [] }));
    let listed = |args: &[&str]| {
        let listed = told(&groups(&world, url, &[&["list", "--json"], args].concat()));
        let name = |one: &Value| format!("{}/{}", one["domain"].as_str().unwrap(), one["group"].as_str().unwrap());
        listed["groups"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["a/two", "b/one", "b/three", "b/two"]);
    assert_eq!(listed(&["--domain", "b"]), ["b/one", "b/three", "b/two"]);
    assert_eq!(listed(&["--domain", "c"]), Vec::<String>::new());
    // Killed before, none of them is there; killed after, all are.
    for (point, there) in [("groups.before_commit", 0), ("groups.after_commit", 2)] {
        let mut killed = command(&world, url, &["add", "--domain", "c", "one", "two"]);
        let killed = killed.env("PARSER_CRASH_AT", format!("{point}=1")).output().unwrap();
        assert_eq!((killed.status.code(), listed(&["--domain", "c"]).len()), (None, there), "{point}");
    }
    let shown = groups(&world, url, &["list"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.lines().count() == 10 && shown.contains("three"), "{shown}");
    for wrong in ["", " x", &"x".repeat(513)] {
        let refused = groups(&world, url, &["add", "--domain", "b", wrong]);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {refused:?}");
    }
    // More than are read at once.
    let many: Vec<_> = (0..1200).map(|number| format!("g{number}")).collect();
    let args: Vec<_> = ["add", "--domain", "many"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let done = groups(&world, url, &args);
    assert!(String::from_utf8_lossy(&done.stderr).contains("1200 made, 0 were there already"), "{done:?}");
    assert_eq!(listed(&["--domain", "many"]).len(), 1200);
}

#[test]
fn groups_of_the_embedded_file_are_made_once_and_listed_in_order() {
    are_made_once_and_listed_in_order(None);
}

#[test]
fn groups_on_a_server_are_made_once_and_listed_in_order() {
    let Some(database) = cluster::database() else { return };
    are_made_once_and_listed_in_order(Some(&database.url));
}
