//! What the program says about itself.

use crate::world::World;

/// Help as it is printed, without what changes with every build.
fn printed(args: &[&str]) -> String {
    World::new().run(args).expect(0).stdout
}

#[test]
fn help_is_as_it_was() {
    insta::assert_snapshot!("help", printed(&["--help"]));
    insta::assert_snapshot!("help_short", printed(&["-h"]));
    insta::assert_snapshot!("help_run", printed(&["run", "--help"]));
    insta::assert_snapshot!("help_diagnose", printed(&["diagnose", "--help"]));
    insta::assert_snapshot!("help_state", printed(&["state", "--help"]));
    insta::assert_snapshot!("help_sandbox", printed(&["sandbox", "--help"]));
}

#[test]
fn version_tells_commit_and_features() {
    let text = printed(&["--version"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(concat!("parser ", env!("CARGO_PKG_VERSION"))));
    let commit = lines.next().and_then(|line| line.strip_prefix("commit: ")).unwrap();
    assert!(commit == "unknown" || commit.chars().all(|c| c.is_ascii_hexdigit() || "-dirty".contains(c)), "{commit}");
    assert!(lines.next().is_some_and(|line| line.starts_with("features: ") && line.contains("sqlite")), "{text}");
    assert_eq!(printed(&["-V"]).trim(), concat!("parser ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_help_lists_the_exit_codes() {
    for args in [&["--help"][..], &["-h"], &["run", "--help"], &["diagnose", "--help"]] {
        let text = printed(args);
        for code in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  3 ", "\n  4 ", "\n  5 ", "\n  130 ", "143"] {
            assert!(text.contains(code), "{code:?} is missing in {args:?}: {text}");
        }
    }
}

#[test]
fn without_a_command_help_is_shown_and_it_is_usage() {
    World::new().run(&[]).expect(2).says(&["Usage: parser", "Commands:"]);
}

#[test]
fn completions_for_bash_are_a_script_that_bash_takes() {
    let world = World::new();
    let script = world.output("completions.bash");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    let ask = format!(
        "source {} && COMP_WORDS=(parser run --mo) COMP_CWORD=2 && _parser parser --mo run && echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = std::process::Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("--mode"), "{output:?}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(printed(&["completions", shell]).contains("from-landing"), "{shell}");
    }
}

#[test]
fn without_kafka_its_commands_are_usage_and_say_what_is_missing() {
    let missing = if cfg!(feature = "kafka") {
        ["KAFKA_BROKERS is not set", "hint: "]
    } else {
        ["no Kafka support", "--features kafka"]
    };
    for args in [&["consume"][..], &["dlq", "list"]] {
        World::new().run(args).expect(2).says(&missing);
    }
}
