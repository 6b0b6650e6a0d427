//! What every error of the product knows about itself: may it be tried again, whose fault is it, what should a person do.
//!
//! Each room has its own `thiserror` enum; all of them implement [`Fault`], so the crawl decides (retry, fail the
//! title, stop the run) and the command line picks the exit code without looking inside.

use std::borrow::Cow;

/// May the same thing succeed when tried again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// May succeed later: lost connection, time-out, 5xx, 429.
    Transient,
    /// Will not succeed however often it is tried: bad token, malformed data, refused record.
    Permanent,
}

/// Which party has to act. Each party has one exit code (see `cli::exit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// The command line or the settings: exit 2.
    Usage,
    /// A source (Kodik, Shikimori) refused or is down: exit 3.
    Source,
    /// The backend or the store refused or is down: exit 4.
    Backend,
    /// The state on disk is locked, corrupt or unwritable: exit 5.
    State,
}

/// An error that knows its severity, its party and what to do next.
pub trait Fault: std::error::Error {
    /// Whether trying again can help.
    fn severity(&self) -> Severity;

    /// Who has to act.
    fn party(&self) -> Party;

    /// What a person should do next, without a full stop; printed after `hint:`.
    fn hint(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// The whole cause chain on one line: `a: b: c`, without repeating a cause that its parent already printed.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What is wrong with a JSON text, without the place (a path says it better) and without a value of the sender's.
pub fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    match text.split_once(": ") {
        Some(("invalid type" | "invalid value", rest)) => match rest.rsplit_once("expected ") {
            Some((_, expected)) => format!("is not {expected}"),
            None => "has a wrong value".to_owned(),
        },
        _ if text.starts_with("missing field `") => {
            format!("lacks `{}`", text.trim_start_matches("missing field `").trim_end_matches('`'))
        }
        _ if text.starts_with("unknown variant") => match text.rsplit_once("expected ") {
            Some((_, expected)) => format!("is not {expected}"),
            None => "has a wrong value".to_owned(),
        },
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `x`")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_joins_causes_once() {
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "cannot read `x`: disk on fire");
    }
}
