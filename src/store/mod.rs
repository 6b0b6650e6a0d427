//! What is kept: the backend's tables (catalogue and, beside it, everything that leads to it), the landing (raw pages)
//! and the record of what was sent.
//!
//! The backend's tables are on one of two engines behind one [`Store`]; their SQL is written once ([`sql`]). Landing
//! and record are files of the crawl's state, always SQLite ([`sqlite`]: one file with one writer thread). An answer to
//! a change always means that the change is committed.

pub mod catalogue;
pub mod copy;
mod error;
mod handle;
pub mod imported;
pub mod imports;
pub mod jobs;
pub mod landing;
pub mod nodes;
pub mod objects;
pub mod postgres;
mod schema;
pub mod sent;
pub mod sql;
pub mod sqlite;
pub mod staging;
pub mod tables;

pub use error::{StoreError, StoreErrorKind, StorePlace};
pub use handle::{Location, Store};
pub use postgres::Server;
