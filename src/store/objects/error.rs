//! Why an object could not be read: which of the causes, whether it may work later, and what a person does about it.

use std::borrow::Cow;

use crate::error::{Fault, Party, Severity};

/// A failed reading. Texts name the object without its query and never hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The address is none, or of a kind that is not read.
    #[error("`{address}` is no address of an object: {reason}")]
    Malformed {
        /// The address without what may be secret.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A rule of the settings is none.
    #[error("`{rule}` in {setting} is not understood: {reason}")]
    Rule {
        /// The setting.
        setting: &'static str,
        /// The rule.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No rule of the settings lets this object be read.
    #[error("`{address}` may not be read: {reason}")]
    NotAllowed {
        /// The address.
        address: String,
        /// Which rule is missing.
        reason: &'static str,
    },
    /// There is no such object.
    #[error("`{address}` does not exist")]
    NotFound {
        /// The address.
        address: String,
    },
    /// The source does not give it to us.
    #[error("`{address}` was refused: {reason}")]
    Refused {
        /// The address.
        address: String,
        /// In its words, or its status.
        reason: String,
    },
    /// The source sends us elsewhere; nobody follows.
    #[error("`{address}` redirects elsewhere (HTTP {status}); redirects are not followed")]
    Redirected {
        /// The address.
        address: String,
        /// The status.
        status: u16,
    },
    /// It is not the object any more that was begun.
    #[error("`{address}` has changed since reading it began")]
    Changed {
        /// The address.
        address: String,
    },
    /// It has more bytes than are read.
    #[error("`{address}` is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        address: String,
        /// The most that is read.
        limit: u64,
    },
    /// The connection broke more often than is put up with.
    #[error("`{address}` was cut at byte {offset}, {tries} times in a row: {reason}")]
    Cut {
        /// The address.
        address: String,
        /// How far it had come.
        offset: u64,
        /// How often it was tried.
        tries: u32,
        /// The last cause.
        reason: String,
    },
    /// Nobody answers, or not now.
    #[error("`{address}` cannot be reached, {tries} times in a row: {reason}")]
    Unavailable {
        /// The address.
        address: String,
        /// How often it was tried.
        tries: u32,
        /// The last cause.
        reason: String,
    },
    /// The source answers what makes no sense.
    #[error("`{address}`: the answer makes no sense: {reason}")]
    Nonsense {
        /// The address.
        address: String,
        /// What.
        reason: String,
    },
    /// The bytes are not what their first ones promise (gzip, zstd).
    #[error("`{address}` is damaged: {reason}")]
    Damaged {
        /// The address.
        address: String,
        /// What.
        reason: String,
    },
}

impl ObjectError {
    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "object_address_malformed",
            Self::Rule { .. } => "object_rule_malformed",
            Self::NotAllowed { .. } => "object_not_allowed",
            Self::NotFound { .. } => "object_not_found",
            Self::Refused { .. } => "object_refused",
            Self::Redirected { .. } => "object_redirected",
            Self::Changed { .. } => "object_changed",
            Self::TooLarge { .. } => "object_too_large",
            Self::Cut { .. } => "object_cut",
            Self::Unavailable { .. } => "object_unavailable",
            Self::Nonsense { .. } => "object_answer_nonsense",
            Self::Damaged { .. } => "object_damaged",
        }
    }
}

impl Fault for ObjectError {
    fn severity(&self) -> Severity {
        match self {
            Self::Cut { .. } | Self::Unavailable { .. } => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Malformed { .. } | Self::Rule { .. } | Self::NotAllowed { .. } => Party::Usage,
            _ => Party::Source,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::Malformed { .. } => "a path, `file:///path`, `https://host/path` or `s3://bucket/key`",
            Self::Rule { .. } => "`.env.example` shows how rules are written",
            Self::NotAllowed { .. } => {
                "put it below IMPORT_FILES_PATH, or name its host in IMPORT_HOSTS or its bucket in IMPORT_BUCKETS"
            }
            Self::NotFound { .. } => "check the address",
            Self::Refused { .. } => {
                "check the keys and what they may read (S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_PROFILE)"
            }
            Self::Redirected { .. } => "use the address that it redirects to",
            Self::Changed { .. } => "import it anew from its start",
            Self::TooLarge { .. } => "split it, or raise IMPORT_MAX_OBJECT_MIB",
            Self::Cut { .. } | Self::Unavailable { .. } => "try again later",
            Self::Nonsense { .. } => "check that the address leads to a file server",
            Self::Damaged { .. } => "make or transfer the file anew",
        }))
    }
}
