//! What is written about settings and exit codes is what the program does.

use parser::config::{SETTINGS, dotenv_example, markdown_table};

use crate::world::World;

fn file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_example_of_dotenv_lists_every_setting() {
    // To mend it: PARSER_UPDATE_DOCS=1 cargo test --test cli docs
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    if std::env::var_os("PARSER_UPDATE_DOCS").is_some() {
        std::fs::write(path, dotenv_example()).unwrap();
        return;
    }
    assert_eq!(file(".env.example"), dotenv_example());
}

#[test]
fn the_example_is_a_valid_dotenv_whose_values_are_the_defaults() {
    let mut world = World::new();
    let example = dotenv_example();
    let text = example.lines().map(|line| {
        // As a person would who takes every line into use.
        let setting = line.strip_prefix('#').filter(|rest| rest.split('=').next().is_some_and(is_name));
        format!("{}\n", setting.unwrap_or(line))
    });
    std::fs::write(world.root().join(".env"), text.collect::<String>()).unwrap();
    for name in ["STATE_PATH", "BACKOFF_BASE_SECONDS"] {
        world.unset(name);
    }
    let diagnosis = world.run(&["diagnose", "--offline", "--json"]).expect(0).json();
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        let shown = diagnosis["settings"].as_array().unwrap().iter().find(|shown| shown["name"] == setting.name);
        let shown = shown.unwrap_or_else(|| panic!("{} is not shown", setting.name));
        if shown["origin"] == ".env" {
            assert_eq!(shown["value"], setting.default, "{}", setting.name);
        } else {
            assert_eq!(shown["origin"], "environment", "{}: the line does not count", setting.name);
        }
    }
}

fn is_name(text: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == text)
}

#[test]
fn the_readme_has_the_table_of_settings() {
    // To mend it: PARSER_UPDATE_DOCS=1 cargo test --test cli docs
    let readme = file("README.md");
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let (head, rest) = readme.split_once(begin).expect("the README marks the table");
    let (table, tail) = rest.split_once(end).expect("the README marks the table's end");
    if std::env::var_os("PARSER_UPDATE_DOCS").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        std::fs::write(path, format!("{head}{begin}{}{end}{tail}", markdown_table())).unwrap();
        return;
    }
    assert_eq!(table.trim(), markdown_table().trim());
}

#[test]
fn the_readme_has_every_exit_code() {
    let readme = file("README.md");
    for code in ["0", "1", "2", "3", "4", "5", "130", "143"] {
        let listed = readme.lines().any(|line| line.starts_with('|') && line.contains(code));
        assert!(listed, "exit code {code} is in no table of the README");
    }
}

#[test]
fn help_names_every_flag_that_stands_for_a_setting() {
    let help = World::new().run(&["run", "--help"]).expect(0).stdout;
    for name in ["STATE_PATH", "LOG_LEVEL", "LOG_FORMAT", "REPORT_PATH", "METRICS_FILE", "CONCURRENCY"] {
        assert!(is_name(name) && help.contains(name), "{name}: {help}");
    }
}
