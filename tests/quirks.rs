//! Keeps `fixtures/quirks.md` honest: 36 rows, and every proof exists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn every_quirk_has_a_proof_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("fixtures/quirks.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<_>>());
    for row in rows {
        let proof = row[3].trim_matches('`');
        match proof.split_once("::") {
            Some((file, test)) => {
                let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{file} is not there"));
                assert!(text.contains(&format!("fn {test}(")), "{file} has no test `{test}`");
            }
            None => assert!(root.join(proof).is_file(), "{proof} is not there"),
        }
    }
}
