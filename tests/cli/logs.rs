//! Off the terminal: one structured line for each event on standard error, data on standard output, no colours.

use serde_json::Value;

use crate::world::World;

#[test]
fn text_logs_are_a_line_for_each_event_without_colours() {
    let world = World::new();
    let ran = world.full(0);
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stdout.contains('\u{1b}'), "{ran}");
    let events: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("20")).collect();
    let count = |what: &str| events.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count(" INFO title finished series="), 65, "{ran}");
    assert_eq!((count(" INFO run started"), count(" INFO run ended"), count(" INFO page landed")), (1, 1, 2));
    assert!(!ran.stdout.contains("title finished"), "data only on standard output: {ran}");
}

#[test]
fn json_logs_are_json_to_the_last_line() {
    let mut world = World::new();
    for flag in [false, true] {
        let ran = if flag {
            world.run(&["--log-format", "json", "run", "--mode", "full"]).expect(0)
        } else {
            world.set("LOG_FORMAT", "json");
            let ran = world.full(0);
            world.unset("LOG_FORMAT");
            ran
        };
        let lines: Vec<Value> = ran
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{ran}");
        let finished = lines.iter().filter(|line| line["message"] == "title finished").count();
        assert_eq!(finished, 65);
        assert!(lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.starts_with("catalogue: "))));
    }
}

#[test]
fn json_errors_carry_their_hint() {
    let mut world = World::new();
    world.set("LOG_FORMAT", "json");
    world.set("KODIK_API_TOKEN", "bad");
    let ran = world.full(3);
    let last: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("the token is refused"), "{last}");
    assert!(last["hint"].as_str().unwrap().contains("KODIK_API_TOKEN"), "{last}");

    world.unset("KODIK_API_TOKEN");
    let ran = world.full(2);
    let last: Value = serde_json::from_str(ran.stderr.trim()).unwrap_or_else(|error| panic!("{error}: {ran}"));
    assert!(last["message"].as_str().unwrap().contains("KODIK_API_TOKEN"), "{last}");
}

#[test]
fn levels_are_obeyed() {
    let mut world = World::new();
    world.set("LOG_LEVEL", "warn");
    let ran = world.full(0);
    assert!(!ran.stderr.contains(" INFO "), "{ran}");
    let ran = world.run(&["--log-level", "debug", "run", "--mode", "full"]).expect(0);
    assert!(ran.stderr.contains("DEBUG"), "a flag wins over the environment: {ran}");
}

#[test]
fn colours_are_off_where_nobody_wants_them() {
    let mut world = World::new();
    world.set("NO_COLOR", "1");
    assert!(!world.full(0).stderr.contains('\u{1b}'));
    // A terminal is wanted for colours: `script` lends one.
    let in_terminal = |world: &World| {
        let binary = env!("CARGO_BIN_EXE_parser");
        let mut command = world.command(&[]);
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &format!("{binary} --log-level info run --mode full --limit 3"), "/dev/null"]);
        script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script
            .env("TERM", "xterm")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(world.root())
            .stdin(std::process::Stdio::null());
        command = script;
        command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(plain) = in_terminal(&world) else { return };
    world.unset("NO_COLOR");
    let Some(coloured) = in_terminal(&world) else { return };
    let level = "\u{1b}[32m INFO\u{1b}[0m";
    assert!(coloured.contains(level), "a terminal has colours: {coloured}");
    assert!(!plain.contains(level) && plain.contains(" INFO "), "unless they are not wanted: {plain}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new();
    let mut command = world.command(&["completions", "bash"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
