//! Records through the imports API: one batch of JSON lines, from its first byte to the end of the import.

use std::path::Path;

use crate::options::Options;
use crate::report::{about, figure, float, milliseconds};
use crate::served::{Engine, Place, Spent, series, spent};

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let records = options.records;
    for engine in options.engines() {
        let mut costs = Vec::new();
        for _ in 0..options.backend_runs {
            let place = Place::new(engine)?;
            let served = place.serve(parser)?;
            costs.push(spent(&place, &served, || served.import("now", (0..records).map(series)))?);
        }
        about(
            &format!("imports API, {}, one batch of {records} JSON lines", engine.name()),
            &options.command("imports", engine),
        );
        told(engine, &costs, float(records), "record");
    }
    Ok(())
}

/// Rate, CPU of the server, CPU of its database.
pub(super) fn told(engine: Engine, costs: &[Spent], count: f64, unit: &str) {
    let of = |value: &dyn Fn(&Spent) -> f64| costs.iter().map(value).collect::<Vec<_>>();
    figure(&format!("  {unit}s a second"), of(&|cost| count / cost.wall.as_secs_f64()), "1/s", None);
    figure(
        &format!("  CPU of the server a {unit}"),
        of(&|cost| 1000.0 * milliseconds(cost.server) / count),
        "µs",
        None,
    );
    if engine == Engine::Postgres {
        let name = format!("  CPU of PostgreSQL a {unit}");
        figure(&name, of(&|cost| 1000.0 * milliseconds(cost.database) / count), "µs", None);
    }
}
