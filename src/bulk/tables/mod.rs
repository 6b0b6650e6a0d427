//! JSONL → tables.

mod chunks;
mod parse;
mod scan;
