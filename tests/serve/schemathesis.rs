//! Schemathesis against a running server: requests made from the description, good and bad, and every check it has.
//!
//! `.ci/schemathesis.sh` installs it; without it this test says so and passes, except under `CI=true`.

use std::path::Path;
use std::process::Command;

use super::openapi::document;
use super::world::{Served, TOKEN};

/// Requests for each operation and phase: enough to meet every rule of the description, few enough for a minute.
const EXAMPLES: &str = "6";

#[test]
fn schemathesis_finds_nothing() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/schemathesis/bin/st");
    if !program.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "run .ci/schemathesis.sh first");
        eprintln!("SKIPPED: Schemathesis is not installed; .ci/schemathesis.sh does that");
        return;
    }
    let served = Served::new();
    let url = format!("http://{}", served.address);
    let folder = tempfile::tempdir().unwrap();
    let mut described = document(&served);
    for operation in described["paths"]
        .as_object_mut()
        .unwrap()
        .values_mut()
        .flat_map(|item| item.as_object_mut().unwrap().values_mut())
    {
        // It cannot write JSON lines.
        if let Some(types) = operation.pointer_mut("/requestBody/content").and_then(serde_json::Value::as_object_mut) {
            types.remove("application/x-ndjson");
        }
    }
    std::fs::write(folder.path().join("openapi.json"), described.to_string()).unwrap();
    let output = Command::new(program)
        .args(["run", "openapi.json", "--url", &url, "--checks", "all", "--seed", "20", "--max-examples", EXAMPLES])
        .args(["--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "30"])
        // It reads events until they end, which those of an open import never do.
        .args(["--exclude-operation-id", "watchImport"])
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
