//! Crash points for tests: the process dies, without unwinding or flushing anything, at the n-th passing of a named
//! point. Without the feature `fail/failpoints` (in every build but that of the tests) there is nothing here.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `name=n`, n from 1.
const VARIABLE: &str = "PARSER_CRASH_AT";

/// Arms the point that the environment names.
pub(super) fn install() {
    if !fail::has_failpoints() {
        return;
    }
    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let armed = wanted.split_once('=').and_then(|(name, hit)| Some((name, hit.parse().ok()?)));
    let result = armed.ok_or_else(|| "not `name=n`".to_owned()).and_then(|(name, hit)| arm(name, hit));
    if let Err(reason) = result {
        super::messages::say(&format!("warning: {VARIABLE} `{wanted}`: {reason}"));
    }
}

fn arm(name: &str, hit: usize) -> Result<(), String> {
    let passed = AtomicUsize::new(0);
    fail::cfg_callback(name, move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 == hit {
            std::process::abort();
        }
    })
}
