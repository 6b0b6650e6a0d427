//! What is wrong with the settings: all of it, in one error.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Fault, Party, Severity};

/// One thing that is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The setting's name.
    pub name: &'static str,
    /// What is wrong, without the value of a secret.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Settings that cannot be used, with every fault found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// One or more settings are wrong.
    Settings(Vec<SettingFault>),
    /// `.env` exists but cannot be read or parsed.
    DotEnv {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => {
                write!(f, "{} wrong", if faults.len() == 1 { "a setting is" } else { "some settings are" })?;
                for fault in faults {
                    write!(f, "\n  {}: {}", fault.name, fault.problem)?;
                    if let Some(hint) = &fault.hint {
                        write!(f, "\n    hint: {hint}")?;
                    }
                }
                Ok(())
            }
            Self::DotEnv { path, reason } => write!(f, "cannot read `{path}`: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Fault for ConfigError {
    fn severity(&self) -> Severity {
        Severity::Permanent
    }

    fn party(&self) -> Party {
        Party::Usage
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Settings(_) => Some(Cow::Borrowed("`parser diagnose` shows every setting and where it comes from")),
            Self::DotEnv { .. } => Some(Cow::Borrowed("one `NAME=value` a line; quote values with spaces")),
        }
    }
}
