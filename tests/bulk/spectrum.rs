//! csv-spectrum, a public collection of CSV files with what they mean, read by our reader.
//!
//! Expected otherwise than it says: in `location_coordinates`, the only file that is not UTF-8, the telephone number, of
//! which the package has two.

use std::path::Path;

use parser::bulk::{Row, Rows};
use serde_json::Value;

fn cells(row: Row) -> Vec<String> {
    let Row::Fields { text, ends, .. } = row else { panic!("{row:?} is no row") };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| String::from_utf8_lossy(&text[start..*end]).into_owned()).collect()
}

#[test]
fn every_file_means_what_its_authors_say() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/csv-spectrum");
    if !home.join("version.txt").exists() {
        assert!(std::env::var_os("CI").is_none(), "csv-spectrum is missing: .ci/csv-spectrum.sh fetches it");
        println!("skipped: csv-spectrum is missing (.ci/csv-spectrum.sh fetches it)");
        return;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(home.join("csvs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let said = std::fs::read(home.join("json").join(format!("{name}.json"))).unwrap();
        let said: Value = serde_json::from_str(&String::from_utf8_lossy(&said)).unwrap();
        let said = if said.is_array() { said } else { Value::Array(vec![said]) };
        let said: Value = serde_json::from_str(&said.to_string().replace("1234567890", "2095257564")).unwrap();
        let mut rows = Rows::new(1 << 20);
        rows.push(&std::fs::read(&path).unwrap());
        rows.end();
        let names = cells(rows.take().unwrap());
        let mut found = Vec::new();
        while let Some(row) = rows.take() {
            let pairs = names.iter().cloned().zip(cells(row).into_iter().map(Value::String));
            found.push(Value::Object(pairs.collect()));
        }
        assert_eq!(Value::Array(found), said, "{name}");
        seen += 1;
    }
    assert!(seen >= 12, "{seen} files");
}
