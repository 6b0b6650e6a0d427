//! Several servers on one database share the work, and one of them may die.

use serde_json::json;

use crate::place::{LINES, Place, lines, record};

#[test]
fn two_servers_share_the_work_and_one_dies() {
    let Some(place) = Place::postgres() else { return };
    let mut first = place.serve_hastily(&[]);
    let second = place.serve();
    let import = first.import(&json!({ "source": "s" }));
    let sent = first.send(&import, &[LINES], &lines((1..=2000).map(record)));
    assert_eq!(sent.status, 202, "{}", sent.text);
    second.until(&import, |import| import["results"]["completed"].as_u64() > Some(200));
    first.kill();
    let ended = second.finalise(&import);
    assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(2000)));
    let results = second.ask("GET", &format!("{import}/results"), &[("Accept", "application/x-ndjson")], b"").lines();
    assert_eq!(results.len(), 2000);
    assert!(results.iter().all(|result| result["change"] == "created"), "a record was done twice");
    assert_eq!(place.dump().matches("\"table\":\"series\"").count(), 2000);
    // Both have worked: what they did is in their own metrics.
    let worked = second.ask("GET", "/metrics", &[], b"").text;
    let done: u64 = worked
        .lines()
        .filter(|line| line.starts_with("parser_import_records_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(done > 0 && done < 2000, "the second server did {done} of 2000");
}
