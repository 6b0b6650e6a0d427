//! What the server's errors mean for whoever asked: is it the change, the moment, the server or the login?

use std::error::Error as _;
use std::time::Duration;

use crate::store::error::StoreErrorKind;

/// A statement that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server or the way to it says so.
    #[error("{}", text(.0))]
    Server(#[from] tokio_postgres::Error),
    /// It has not answered within its own limit and some more.
    #[error("no answer for {} s", .0.as_secs())]
    Silent(Duration),
    /// An earlier statement of the transaction failed, and the job went on as if it had not.
    #[error("a statement failed and its error was not passed on")]
    Swallowed,
}

impl Failure {
    /// In the words of all engines.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Silent(_) => StoreErrorKind::Unavailable(self.to_string()),
            Self::Swallowed => StoreErrorKind::Refused(self.to_string()),
            Self::Server(error) => kind(error),
        }
    }

    /// Can the connection not be used any more?
    pub(super) fn loses_connection(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Swallowed => false,
            Self::Server(error) => {
                error.is_closed() || matches!(self.kind(), StoreErrorKind::Unavailable(_) | StoreErrorKind::Tls(_))
            }
        }
    }

    /// Is the server alive, but not ready to take connections yet?
    pub(super) fn is_starting(&self) -> bool {
        matches!(self, Self::Server(error) if error.code().is_some_and(|state| state.code() == "57P03"))
    }

    /// Has somebody else made a row with the same key?
    pub(in crate::store) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Server(error) if error.code().is_some_and(|state| state.code() == "23505"))
    }

    /// Were prepared statements made for tables that have changed since?
    pub(super) fn is_stale_plan(&self) -> bool {
        matches!(self, Self::Server(error) if error.code().is_some_and(|state| matches!(state.code(), "0A000" | "26000")))
    }
}

/// What an error means, in the words of all engines.
pub(super) fn kind(error: &tokio_postgres::Error) -> StoreErrorKind {
    match error.code() {
        Some(state) => kind_of_state(state.code(), text(error)),
        None => kind_of_way(error, text(error)),
    }
}

fn kind_of_state(state: &str, said: String) -> StoreErrorKind {
    match state {
        "40001" | "40P01" | "55P03" | "57014" | "0A000" | "26000" => StoreErrorKind::Conflict(said),
        "53100" => StoreErrorKind::Full,
        "25006" => StoreErrorKind::ReadOnly(said),
        "42501" => StoreErrorKind::Denied(said),
        "3D000" => StoreErrorKind::NoDatabase(said),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => StoreErrorKind::Unavailable(said),
        "XX001" | "XX002" => StoreErrorKind::Corrupt(said),
        _ => match state.get(..2) {
            Some("08" | "53") => StoreErrorKind::Unavailable(said),
            Some("28") => StoreErrorKind::Login(said),
            Some("58") => StoreErrorKind::Io(said),
            _ => StoreErrorKind::Refused(said),
        },
    }
}

/// Errors that the server did not send.
fn kind_of_way(error: &tokio_postgres::Error, said: String) -> StoreErrorKind {
    let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let handshake =
        io.and_then(std::io::Error::get_ref).is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    // The library tells these apart in its texts only.
    let own = error.to_string();
    if handshake || (own.contains("TLS") && io.is_none()) {
        StoreErrorKind::Tls(said)
    } else if own.contains("authentication") || own.contains("invalid configuration") {
        StoreErrorKind::Login(said)
    } else if own.contains("serializing") || own.contains("parameters but got") {
        StoreErrorKind::Refused(said)
    } else {
        StoreErrorKind::Unavailable(said)
    }
}

/// The server's own words with their code, or the whole chain of causes.
fn text(error: &tokio_postgres::Error) -> String {
    let Some(answer) = error.as_db_error() else { return crate::error::chain(error) };
    let detail = answer.detail().map(|detail| format!("; {detail}")).unwrap_or_default();
    format!("{}{detail} [{}]", answer.message(), answer.code().code())
}

#[cfg(test)]
mod tests {
    use super::kind_of_state;
    use crate::store::error::StoreErrorKind;

    #[test]
    fn each_class_of_errors_has_its_meaning() {
        let kind = |state| kind_of_state(state, "x".to_owned());
        let text = || "x".to_owned();
        for state in ["40001", "40P01", "55P03", "57014"] {
            assert_eq!(kind(state), StoreErrorKind::Conflict(text()), "{state}");
        }
        for state in ["08006", "57P01", "57P02", "57P03", "53300", "25P03"] {
            assert_eq!(kind(state), StoreErrorKind::Unavailable(text()), "{state}");
        }
        for state in ["28P01", "28000"] {
            assert_eq!(kind(state), StoreErrorKind::Login(text()), "{state}");
        }
        assert_eq!(kind("3D000"), StoreErrorKind::NoDatabase(text()));
        assert_eq!(kind("53100"), StoreErrorKind::Full);
        assert_eq!(kind("25006"), StoreErrorKind::ReadOnly(text()));
        assert_eq!(kind("42501"), StoreErrorKind::Denied(text()));
        assert_eq!(kind("23505"), StoreErrorKind::Refused(text()));
        assert_eq!(kind(""), StoreErrorKind::Refused(text()));
    }
}
