//! From what a person writes to the files that are read: files, folders, globs, standard input, addresses. In order, and
//! each once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::store::objects::ObjectUrl;

/// One place that lines or rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file or an object.
    Object(ObjectUrl),
}

impl Source {
    /// Its own name, without folders.
    pub fn name(&self) -> &str {
        match self {
            Self::Stdin => "-",
            Self::Object(url) => url.name(),
        }
    }

    /// Where it is, whichever folder the command is run in.
    pub fn address(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::Object(ObjectUrl::File(path)) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Self::Object(url) => url.whole(),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::Object(url) => url.fmt(f),
        }
    }
}

/// What a person wrote, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// These files.
    Sources(Vec<Source>),
    /// What a bucket has below this address, which may hold `*`, `?` and `[…]`.
    Listing(Listing),
}

/// Objects to be asked for by the beginning of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// As it was written.
    pub written: String,
    /// `s3://bucket/` and the beginning of the keys.
    pub prefix: String,
    /// What the whole address has to look like; none = every file in it.
    pattern: Option<glob::Pattern>,
}

/// A path that gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It is no address.
    #[error("{0}")]
    Address(String),
    /// No pattern either.
    #[error("`{0}` is no pattern: {1}")]
    Pattern(String, String),
    /// There is nothing there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// It cannot be looked into.
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, String),
    /// A folder, a bucket or a pattern without files.
    #[error("`{path}` holds no {wanted} file")]
    Empty {
        /// Which.
        path: String,
        /// What was looked for.
        wanted: String,
    },
    /// A name that ends with `/` and is a file.
    #[error("`{0}` is a file, not a folder")]
    NotAFolder(String),
}

impl InputError {
    /// What a person may do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) => "files, folders, `-`, `s3://bucket/key`, `http(s)://host/path`",
            Self::Pattern(..) => "`*`, `**`, `?` and `[…]` stand for parts of a name; `[*]` is a star itself",
            Self::Missing(_) => "is the path right, and is it a path of this machine?",
            Self::Unreadable(..) => "check the rights of this user",
            Self::Empty { .. } => {
                "hidden files and files with other endings are passed over; name a file to import it all the same"
            }
            Self::NotAFolder(_) => "leave out the `/` at the end",
        }
    }
}

/// Which endings the files of a folder have to have.
#[derive(Debug, Clone, Copy)]
pub struct Endings(pub &'static [&'static str]);

impl Endings {
    /// Lines of JSON.
    pub const JSONL: Self = Self(&[".jsonl", ".ndjson"]);
    /// Rows of CSV.
    pub const CSV: Self = Self(&[".csv"]);
    /// Either.
    pub const ALL: Self = Self(&[".jsonl", ".ndjson", ".csv"]);

    /// Is it such a file, packed or not, and not hidden?
    pub fn take(self, name: &str) -> bool {
        let lower = name.to_lowercase();
        let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
        !name.starts_with('.') && self.0.iter().any(|ending| plain.ends_with(ending) && plain.len() > ending.len())
    }

    fn said(self) -> String {
        self.0.iter().map(|ending| format!("`{ending}`")).collect::<Vec<_>>().join(" or ") + " (or `.gz`, `.zst` of it)"
    }
}

/// Understands one path.
pub fn given(path: &str, endings: Endings) -> Result<Given, InputError> {
    if path == "-" {
        return Ok(Given::Sources(vec![Source::Stdin]));
    }
    if path.starts_with("s3://") && (path.ends_with('/') || is_pattern(path)) {
        return listing(path).map(Given::Listing);
    }
    // A file of that name is that file, whatever its name looks like.
    if !path.contains("://") && is_pattern(path) && !Path::new(path).exists() {
        return matching(path, endings).map(Given::Sources);
    }
    let url = ObjectUrl::parse(path).map_err(|error| InputError::Address(error.to_string()))?;
    Ok(Given::Sources(match url {
        ObjectUrl::File(file) if file.is_dir() => in_folder(&file, endings)?,
        ObjectUrl::File(file) if path.ends_with('/') && Path::new(path.trim_end_matches('/')).is_file() => {
            return Err(InputError::NotAFolder(file.display().to_string()));
        }
        url => vec![Source::Object(url)],
    }))
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn in_folder(folder: &Path, endings: Endings) -> Result<Vec<Source>, InputError> {
    let shown = folder.display().to_string();
    let unreadable = |error: std::io::Error| InputError::Unreadable(shown.clone(), error.to_string());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.file_name().and_then(|name| name.to_str()).is_some_and(|name| endings.take(name)) && file.is_file() {
            files.push(file);
        }
    }
    sources(files, shown, endings)
}

fn matching(pattern: &str, endings: Endings) -> Result<Vec<Source>, InputError> {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let found = glob::glob_with(pattern, options)
        .map_err(|error| InputError::Pattern(pattern.to_owned(), error.msg.to_owned()))?;
    let mut files = Vec::new();
    for entry in found {
        let file = entry
            .map_err(|error| InputError::Unreadable(error.path().display().to_string(), error.error().to_string()))?;
        // Whoever names an ending means it.
        let hidden = file.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
        if file.is_file() && !hidden {
            files.push(file);
        }
    }
    sources(files, pattern.to_owned(), endings)
}

