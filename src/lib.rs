//! `parser`: crawls paged anime catalogues politely into a backend import API. See ARCHITECTURE.md.

pub mod cli;
pub mod error;
pub mod http;
pub mod model;
pub mod observe;
pub mod sandbox;
