//! Dead letters: listed, shown, replayed, discarded; on the command line and in the dashboard.

use serde_json::json;

use crate::brokers;
use crate::world::{NODES, World, header, raw, references};

#[test]
fn dead_letters_are_replayed_once_what_was_wrong_is_mended() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_UNKNOWN_GROUPS", "refuse");
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["a"]).key("k"), raw("junk"), references("h", &["b"])]);
    let consumer = world.consume();
    world.wait_for(&world.dead_letters(), 3);

    let listed = world.json(&["dlq", "list", "--json"]);
    assert_eq!((listed["count"].as_u64(), listed["letters"].as_array().unwrap().len()), (Some(3), 3));
    let unknown = world.json(&["dlq", "list", "--json", "--reason", "^unknown_group"]);
    assert_eq!(unknown["count"], 2);
    assert_eq!(world.json(&["dlq", "list", "--json", "--since", "2999-01-01"])["count"], 0);
    assert_eq!(world.json(&["dlq", "list", "--json", "--since", "1h"])["count"], 3);
    let id = listed["letters"].as_array().unwrap().iter().find(|one| one["value"] == "junk").unwrap()["id"].clone();
    let shown = world.run(&["dlq", "show", id.as_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("junk") && shown.contains("malformed: it is not JSON"), "{shown}");

    // Nothing is done in a dry run; what is discarded is listed no more.
    assert_eq!(world.json(&["dlq", "replay", "--dry-run", "--json"])["count"], 3);
    let discarded = world.json(&["dlq", "discard", "--reason", "^malformed", "--json"]);
    assert_eq!(discarded["discarded"], json!([id]));
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 2);
    assert_eq!(world.json(&["dlq", "list", "--all", "--json"])["count"], 3);

    // The group is still unknown: the replay is a dead letter of its own that counts.
    let replayed = world.json(&["dlq", "replay", "--reason", "group `h`", "--json"]);
    assert_eq!(replayed["replayed"].as_array().unwrap().len(), 1, "{replayed}");
    world.wait_for(&world.dead_letters(), 4);
    let again = world.json(&["dlq", "list", "--reason", "group `h`", "--json"]);
    assert_eq!((&again["count"], &again["letters"][0]["replays"]), (&json!(1), &json!(1)));

    world.sql("INSERT INTO domains VALUES ('acme', now()) ON CONFLICT DO NOTHING");
    world.sql(
        "INSERT INTO matching_groups SELECT gen_random_uuid(), 'acme', name, now() FROM (VALUES ('g'), ('h')) AS t (name)",
    );
    let all = world.json(&["dlq", "replay", "--json"]);
    assert_eq!(all["replayed"].as_array().unwrap().len(), 2, "{all}");
    world.until(NODES, 2);
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 0);
    let sent = world.read(&world.users());
    let times: Vec<_> = sent.iter().filter_map(|one| header(one, "parser-replays")).collect();
    assert_eq!(times.len(), 3);
    assert!(times.contains(&"2".to_owned()), "{times:?}");
    assert!(sent.iter().all(|one| header(one, "__connect.errors.topic").is_none()));
    // Three refused, one of them again; then two that went well.
    assert_eq!(world.ends(6).len(), 6);
    assert_eq!(consumer.stop(), Some(0));
}
