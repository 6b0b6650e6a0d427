//! Schemathesis against a running server: requests made from the description, good and bad, and every check it has.
//!
//! `.ci/schemathesis.sh` installs it; without it this test says so and passes, except under `CI=true`.

use std::path::Path;
use std::process::Command;

use super::world::{Served, TOKEN};

/// Requests for each operation and phase: enough to meet every rule of the description, few enough for a minute.
const EXAMPLES: &str = "12";

#[test]
fn schemathesis_finds_nothing() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/schemathesis/bin/st");
    if !program.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "run .ci/schemathesis.sh first");
        eprintln!("SKIPPED: Schemathesis is not installed; .ci/schemathesis.sh does that");
        return;
    }
    let served = Served::new();
    let url = format!("http://{}/openapi.json", served.address);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["run", &url, "--checks", "all", "--seed", "20", "--max-examples", EXAMPLES])
        .args(["--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "30"])
        .args(["--header", &format!("X-Internal-Token: {TOKEN}")])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("No issues found"), "{said}");
    assert!(!served.log().contains("ERROR"), "the server failed without telling");
}
