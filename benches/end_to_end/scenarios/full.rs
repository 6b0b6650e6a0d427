//! A full crawl of a generated catalogue with all limits off: what a title costs.

use std::path::Path;

use super::{Sources, UNLIMITED, scratch};
use crate::backend::Backend;
use crate::options::{Options, Scenario};
use crate::report::{about, figure, float, line, mebibytes, milliseconds};

pub(crate) fn run(parser: &Path, scenario: Scenario, options: &Options) -> anyhow::Result<()> {
    let titles = options.titles;
    let (name, goal) = if scenario == Scenario::Contract { ("contract", 1.5) } else { ("embedded", 0.5) };
    let sources = Sources::start(parser, titles, "off")?;
    let (mut costs, mut posts, mut extracted) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.runs {
        let backend = (scenario == Scenario::Contract).then(Backend::start).transpose()?;
        let mut settings = UNLIMITED.to_vec();
        if let Some(backend) = &backend {
            settings.extend([("BACKEND_BASE_URL", backend.url.as_str()), ("INTERNAL_TOKEN", "benchmark")]);
        }
        let state = scratch()?.join(name);
        let (cost, summary) = sources.crawl(parser, &state, &settings)?;
        extracted = summary["titles"]["extracted"].as_u64().unwrap_or(0);
        if let Some(backend) = backend {
            posts.push(float(backend.posts()?) / float(titles));
        }
        costs.push(cost);
    }
    let per_title = float(titles);
    let of = |value: &dyn Fn(&crate::process::Cost) -> f64| costs.iter().map(value).collect::<Vec<_>>();
    about(
        &format!("{name}: {titles} titles, {extracted} outcomes"),
        &format!("-- {name} --titles {titles} --runs {}", options.runs),
    );
    figure("  CPU a title", of(&|cost| milliseconds(cost.cpu) / per_title), "ms", Some(goal));
    figure("  of it in the kernel", of(&|cost| milliseconds(cost.system) / per_title), "ms", None);
    figure("  titles a second", of(&|cost| per_title / cost.wall.as_secs_f64()), "1/s", None);
    figure("  peak memory", of(&|cost| mebibytes(cost.peak)), "MiB", Some(40.0));
    if !posts.is_empty() {
        figure("  POSTs a title", posts, "", None);
    }
    if let Some(cost) = costs.last() {
        let way: Vec<_> = cost.memory.iter().map(|bytes| format!("{:.1}", mebibytes(*bytes))).collect();
        line(&format!("  memory on the way (MiB)  {}", way.join(" ")));
    }
    Ok(())
}
