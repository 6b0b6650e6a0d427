//! Messages to the person, on standard error: plain lines, or one JSON object a line where the log is JSON, so that
//! whoever collects the log can read all of it.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

static JSON: AtomicBool = AtomicBool::new(false);

/// The log's own field names.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// From now on messages are JSON, or not.
pub(super) fn as_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Says what went wrong, and what to do.
pub(super) fn error(text: &str, hint: Option<&str>) {
    if JSON.load(Ordering::Relaxed) {
        return json("ERROR", text, hint);
    }
    write(&match hint {
        Some(hint) => format!("error: {text}\nhint: {hint}\n"),
        None => format!("error: {text}\n"),
    });
}

/// Says what did not go as it should, and costs nothing.
pub(super) fn warning(text: &str, hint: Option<&str>) {
    if JSON.load(Ordering::Relaxed) {
        return json("WARN", text, hint);
    }
    write(&match hint {
        Some(hint) => format!("warning: {text}\nhint: {hint}\n"),
        None => format!("warning: {text}\n"),
    });
}

/// Says something that is neither an error nor a result; each line is a message.
pub(super) fn say(text: &str) {
    if JSON.load(Ordering::Relaxed) {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| json("INFO", line, None));
    } else if !text.is_empty() {
        write(&format!("{}\n", text.trim_end_matches('\n')));
    }
}

fn json(level: &str, message: &str, hint: Option<&str>) {
    let line = Line { timestamp: format!("{:.6}", jiff::Timestamp::now()), level, message, hint };
    write(&(serde_json::to_string(&line).unwrap_or_default() + "\n"));
}

/// Nobody can be told that nobody can be told anything.
fn write(text: &str) {
    let _ = std::io::stderr().lock().write_all(super::harmless(text).as_bytes());
}
