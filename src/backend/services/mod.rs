//! The domain's rules, each in its own file: pure functions that the importer calls for every record, in this order:
//! [`types`], [`names`], [`images`], [`relations`].

pub mod images;
pub mod names;
pub mod relations;
pub mod types;
