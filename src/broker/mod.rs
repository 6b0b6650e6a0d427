//! Kafka: what is read from topics, what is written to them. The only place that knows the client library.
//!
//! * `consumer`: a member of the group on a thread of its own, which goes on asking the broker whatever its messages
//!   wait for, so that the group never takes a slow member for a dead one.
//! * `lag`, `reach`: how far behind it is, and whether its brokers answer.
//! * `producer`: idempotent, `acks=all`; an answer for each message.
//! * `reading`: a topic from some positions to its end, for whoever looks something up.

mod config;
mod consumer;
mod context;
mod error;
mod lag;
mod lists;
mod member;
mod message;
mod producer;
mod reach;
mod reading;

pub use consumer::{Consumer, Control, Polled, Subscription};
pub use error::BrokerError;
pub use message::{Header, Message, Outgoing, Partition, Position};
pub use producer::Producer;
pub use reach::Reach;
pub use reading::{Next, Reader};
