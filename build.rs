//! Tells the binary which commit it was built from.

use std::process::Command;

fn main() {
    let commit = std::env::var("PARSER_COMMIT").ok().or_else(|| {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    println!("cargo:rustc-env=PARSER_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rerun-if-env-changed=PARSER_COMMIT");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
}
