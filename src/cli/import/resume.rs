//! How to go on: the command that was given, once more, with `--resume`. What may hold a secret is not repeated.

use std::ffi::OsString;

/// What a terminal's history and a log may keep of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resume {
    /// For a shell.
    pub(super) command: String,
    /// What has to be done or put back first.
    pub(super) hints: Vec<&'static str>,
}

/// The variable that an address with a password is taken from instead.
const VARIABLE: &str = "env:IMPORT_INTO";

/// Options that may stand before the command's name, with their values.
const GLOBAL: &[&str] = &["--state", "--log-level", "--log-format"];

const PASSWORD: &str =
    "put it into the variable IMPORT_INTO first: the database's address may hold a password and is not repeated";
const QUERY: &str = "what stood behind `?` in an address is not repeated: put it back";
const INPUT: &str = "give it the same input once more";

/// Of the arguments behind the program's name.
pub(super) fn command(arguments: impl IntoIterator<Item = OsString>) -> Resume {
    let mut resume = Resume { command: "parser".to_owned(), hints: Vec::new() };
    let (mut begun, mut before) = (false, String::new());
    for argument in arguments {
        let argument = argument.to_string_lossy().into_owned();
        if argument == "--resume" {
            continue;
        }
        let shown = match argument.strip_prefix("--into=") {
            Some(place) => format!("--into={}", resume.database(place)),
            None if before == "--into" => resume.database(&argument),
            None => resume.path(&argument),
        };
        resume.push(&shown);
        // Behind the command's name: behind `--` it would be a path.
        if !begun && argument == "import" && !GLOBAL.contains(&before.as_str()) {
            begun = true;
            resume.push("--resume");
        }
        before = argument;
    }
    resume
}

impl Resume {
    fn push(&mut self, argument: &str) {
        self.command.push(' ');
        self.command.push_str(&quoted(argument));
    }

    fn hint(&mut self, hint: &'static str) {
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }

    fn database(&mut self, place: &str) -> String {
        let authority = place.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        let password = authority.and_then(|text| text.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'));
        if password || (authority.is_some() && place.contains('?')) {
            self.hint(PASSWORD);
            return VARIABLE.to_owned();
        }
        place.to_owned()
    }

    fn path(&mut self, path: &str) -> String {
        if path == "-" {
            self.hint(INPUT);
        }
        // Patterns of a bucket hold `?`, too, and no queries.
        let web = path.split_once("://").is_some_and(|(scheme, _)| scheme.to_ascii_lowercase().starts_with("http"));
        match path.split_once('?') {
            Some((address, _)) if web => {
                self.hint(QUERY);
                format!("{address}?…")
            }
            _ => path.to_owned(),
        }
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUT, PASSWORD, QUERY, command};

    fn shown(arguments: &[&str]) -> (String, Vec<&'static str>) {
        let resume = command(arguments.iter().map(Into::into));
        (resume.command, resume.hints)
    }

    #[test]
    fn the_command_is_repeated_for_a_shell() {
        assert_eq!(
            shown(&["--state", "import", "import", "a b.jsonl", "it's", "--key=id", "in/*.csv", "", "--", "--x"]).0,
            r"parser --state import import --resume 'a b.jsonl' 'it'\''s' --key=id 'in/*.csv' '' -- --x"
        );
        assert_eq!(shown(&["import", "x", "--resume"]).0, "parser import --resume x");
        assert_eq!(
            shown(&["import", "-", "--table", "t"]),
            ("parser import --resume - --table t".to_owned(), vec![INPUT])
        );
    }

    #[test]
    fn what_may_be_secret_is_not_repeated() {
        let into = "parser import --resume x --into env:IMPORT_INTO";
        assert_eq!(shown(&["import", "x", "--into", "postgres://me:secret@h/d"]), (into.to_owned(), vec![PASSWORD]));
        assert_eq!(shown(&["import", "x", "--into", "postgres://h/d?password=secret"]).0, into);
        let equals = shown(&["import", "x", "--into=postgres://me:secret@h/d"]).0;
        assert_eq!(equals, "parser import --resume x --into=env:IMPORT_INTO");
        for harmless in ["postgres://me@h/d", "env:OTHER", "sqlite:x.db"] {
            assert_eq!(
                shown(&["import", "x", "--into", harmless]).0,
                format!("parser import --resume x --into {harmless}")
            );
        }
        let (command, hints) = shown(&["import", "https://h/x.csv?k=secret", "s3://b/?.csv"]);
        assert_eq!(command, "parser import --resume 'https://h/x.csv?…' 's3://b/?.csv'");
        assert_eq!(hints, [QUERY]);
    }
}
