//! Output: figures go to standard output, one line each, so that two runs can be compared with `diff`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::time::Duration;

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

/// A figure with the goal it is held against.
pub(crate) fn figure(name: &str, mut values: Vec<f64>, unit: &str, goal: Option<f64>) {
    let all = values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(" ");
    values.sort_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let verdict = goal
        .map_or(String::new(), |goal| format!("   goal ≤ {goal}: {}", if median <= goal { "met" } else { "MISSED" }));
    println!("{name:<44} {median:>10.3} {unit:<6} [{all}]{verdict}");
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
