//! What is kept on disk: the catalogue (canonical tables), the landing (raw pages) and the record of what was sent.
//!
//! Each store is a small surface of questions and changes; the engine below it ([`sqlite`]) is one file with one
//! writer thread. An answer to a change always means that the change is committed.

pub mod catalogue;
mod error;
pub mod landing;
pub mod sent;
pub mod sqlite;

pub use error::{StoreError, StoreErrorKind};
