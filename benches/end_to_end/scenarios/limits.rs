//! Limits on: how much longer a crawl takes than its requests must take.
//!
//! The bound: the two phases follow each other, each waits for one service. Listing makes `k` requests to Kodik at
//! `r` a second, the titles phase makes `s` requests to Shikimori at 90 a minute (the tighter of its two windows in
//! the long run). The first request of each is free, so the bound is `(k - 1) / r + (s - 1) / 1.5` seconds.

use std::path::Path;

use super::{Sources, scratch};
use crate::options::Options;
use crate::report::{about, figure};

const TITLES: u64 = 1000;
const KODIK: f64 = 5.0;
const SHIKIMORI: f64 = 90.0 / 60.0;

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let sources = Sources::start(parser, TITLES, "off")?;
    let (mut ratios, mut last) = (Vec::new(), String::new());
    for _ in 0..options.runs {
        let settings = [("KODIK_RATE_LIMIT_RPS", "5")];
        let (cost, summary) = sources.crawl(parser, &scratch()?.join("limits"), &settings)?;
        let requests = |name: &str| {
            let services = summary["services"].as_array();
            let service = services.and_then(|all| all.iter().find(|service| service["service"] == name));
            service.and_then(|service| service["requests"].as_f64()).unwrap_or(f64::NAN)
        };
        let (kodik, shikimori) = (requests("kodik"), requests("shikimori"));
        let bound = (kodik - 1.0) / KODIK + (shikimori - 1.0) / SHIKIMORI;
        ratios.push(cost.wall.as_secs_f64() / bound);
        last = format!("{kodik} + {shikimori} requests, bound {bound:.2} s, wall {:.2} s", cost.wall.as_secs_f64());
    }
    about(
        &format!("limits on: {TITLES} titles, Kodik 5/s, Shikimori 5/s and 90/min: {last}"),
        &format!("-- limits --runs {}", options.runs),
    );
    figure("  wall time over the bound", ratios, "", Some(1.03));
    Ok(())
}
