//! Keeps the house in order: a layer names only layers below it, rooms of one line do not see each other, every file
//! says what it is for, and nothing prints outside the command line.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking and documents itself by its name")]

use std::path::{Path, PathBuf};

/// The layers, top to bottom. Rooms of one line do not see each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["server", "sandbox"],
    &["crawl", "bulk", "consume"],
    &["extract", "transform", "load"],
    &["backend"],
    &["store", "http", "broker", "checkpoint"],
    &["config", "observe"],
    &["model"],
    &["error"],
];

/// Files longer than this are two things.
const LONGEST_FILE: usize = 460;

fn rank(room: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&room))
}

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let room = relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (room, relative, text)
        })
        .collect()
}

/// Every room named by `crate::room` in a line of code.
fn named_rooms(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .map(|(at, prefix)| {
            line[at + prefix.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        })
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn a_layer_names_only_layers_below_it() {
    let mut faults = Vec::new();
    for (room, path, text) in sources() {
        if room == "main" || room == "lib" {
            continue;
        }
        let Some(own) = rank(&room) else {
            faults.push(format!("{}: `{room}` is not a room of the house", path.display()));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            assert!(!code.starts_with("use crate::{"), "{}: name rooms one by one", path.display());
            for named in named_rooms(code) {
                if named == room {
                    continue;
                }
                match rank(&named) {
                    Some(other) if other > own => {}
                    Some(_) => faults.push(format!("{}:{}: `{room}` names `{named}`", path.display(), number + 1)),
                    None => faults.push(format!("{}:{}: unknown room `{named}`", path.display(), number + 1)),
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_one_thing() {
    let mut faults = Vec::new();
    for (_, path, text) in sources() {
        if !text.starts_with("//!") {
            faults.push(format!("{}: no `//!` head", path.display()));
        }
        // Inline tests may make a file longer than its subject.
        let subject = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        if subject > LONGEST_FILE {
            faults.push(format!("{}: {subject} lines", path.display()));
        }
        if path.file_stem().is_some_and(|stem| matches!(stem.to_str(), Some("utils" | "helpers" | "common" | "misc"))) {
            faults.push(format!("{}: a name that says nothing", path.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn only_the_command_line_prints() {
    let mut faults = Vec::new();
    for (room, path, text) in sources() {
        if room == "cli" || room == "main" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if ["println!", "eprintln!", "print!(", "eprint!("].iter().any(|print| code.contains(print)) {
                faults.push(format!("{}:{}: {code}", path.display(), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A server that plans each statement anew does so for the check of every row's foreign key, too.
#[test]
fn no_session_has_its_statements_planned_anew() {
    let of = |(_, path, text): &(String, PathBuf, String)| {
        text.contains("plan_cache_mode").then(|| path.display().to_string())
    };
    let faults: Vec<_> = sources().iter().filter_map(of).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
