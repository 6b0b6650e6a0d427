//! Imports of large files: an object is read, cut into rows, gathered into batches and written, a few batches at a time.

pub mod catalogue;
mod csv;
mod error;
pub mod inputs;
pub mod long_lines;
pub mod nodes;
pub mod registry;
pub mod tables;
mod worker;

pub use csv::{Row, Rows};
pub use error::BulkError;
pub use nodes::Summary;
pub use worker::Worker;
