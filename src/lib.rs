//! `parser`: crawls paged anime catalogues politely into a backend import API. See ARCHITECTURE.md.

pub mod checkpoint;
pub mod config;
pub mod backend;
pub mod error;
pub mod extract;
pub mod http;
pub mod load;
pub mod model;
pub mod observe;
pub mod transform;
pub mod store;
