//! Imports of large files: an object is read, cut into rows, gathered into batches and written, a few batches at a time.

mod csv;
mod error;
pub mod nodes;
pub mod tables;

pub use csv::{Row, Rows};
pub use error::BulkError;
