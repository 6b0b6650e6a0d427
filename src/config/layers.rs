//! Where a setting's text comes from: the sandbox, a flag, the environment, `.env`, the default; first wins.
//!
//! An empty value counts as not given, so `KODIK_RATE_LIMIT_RPS=` in a `.env` means the default.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use super::ConfigError;

/// Which layer gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Set by `--sandbox`.
    Sandbox,
    /// A command-line flag.
    Flag,
    /// The process environment.
    Environment,
    /// The `.env` file of the working directory.
    DotEnv,
    /// Not given anywhere.
    Default,
}

impl Origin {
    /// The name in `parser diagnose`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::DotEnv => ".env",
            Self::Default => "default",
        }
    }
}

/// The texts of all layers.
#[derive(Debug, Default)]
pub struct Layers {
    sandbox: HashMap<&'static str, String>,
    flags: HashMap<&'static str, String>,
    environment: HashMap<String, String>,
    dotenv: HashMap<String, String>,
}

impl Layers {
    /// The process environment and the `.env` file of `folder`, if there is one.
    ///
    /// # Errors
    /// A `.env` that exists but cannot be read or parsed.
    pub fn read(environment: impl Iterator<Item = (OsString, OsString)>, folder: &Path) -> Result<Self, ConfigError> {
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let path = folder.join(".env");
        let mut dotenv = HashMap::new();
        if path.exists() {
            let fault = |reason: String| ConfigError::DotEnv { path: path.display().to_string(), reason };
            // `from_path_iter` reads without touching the process environment. Its parse error quotes the line,
            // which may hold a secret, so only the kind of error is reported.
            let lines = dotenvy::from_path_iter(&path).map_err(|error| fault(reason(&error)))?;
            for line in lines {
                let (name, value) = line.map_err(|error| fault(reason(&error)))?;
                dotenv.insert(name, value);
            }
        }
        Ok(Self { environment, dotenv, ..Self::default() })
    }

    /// Layers from plain pairs, for tests.
    pub fn from_environment<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let environment = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { environment, ..Self::default() }
    }

    /// A value given by a flag.
    pub fn set_flag(&mut self, name: &'static str, value: &impl ToString) {
        self.flags.insert(name, value.to_string());
    }

    /// A value forced by `--sandbox`.
    pub fn set_sandbox(&mut self, name: &'static str, value: &impl ToString) {
        self.sandbox.insert(name, value.to_string());
    }

    /// The text of a setting and its origin; `None` = the default applies.
    pub fn get(&self, name: &str) -> Option<(&str, Origin)> {
        [
            (self.sandbox.get(name), Origin::Sandbox),
            (self.flags.get(name), Origin::Flag),
            (self.environment.get(name), Origin::Environment),
            (self.dotenv.get(name), Origin::DotEnv),
        ]
        .into_iter()
        .filter_map(|(text, origin)| Some((text?.trim(), origin)))
        .find(|(text, _)| !text.is_empty())
    }
}

fn reason(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => format!("a line is not `NAME=value` (column {at})"),
        dotenvy::Error::Io(error) => error.to_string(),
        _ => "not a valid .env file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Layers, Origin};

    #[test]
    fn the_first_layer_that_says_something_wins() {
        let mut layers = Layers::from_environment([("A", "env"), ("B", " "), ("C", "env")]);
        layers.dotenv.insert("B".to_owned(), "file".to_owned());
        layers.set_flag("C", &"flag");
        assert_eq!(layers.get("A"), Some(("env", Origin::Environment)));
        assert_eq!(layers.get("B"), Some(("file", Origin::DotEnv)));
        assert_eq!(layers.get("C"), Some(("flag", Origin::Flag)));
        assert_eq!(layers.get("D"), None);
    }

    #[test]
    fn a_broken_dotenv_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "INTERNAL_TOKEN=abc\nthis is not a line S3CRET\n").unwrap();
        let error = Layers::read(std::iter::empty(), folder.path()).unwrap_err().to_string();
        assert!(error.contains(".env") && !error.contains("S3CRET"), "{error}");
    }
}
