//! Memory beside a very large staging table: of the server while it fills, and of `parser process` when it is full. Flat
//! means that a hundred times as many rows cost no more.

use std::path::Path;

use anyhow::ensure;
use serde_json::Value;

use crate::options::Options;
use crate::report::{about, figure, float, line, mebibytes};
use crate::served::{Place, series};

/// Records that the importer takes out of it.
const TAKEN: u64 = 2_000;

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let rows = options.staged;
    for engine in options.engines() {
        let place = Place::new(engine)?;
        // One run: it is long, and memory does not scatter as times do.
        let few = (rows / 100).max(1);
        let mut servers = Vec::new();
        let mut commands = Vec::new();
        let mut seconds = Vec::new();
        let mut way = Vec::new();
        for range in [0..few, few..rows] {
            let served = place.serve(parser)?;
            let started = std::time::Instant::now();
            let count = range.end - range.start;
            served.import_watched("later", range.map(series), || {
                way.push(served.helper.memory()?.0);
                Ok(())
            })?;
            seconds.push(float(count) / started.elapsed().as_secs_f64());
            servers.push(mebibytes(served.helper.memory()?.1));
            drop(served);
            let take = TAKEN.min(few / 2).max(1);
            let cost = place.measure(parser, &["process", "series", "--limit", &take.to_string(), "--json"])?;
            let outcome: Value = serde_json::from_str(&cost.output)?;
            ensure!(outcome["jobs"][0]["written"] == take, "{outcome}");
            commands.push(mebibytes(cost.peak));
        }
        about(&format!("staging, {}, {rows} rows", engine.name()), &options.command("staged", engine));
        let told = |name: &str, values: &[f64], unit: &str| {
            for (value, rows) in values.iter().zip([few, rows]) {
                figure(&format!("  {name}, {rows} rows"), vec![*value], unit, None);
            }
        };
        told("peak memory of the server", &servers, "MiB");
        told("peak memory of `parser process`", &commands, "MiB");
        figure("  records staged a second", seconds.split_off(1), "1/s", None);
        let step = (way.len() / 10).max(1);
        let way: Vec<_> = way.iter().step_by(step).map(|bytes| format!("{:.1}", mebibytes(*bytes))).collect();
        line(&format!("  memory of the server while it works (MiB)  {}", way.join(" ")));
    }
    Ok(())
}
