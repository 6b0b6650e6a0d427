//! How long readers of the public API wait while an import is going on, beside how long they wait when none is.
//!
//! Two connections ask one thing after the other: a page of the list, one series, its episodes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::client::JSON;
use crate::options::Options;
use crate::report::{about, figure, float, milliseconds};
use crate::served::{Place, Served, release, series};

const READERS: u64 = 2;
/// Titles that are there before.
const TITLES: u64 = 1_000;
/// Requests of each reader while nothing else goes on.
const QUIET: usize = 3_000;

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let titles = TITLES.min(options.records);
    for engine in options.engines() {
        let mut found = [const { Vec::new() }; 4];
        for _ in 0..options.backend_runs {
            let place = Place::new(engine)?;
            let served = place.serve(parser)?;
            served.import("now", (0..titles).flat_map(|at| [series(at), release(at)]))?;
            let quiet = read(&served, titles, |reads| reads >= QUIET.min(usize::try_from(titles).unwrap_or(QUIET)))?;
            let done = AtomicBool::new(false);
            let busy = std::thread::scope(|scope| {
                let importing = scope.spawn(|| {
                    let imported = served.import("now", (titles..titles + options.records).map(series));
                    done.store(true, Ordering::SeqCst);
                    imported
                });
                let waits = read(&served, titles, |_| done.load(Ordering::SeqCst))?;
                importing.join().map_err(|_| anyhow::anyhow!("the import panicked"))??;
                anyhow::Ok(waits)
            })?;
            for (into, value) in found.iter_mut().zip([
                milliseconds(percentile(&quiet, 99)?),
                milliseconds(percentile(&busy, 50)?),
                milliseconds(percentile(&busy, 99)?),
                float(busy.len() as u64),
            ]) {
                into.push(value);
            }
        }
        about(
            &format!("reads during an import, {}, {} records come in", engine.name(), options.records),
            &options.command("reads", engine),
        );
        let [quiet, half, most, count] = found;
        figure("  p99 of a read, no import", quiet, "ms", None);
        figure("  p50 of a read during an import", half, "ms", None);
        figure("  p99 of a read during an import", most, "ms", None);
        figure("  reads that this is of", count, "", None);
    }
    Ok(())
}

/// Reads until a reader has read `enough`; how long each read took, shortest first.
fn read(served: &Served, titles: u64, enough: impl Fn(usize) -> bool + Sync) -> anyhow::Result<Vec<Duration>> {
    let enough = &enough;
    let mut all = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn(move || {
                    let mut client = served.client()?;
                    let mut waits = Vec::new();
                    for turn in (reader * 7..).step_by(13) {
                        if enough(waits.len()) && !waits.is_empty() {
                            break;
                        }
                        let title = turn % titles;
                        let path = match turn % 3 {
                            0 => format!("/api/v1/anime?limit=20&skip={title}&sort=title"),
                            1 => format!("/api/v1/anime/title-{title}"),
                            _ => format!("/api/v1/anime/title-{title}/episodes"),
                        };
                        let asked = Instant::now();
                        let answer = client.ask("GET", &path, JSON, b"")?;
                        waits.push(asked.elapsed());
                        ensure!(answer.len() > 2, "{path}: nothing");
                    }
                    anyhow::Ok(waits)
                })
            })
            .collect();
        let mut all = Vec::new();
        for reader in readers {
            all.extend(reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    all.sort();
    Ok(all)
}

fn percentile(sorted: &[Duration], percent: usize) -> anyhow::Result<Duration> {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().ok_or_else(|| anyhow::anyhow!("nobody has read"))
}
