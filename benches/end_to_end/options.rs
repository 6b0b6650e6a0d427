//! What to measure, and which program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

pub(crate) const HELP: &str = "\
cargo bench --bench end_to_end -- [SCENARIO…] [--titles N] [--runs N] [--bin PATH]

scenarios (default: all)
  embedded   full crawl into the embedded catalogue, limits off
  contract   full crawl into a backend that speaks the import contract, limits off
  limits     wall time over what the limits allow, limits on
  startup    opening a state with 100,000 finished titles
  http       requests per second of the HTTP layer alone
  imports    records per second through the imports API (50,000 as JSON lines; on PostgreSQL with DATABASE_URL)

  --titles N   generated titles of `embedded` and `contract` (default 10000)
  --runs N     measure so many times and print the median (default 3)
  --bin PATH   measure this program instead of building the release binary";

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Embedded,
    Contract,
    Limits,
    Startup,
    Http,
    Imports,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) titles: u64,
    pub(crate) runs: usize,
    pub(crate) help: bool,
    /// This process is the backend of another one.
    pub(crate) serve_backend: bool,
    bin: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options =
            Self { scenarios: Vec::new(), titles: 10_000, runs: 3, help: false, serve_backend: false, bin: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "embedded" => options.scenarios.push(Scenario::Embedded),
                "contract" => options.scenarios.push(Scenario::Contract),
                "limits" => options.scenarios.push(Scenario::Limits),
                "startup" => options.scenarios.push(Scenario::Startup),
                "http" => options.scenarios.push(Scenario::Http),
                "imports" => options.scenarios.push(Scenario::Imports),
                "--titles" => options.titles = value()?.parse()?,
                "--runs" => options.runs = value()?.parse()?,
                "--bin" => options.bin = Some(value()?.into()),
                "--help" | "-h" => options.help = true,
                super::backend::FLAG => options.serve_backend = true,
                // Cargo's own.
                "--bench" => {}
                other => bail!("unknown argument `{other}`; see --help"),
            }
        }
        ensure!(options.runs > 0 && options.titles > 0, "--runs and --titles are at least 1");
        if options.scenarios.is_empty() {
            use Scenario::{Contract, Embedded, Http, Imports, Limits, Startup};
            options.scenarios = vec![Embedded, Contract, Limits, Startup, Http, Imports];
        }
        Ok(options)
    }

    /// The program to measure. Cargo has built one beside this benchmark, but with the tests' crash points in it: what
    /// is measured is what is shipped.
    pub(crate) fn parser(&self) -> anyhow::Result<PathBuf> {
        if let Some(bin) = &self.bin {
            return bin.canonicalize().with_context(|| format!("no program at `{}`", bin.display()));
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let status = Command::new(cargo)
            .args(["build", "--release", "--quiet", "--bin", "parser", "--manifest-path", manifest])
            .status()?;
        ensure!(status.success(), "the release binary does not build");
        let beside = PathBuf::from(env!("CARGO_BIN_EXE_parser"));
        beside.canonicalize().context("no release binary beside this benchmark")
    }
}
