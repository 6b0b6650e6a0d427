//! The whole product, measured from outside: `parser run` as a process of its own against local sources and a local
//! backend, each again a process of its own, so that every figure is the crawler's alone.
//!
//! `cargo bench --bench end_to_end` prints the figures, and in the end once more as the table of `benches/README.md`;
//! `-- --help` tells what can be chosen.

mod backend;
mod client;
#[path = "../../tests/postgres/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::print_stdout, reason = "the tests' own; they need more of it")]
mod cluster;
mod options;
mod process;
mod report;
mod scenarios;
mod served;
#[cfg(feature = "kafka")]
mod share;

use std::process::ExitCode;

use options::{Options, Scenario};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.help {
        report::line(options::HELP);
        return Ok(());
    }
    if options.serve_backend {
        return backend::serve();
    }
    let parser = options.parser()?;
    report::heading(&parser);
    for scenario in &options.scenarios {
        match scenario {
            Scenario::Embedded | Scenario::Contract => scenarios::full::run(&parser, *scenario, &options)?,
            Scenario::Nodes => scenarios::nodes::run(&parser, &options)?,
            Scenario::Limits => scenarios::limits::run(&parser, &options)?,
            Scenario::Startup => scenarios::startup::run(&parser, &options)?,
            Scenario::Http => scenarios::http::run(&options)?,
            Scenario::Imports => scenarios::imports::run(&parser, &options)?,
            Scenario::Calls => scenarios::calls::run(&parser, &options)?,
            Scenario::Importer => scenarios::importer::run(&parser, &options)?,
            Scenario::Reads => scenarios::reads::run(&parser, &options)?,
            Scenario::Tables => scenarios::tables::run(&parser, &options)?,
            Scenario::Staged => scenarios::staged::run(&parser, &options)?,
            #[cfg(feature = "kafka")]
            Scenario::Kafka => scenarios::kafka::run(&parser, &options)?,
            #[cfg(not(feature = "kafka"))]
            Scenario::Kafka => anyhow::bail!("`kafka` needs `cargo bench --features kafka`"),
        }
    }
    report::table();
    Ok(())
}
