//! What a status message is too short for, groups that are not there, and keys that are used again.

use serde_json::{Value, json};

use crate::brokers;
use crate::dead::{TOKEN, serve};
use crate::world::{NODES, World, file, key, references};

#[tokio::test]
async fn a_list_that_is_cut_leads_to_all_of_it() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_STATUS_LIST", "3");
    world.set("KAFKA_UNKNOWN_GROUPS", "");
    world.set("IMPORT_BULK_ROWS", "2");
    world.topic(&world.users(), 1);
    // In the order of the file, not of their names; `z` stands twice in a piece, and `far` is no group.
    let text =
        "id,group\nz,known\nz,known\ny,known\ny1,far\nx,known\n,known\nw,known\nw1,far\nv,known\nu1,far\nt1,far\n";
    std::fs::write(world.path("file.csv"), text).unwrap();
    std::fs::write(world.path("strangers.csv"), "id,group\na,far\nb,far\n").unwrap();
    assert_eq!(world.run(&["groups", "add", "--domain", "acme", "known"]).status.code(), Some(0));
    let few = references("known", &["p", "q"]).key("few");
    let many = references("known", &["5", "4", " ", "3", "2", "1"]).key("many");
    world.send(&world.users(), &[few, many, file("file.csv").key("file"), file("strangers.csv").key("strangers")]);
    let served = serve(&world);
    let ends = world.ends(4);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let get = async |path: &str, accept: &str| {
        let request = client.get(format!("{}{path}", served.address)).header("Accept", accept);
        let answer = request.header("X-Internal-Token", TOKEN).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let page = async |path: &str| -> Value {
        let (status, text) = get(path, "application/json").await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let with = |processed: u64, total: u64| {
        let found = ends
            .values()
            .find(|end| (end["processed"].as_u64(), end["total"].as_u64()) == (Some(processed), Some(total)));
        found.unwrap_or_else(|| panic!("{processed} of {total}: {ends:?}"))
    };
    let link = |end: &Value, list: &str| end["more"][list].as_str().unwrap_or_else(|| panic!("{end}")).to_owned();

    // Everything stands in the message itself.
    let whole = with(2, 2);
    assert_eq!((&whole["successList"], whole.get("more")), (&json!(["p", "q"]), None));
    let of_few = format!("/api/v1/imports/{}/references", whole["importId"].as_str().unwrap());
    let (status, refused) = get(&of_few, "application/json").await;
    assert!(status == 404 && refused.contains("references_not_kept"), "{status} {refused}");

    let cut = with(5, 6);
    assert_eq!((&cut["successList"], &cut["failedList"]), (&json!(["5", "4", "3"]), &json!([" "])));
    assert_eq!(cut["more"].get("failedList"), None);
    let all = page(&link(cut, "successList")).await;
    assert_eq!(all, json!({ "items": ["5", "4", "3", "2", "1"], "next_cursor": null }));

    let cut = with(6, 11);
    assert_eq!((&cut["status"], &cut["successList"]), (&json!("FAILED"), &json!(["z", "y", "x"])));
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let got = page(&format!("{}{cursor}", link(cut, "successList"))).await;
        found.extend(got["items"].as_array().unwrap().iter().cloned());
        pages += 1;
        let Some(next) = got["next_cursor"].as_str() else { break };
        cursor = format!("?cursor={next}");
    }
    assert_eq!((found, pages > 2), (["z", "y", "x", "w", "v"].map(Value::from).to_vec(), true));
    let lines = get(&link(cut, "successList"), "application/x-ndjson").await;
    assert_eq!(lines, (200, "\"z\"\n\"y\"\n\"x\"\n\"w\"\n\"v\"\n".to_owned()));
    let failed = page(&link(cut, "failedList")).await;
    let mut codes: Vec<_> = failed["items"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    codes.sort_by_key(Value::to_string);
    assert_eq!(codes, ["reference_missing", "unknown_group", "unknown_group", "unknown_group", "unknown_group"]);

    // A file of nothing but strangers is to be sent again, once their groups are there.
    with(0, 2);
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!((dead.len(), key(&dead[0]).unwrap()), (1, "strangers".to_owned()));
    let domains = world.json(&["groups", "list", "--json"]);
    assert_eq!(domains["groups"].as_array().unwrap().len(), 1, "{domains}");
    assert_eq!(world.run(&["groups", "add", "--domain", "acme", "far"]).status.code(), Some(0));
    assert_eq!(world.json(&["dlq", "replay", "--json"])["replayed"].as_array().unwrap().len(), 1);
    world.until(NODES, 14);
}

#[test]
fn where_keys_alone_count_the_first_request_of_a_key_is_done_and_no_other() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_SAME_KEY", "duplicate");
    world.topic(&world.users(), 1);
    let sent = [
        references("g", &["a"]).key("k"),
        references("g", &["b"]).key("k"),
        references("g", &["c"]).key("l"),
        references("g", &["d"]),
    ];
    world.send(&world.users(), &sent);
    let consumer = world.consume();
    world.until(NODES, 3);
    // Whoever comes later, and in another process, too.
    world.send(&world.users(), &[references("g", &["e"]).key("l"), references("g", &["f"]).key("m")]);
    world.until(NODES, 4);
    assert_eq!(consumer.stop(), Some(0));
    world.send(&world.users(), &[references("g", &["h"]).key("m"), references("g", &["i"])]);
    let consumer = world.consume();
    world.until(NODES, 5);
    let ids = world.sql("SELECT reference_id FROM nodes ORDER BY reference_id");
    assert_eq!(ids.concat(), ["a", "c", "d", "f", "i"]);
    let told: Vec<_> = world.ends(5).into_values().map(|end| end["successList"][0].clone()).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(consumer.stop(), Some(0));
}
