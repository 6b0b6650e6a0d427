//! Calls of the import contract on connections that stay open, as an existing crawler makes them: for each title its
//! series, its ten episodes in one call, and ten links, one call each. Titles go side by side, the calls of one do not.

use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};

use super::imports::told;
use crate::options::Options;
use crate::report::{about, float};
use crate::served::{Place, Served, spent};

const CONNECTIONS: u64 = 16;
const EPISODES: u64 = 10;
/// Series, episodes, one for each link.
const CALLS: u64 = 2 + EPISODES;

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let titles = (options.records / CALLS).max(CONNECTIONS);
    for engine in options.engines() {
        let mut costs = Vec::new();
        for _ in 0..options.backend_runs {
            let place = Place::new(engine)?;
            let served = place.serve(parser)?;
            costs.push(spent(&place, &served, || load(&served, titles))?);
        }
        let calls = titles * CALLS;
        about(
            &format!("contract endpoints, {}, {calls} calls on {CONNECTIONS} connections", engine.name()),
            &options.command("calls", engine),
        );
        told(engine, &costs, float(calls), "call");
    }
    Ok(())
}

fn load(served: &Served, titles: u64) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let loads: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || connection(served, first, titles))).collect();
        for load in loads {
            load.join().map_err(|_| anyhow::anyhow!("a connection panicked"))??;
        }
        Ok(())
    })
}

/// Every sixteenth title.
fn connection(served: &Served, first: u64, titles: u64) -> anyhow::Result<()> {
    let mut client = served.client()?;
    let mut post = |part: &str, body: &Value| {
        let answer = client.json("POST", &format!("/api/v1/internal/import/{part}"), body)?;
        ensure!(answer["success"] == true, "{answer}");
        anyhow::Ok(())
    };
    for title in (first..titles).step_by(usize::try_from(CONNECTIONS)?) {
        post(
            "anime",
            &json!({
                "source_name": "bench", "source_id": title.to_string(), "title": format!("Title {title}"),
                "alternative_titles": ["One", "Two"], "description": "word ".repeat(40), "year": 2000,
                "status": "ongoing", "poster": format!("https://img.example/{title}.jpg"), "genres": ["Drama", "Comedy"],
            }),
        )?;
        let ids: Vec<String> = (1..=EPISODES).map(|number| format!("{title}:{number}")).collect();
        let episodes: Vec<Value> = ids
            .iter()
            .zip(1..)
            .map(|(id, number)| json!({ "source_episode_id": id, "number": number, "title": null, "is_available": true }))
            .collect();
        post(
            "episodes",
            &json!({ "source_name": "bench", "anime_source_id": title.to_string(), "episodes": episodes }),
        )?;
        for id in ids {
            let url = format!("https://player.example/{id}");
            post(
                "video",
                &json!({
                    "source_name": "bench", "source_episode_id": id,
                    "player": { "type": "iframe", "url": url, "source_name": "kodik", "priority": 100 },
                }),
            )?;
        }
    }
    Ok(())
}