fn sources(mut files: Vec<PathBuf>, path: String, endings: Endings) -> Result<Vec<Source>, InputError> {
    if files.is_empty() {
        return Err(InputError::Empty { path, wanted: endings.said() });
    }
    files.sort();
    Ok(files.into_iter().map(|file| Source::Object(ObjectUrl::File(file))).collect())
}

fn listing(path: &str) -> Result<Listing, InputError> {
    let wild = path.find(['*', '?', '[']);
    let pattern = wild
        .map(|_| glob::Pattern::new(path))
        .transpose()
        .map_err(|error| InputError::Pattern(path.to_owned(), error.msg.to_owned()))?;
    let prefix = wild.map_or(path, |at| &path[..at]);
    if prefix.matches('/').count() < 3 {
        return Err(InputError::Address(format!("`{path}`: the bucket has to be named")));
    }
    Ok(Listing { written: path.to_owned(), prefix: prefix.to_owned(), pattern })
}

impl Listing {
    /// Those of the objects that were found that are meant, in the order of their names.
    pub fn choose(&self, found: Vec<ObjectUrl>, endings: Endings) -> Result<Vec<Source>, InputError> {
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };
        let mut chosen: Vec<_> = found
            .into_iter()
            .filter(|url| match &self.pattern {
                Some(pattern) => pattern.matches_with(&url.to_string(), options),
                None => endings.take(url.name()),
            })
            .collect();
        if chosen.is_empty() {
            return Err(InputError::Empty { path: self.written.clone(), wanted: endings.said() });
        }
        chosen.sort_by_key(ToString::to_string);
        Ok(chosen.into_iter().map(Source::Object).collect())
    }
}

/// Each once, the first time it comes.
pub fn once(sources: Vec<Source>) -> Vec<Source> {
    let mut known = HashSet::new();
    sources.into_iter().filter(|source| known.insert(source.address())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Endings, Given, InputError, given, once};
    use crate::store::objects::ObjectUrl;

    fn names(path: &str) -> Result<Vec<String>, InputError> {
        match given(path, Endings::JSONL)? {
            Given::Sources(sources) => Ok(sources.iter().map(|source| source.name().to_owned()).collect()),
            Given::Listing(listing) => Ok(vec![listing.prefix]),
        }
    }

    #[test]
    fn paths_become_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl.gz", ".hidden.jsonl", "c.csv", "d.NDJSON", ".jsonl", "notes.txt", "[x].jsonl"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("sub.jsonl")).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(names(&at("")).unwrap(), ["[x].jsonl", "a.jsonl.gz", "b.jsonl", "d.NDJSON"]);
        assert_eq!(names(&at("*.jsonl*")).unwrap(), ["[x].jsonl", "a.jsonl.gz", "b.jsonl"]);
        assert_eq!(names(&at("[x].jsonl")).unwrap(), ["[x].jsonl"]);
        assert_eq!(names(&at("notes.txt")).unwrap(), ["notes.txt"]);
        assert!(matches!(names(&at("*.xml")), Err(InputError::Empty { .. })));
        assert!(matches!(names(&at("sub.jsonl")), Err(InputError::Empty { .. })));
        assert!(matches!(names(&at("b.jsonl/")), Err(InputError::NotAFolder(_))));
        assert!(matches!(names(&at("[")), Err(InputError::Pattern(..))));
        assert_eq!(names("-").unwrap(), ["-"]);
        assert_eq!(names("s3://b/in/").unwrap(), ["s3://b/in/"]);
        assert_eq!(names("s3://b/in/2*/x.jsonl").unwrap(), ["s3://b/in/2"]);
        assert!(matches!(names("s3://*"), Err(InputError::Address(_))));
    }

    #[test]
    fn of_what_a_bucket_has_what_is_meant_is_taken_once() {
        let found =
            |keys: &[&str]| keys.iter().map(|key| ObjectUrl::parse(&format!("s3://b/{key}")).unwrap()).collect();
        let choose = |path: &str, keys: &[&str]| match given(path, Endings::JSONL) {
            Ok(Given::Listing(listing)) => listing.choose(found(keys), Endings::JSONL),
            other => panic!("{other:?}"),
        };
        let keys = ["in/b.jsonl", "in/a.jsonl.gz", "in/x.csv", "in/.h.jsonl", "in/sub/c.jsonl"];
        let named = |chosen: Vec<super::Source>| chosen.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(named(choose("s3://b/in/", &keys).unwrap()), ["a.jsonl.gz", "b.jsonl", "c.jsonl"]);
        assert_eq!(named(choose("s3://b/in/*.jsonl", &keys).unwrap()), ["b.jsonl"]);
        assert!(choose("s3://b/in/*.xml", &keys).is_err());
        let twice = [choose("s3://b/in/*.jsonl", &keys).unwrap(), choose("s3://b/in/", &keys).unwrap()].concat();
        assert_eq!(named(once(twice)), ["b.jsonl", "a.jsonl.gz", "c.jsonl"]);
    }
}
