//! `parser`: crawls paged anime catalogues politely into a backend import API. See ARCHITECTURE.md.

pub mod backend;
#[cfg(feature = "kafka")]
pub mod broker;
pub mod bulk;
pub mod checkpoint;
pub mod cli;
pub mod config;
#[cfg(feature = "kafka")]
pub mod consume;
pub mod crawl;
pub mod error;
pub mod extract;
pub mod http;
pub mod load;
pub mod model;
pub mod observe;
pub mod sandbox;
pub mod server;
pub mod store;
pub mod transform;
