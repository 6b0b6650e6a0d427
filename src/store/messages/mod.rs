//! The jobs of messages and what is to be published about them.
//!
//! A job and its outbox rows are written in the transaction that does the job's work, so that there is never one
//! without the other. What is published is marked as such afterwards; whoever finds a row that is not marked and belongs
//! to nobody any more has to look into the topic first.

mod claim;
mod jobs;
mod outbox;
mod settled;

pub use claim::{Claim, Sameness, claim};
pub use jobs::{JobEnd, JobKind, NewJob, finish, forget};
pub use outbox::{
    Header, Letter, LetterKind, Open, Owner, Published, any_open, keep, keep_all, known_positions, mark, postpone, put,
    take_over,
};
pub use settled::{Settled, forget_settled, settle, settled};
