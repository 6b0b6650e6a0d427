//! Output: figures go to standard output, one line each, so that two runs can be compared with `diff`, and in the end all of
//! them once more as rows of the table in `benches/README.md`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// What is measured at the moment, and all rows so far.
static TABLE: Mutex<(String, String, Vec<String>)> = Mutex::new((String::new(), String::new(), Vec::new()));

pub(crate) fn line(text: &str) {
    println!("{text}");
}

pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

pub(crate) fn heading(parser: &Path) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("program {}, {cores} cores", parser.display());
    println!("{:<44} {:>14}   {:<10}", "figure", "median", "all runs");
}

/// The figures that follow are about this, and this command measures them.
pub(crate) fn about(title: &str, command: &str) {
    line(title);
    if let Ok(mut table) = TABLE.lock() {
        (table.0, table.1) = (title.to_owned(), command.to_owned());
    }
}

/// All figures as a table.
pub(crate) fn table() {
    if let Ok(table) = TABLE.lock() {
        println!("\n| figure | command | measured | goal |\n|---|---|---|---|");
        table.2.iter().for_each(|row| println!("{row}"));
    }
}

/// A figure with the goal it is held against.
pub(crate) fn figure(name: &str, mut values: Vec<f64>, unit: &str, goal: Option<f64>) {
    let all = values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(" ");
    values.sort_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let verdict = goal
        .map_or(String::new(), |goal| format!("   goal ≤ {goal}: {}", if median <= goal { "met" } else { "MISSED" }));
    println!("{name:<44} {median:>10.3} {unit:<6} [{all}]{verdict}");
    let Ok(mut table) = TABLE.lock() else { return };
    let goal = goal.map_or(String::new(), |goal| {
        let over = if median <= goal { "met".to_owned() } else { format!("missed by {}", short(median - goal)) };
        format!("{goal} {unit}: {over}")
    });
    let runs = if values.len() < 2 {
        String::new()
    } else {
        format!(" ({})", values.iter().map(|v| short(*v)).collect::<Vec<_>>().join(", "))
    };
    let (title, command) = (&table.0, &table.1);
    let row = format!("| {title}: {} | `{command}` | {} {unit}{runs} | {goal} |", name.trim(), short(median));
    table.2.push(row);
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes far below 2^52")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / (1024.0 * 1024.0)
}
