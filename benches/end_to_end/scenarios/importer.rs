//! The catalogue importer alone: `parser process` on staged series, and on staged releases with ten episodes each.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::options::Options;
use crate::process::Cost;
use crate::report::{about, figure, float, mebibytes, milliseconds};
use crate::served::{Place, release, series};

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let each = (options.records / 2).max(1);
    for engine in options.engines() {
        let (mut ofs, mut databases) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for _ in 0..options.backend_runs {
            let place = Place::new(engine)?;
            let served = place.serve(parser)?;
            served.import("later", (0..each).flat_map(|at| [series(at), release(at)]))?;
            drop(served);
            for (nth, kind) in ["series", "release"].into_iter().enumerate() {
                let before = place.database_cpu()?;
                let cost = place.measure(parser, &["process", kind, "--json"])?;
                let outcome: Value = serde_json::from_str(&cost.output)?;
                ensure!(outcome["jobs"][0]["written"] == each, "{outcome}");
                databases[nth].push(1000.0 * milliseconds(place.database_cpu()?.saturating_sub(before)) / float(each));
                ofs[nth].push(cost);
            }
        }
        for (nth, kind) in ["series", "releases of 10 episodes"].into_iter().enumerate() {
            let costs = ofs.get(nth).context("two kinds")?;
            let of = |value: &dyn Fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<_>>();
            about(
                &format!("catalogue importer, {}, {each} staged {kind}", engine.name()),
                &options.command("importer", engine),
            );
            figure("  records a second", of(&|cost| float(each) / cost.wall.as_secs_f64()), "1/s", None);
            figure("  CPU a record", of(&|cost| 1000.0 * milliseconds(cost.cpu) / float(each)), "µs", None);
            if engine == crate::served::Engine::Postgres {
                figure("  CPU of PostgreSQL a record", databases[nth].clone(), "µs", None);
            }
            figure("  peak memory", of(&|cost| mebibytes(cost.peak)), "MiB", None);
        }
    }
    Ok(())
}
