//! What is measured, one file each, and what all of them need.

pub(crate) mod calls;
pub(crate) mod full;
pub(crate) mod http;
pub(crate) mod importer;
pub(crate) mod imports;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
pub(crate) mod limits;
pub(crate) mod reads;
pub(crate) mod staged;
pub(crate) mod startup;
pub(crate) mod tables;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Cost, Helper, measure};

/// The two sources as a process of their own.
#[derive(Debug)]
pub(crate) struct Sources {
    _helper: Helper,
    settings: Vec<(String, String)>,
}

impl Sources {
    pub(crate) fn start(parser: &Path, titles: u64, limits: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(parser);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--limits", limits, "--titles", &titles.to_string()]);
        command.current_dir(scratch()?);
        let (helper, line) =
            Helper::start(&mut command, |line| line.starts_with("KODIK_BASE_URL=").then(|| line.to_owned()))?;
        let settings = line.split(' ').filter_map(|pair| pair.split_once('='));
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { _helper: helper, settings })
    }

    /// `parser run --mode full` on these sources with a fresh state; its figures and its summary.
    pub(crate) fn crawl(
        &self,
        parser: &Path,
        state: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<(Cost, serde_json::Value)> {
        if state.exists() {
            std::fs::remove_dir_all(state)?;
        }
        let mut command = Command::new(parser);
        command.args(["run", "--mode", "full", "--json"]).arg("--state").arg(state);
        command.current_dir(scratch()?);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.envs(settings.iter().copied());
        let cost = measure(&mut command, &state.with_extension("log"))?;
        let summary = serde_json::from_str(&cost.output)?;
        Ok((cost, summary))
    }
}

/// No limit anywhere.
pub(crate) const UNLIMITED: &[(&str, &str)] =
    &[("KODIK_RATE_LIMIT_RPS", "0"), ("SHIKIMORI_RATE_LIMIT_RPS", "0"), ("SHIKIMORI_RATE_LIMIT_RPM", "0")];

/// A folder on a real disk, below the build's.
pub(crate) fn scratch() -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end_to_end");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
