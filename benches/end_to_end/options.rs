//! What to measure, and which program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::served::Engine;

pub(crate) const HELP: &str = "\
cargo bench --bench end_to_end -- [SCENARIO…] [--titles N] [--records N] [--rows N] [--runs N] [--engine E] [--bin PATH]

scenarios (default: all)
  embedded   full crawl into the embedded catalogue, limits off
  contract   full crawl into a backend that speaks the import contract, limits off
  limits     wall time over what the limits allow, limits on
  startup    opening a state with 100,000 finished titles
  http       requests per second of the HTTP layer alone
  imports    records per second through the imports API, as one batch of JSON lines
  calls      calls per second of the contract endpoints
  importer   records per second of `parser process`
  reads      how long readers wait during an import
  staged     memory beside a very large staging table
  backend    these five
  tables     JSON lines into a table, beside other tools (.ci/bench-tools.sh; only when named)
  nodes      CSV.gz into nodes on PostgreSQL, beside psql and pgloader (only when named)
  kafka      messages into PostgreSQL: rate on one and two processes, latency, memory, a file (needs `--features kafka`;
             not among all)

  --titles N   generated titles of `embedded` and `contract` (default 10000)
  --records N  records or calls of `imports`, `calls`, `importer`, `reads` (default 50000)
  --rows N     rows of `tables` and `nodes` (default 2000000)
  --staged N   rows of `staged` (default 1000000)
  --messages N messages of `kafka` (default 200000)
  --memory-messages N   those of its look at memory (default 1000000)
  --file-nodes N   rows of its file (default 100000)
  --consumer-percent N   only rates, of one and of two processes that each get this much of a core (cgroups, root)
  --engine E   `sqlite` or `postgres` for these five (default: both, PostgreSQL as a cluster of the benchmark's own)
  --runs N     measure so many times and print the median (default 3; 1 for the backend, whose runs are long)
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
    Calls,
    Importer,
    Reads,
    Staged,
    Tables,
    Nodes,
    Kafka,
}

impl Scenario {
    /// Those of the backend.
    const BACKEND: [Self; 5] = [Self::Imports, Self::Calls, Self::Importer, Self::Reads, Self::Staged];
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) titles: u64,
    pub(crate) records: u64,
    pub(crate) staged: u64,
    pub(crate) rows: u64,
    pub(crate) messages: u64,
    pub(crate) memory_messages: u64,
    pub(crate) file_nodes: u64,
    pub(crate) consumer_percent: Option<u32>,
    pub(crate) runs: usize,
    /// Of the backend's scenarios.
    pub(crate) backend_runs: usize,
    pub(crate) help: bool,
    engine: Option<Engine>,
    /// This process is the backend of another one.
    pub(crate) serve_backend: bool,
    bin: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self {
            scenarios: Vec::new(),
            titles: 10_000,
            records: 50_000,
            staged: 1_000_000,
            rows: 2_000_000,
            messages: 200_000,
            memory_messages: 1_000_000,
            file_nodes: 100_000,
            consumer_percent: None,
            runs: 3,
            backend_runs: 1,
            help: false,
            engine: None,
            serve_backend: false,
            bin: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "embedded" => options.scenarios.push(Scenario::Embedded),
                "contract" => options.scenarios.push(Scenario::Contract),
                "limits" => options.scenarios.push(Scenario::Limits),
                "startup" => options.scenarios.push(Scenario::Startup),
                "http" => options.scenarios.push(Scenario::Http),
                "imports" => options.scenarios.push(Scenario::Imports),
                "calls" => options.scenarios.push(Scenario::Calls),
                "importer" => options.scenarios.push(Scenario::Importer),
                "reads" => options.scenarios.push(Scenario::Reads),
                "staged" => options.scenarios.push(Scenario::Staged),
                "tables" => options.scenarios.push(Scenario::Tables),
                "nodes" => options.scenarios.push(Scenario::Nodes),
                "kafka" => options.scenarios.push(Scenario::Kafka),
                "--messages" => options.messages = value()?.parse()?,
                "--file-nodes" => options.file_nodes = value()?.parse()?,
                "--consumer-percent" => options.consumer_percent = Some(value()?.parse()?),
                "--memory-messages" => options.memory_messages = value()?.parse()?,
                "backend" => options.scenarios.extend(Scenario::BACKEND),
                "--records" => options.records = value()?.parse()?,
                "--rows" => options.rows = value()?.parse()?,
                "--staged" => options.staged = value()?.parse()?,
                "--engine" => {
                    options.engine = Some(match value()?.as_str() {
                        "sqlite" => Engine::Sqlite,
                        "postgres" => Engine::Postgres,
                        other => bail!("no engine `{other}`: sqlite or postgres"),
                    });
                }
                "--titles" => options.titles = value()?.parse()?,
                "--runs" => {
                    options.runs = value()?.parse()?;
                    options.backend_runs = options.runs;
                }
                "--bin" => options.bin = Some(value()?.into()),
                "--help" | "-h" => options.help = true,
                super::backend::FLAG => options.serve_backend = true,
                // Cargo's own.
                "--bench" => {}
                other => bail!("unknown argument `{other}`; see --help"),
            }
        }
        let counts = [options.titles, options.records, options.staged, options.rows, options.runs as u64];
        ensure!(counts.iter().all(|count| *count > 0), "numbers are at least 1");
        if options.scenarios.is_empty() {
            use Scenario::{Contract, Embedded, Http, Limits, Startup};
            options.scenarios = vec![Embedded, Contract, Limits, Startup, Http];
            options.scenarios.extend(Scenario::BACKEND);
        }
        Ok(options)
    }

    /// On which engines the backend is measured.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        self.engine.map_or_else(|| Engine::ALL.to_vec(), |engine| vec![engine])
    }

    /// How to measure one scenario of the backend again.
    pub(crate) fn command(&self, scenario: &str, engine: Engine) -> String {
        let engine = match engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        let size = match scenario {
            "staged" => format!("--staged {}", self.staged),
            _ => format!("--records {} --runs {}", self.records, self.backend_runs),
        };
        format!("-- {scenario} --engine {engine} {size}")
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
            .args(if cfg!(feature = "kafka") { &["--features", "kafka"][..] } else { &[] })
            .status()?;
        ensure!(status.success(), "the release binary does not build");
        let beside = PathBuf::from(env!("CARGO_BIN_EXE_parser"));
        beside.canonicalize().context("no release binary beside this benchmark")
    }
}
