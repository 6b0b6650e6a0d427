//! The jobs of messages and what is to be published about them.
//!
//! A job and its outbox rows are written in the transaction that does the job's work, so that there is never one
//! without the other. What is published is marked as such afterwards; whoever finds a row that is not marked and belongs
//! to nobody any more has to look into the topic first.

mod jobs;
mod outbox;
mod settled;

pub use jobs::{Claim, JobEnd, JobKind, NewJob, claim, finish, forget, group_exists};
pub use outbox::{
    Letter, LetterKind, Open, Owner, Published, any_open, keep, known_positions, mark, put, refuse, take_over,
};
pub use settled::{Settled, settle, settled};
