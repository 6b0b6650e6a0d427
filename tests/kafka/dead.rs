//! Dead letters: listed, shown, replayed, discarded; on the command line and in the dashboard.

use serde_json::json;

use crate::brokers;
use crate::world::{NODES, Sent, World, header, raw, references};

#[test]
fn dead_letters_are_replayed_once_what_was_wrong_is_mended() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    // As it is unless somebody says otherwise.
    world.set("KAFKA_UNKNOWN_GROUPS", "");
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
    assert!(shown.contains("junk") && shown.contains("malformed: `message` is not JSON"), "{shown}");

    // Whatever does not exist is not there to be dealt with; nothing is done about the others either.
    let id = id.as_str().unwrap();
    for action in ["replay", "discard"] {
        let unknown = world.run(&["dlq", action, id, "none-such"]);
        let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
        assert_eq!(unknown.status.code(), Some(2), "{said}");
        assert!(said.contains("no dead letter `none-such`") && !said.contains(id), "{said}");
    }
    assert_eq!(world.run(&["dlq", "show", id, "--since", "1h"]).status.code(), Some(2));

    // Nothing is done in a dry run; what is discarded is listed no more.
    for action in ["replay", "discard"] {
        assert_eq!(world.json(&["dlq", action, "--dry-run", "--json", "--since", "2999-01-01"])["count"], 0);
        assert_eq!(world.json(&["dlq", action, "--dry-run", "--json", "--since", "1h"])["count"], 3);
        let none = world.json(&["dlq", action, "--json", "--since", "2999-01-01"]);
        assert_eq!(none["failed"], json!([]));
    }
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 3);
    assert_eq!(world.json(&["dlq", "replay", "--dry-run", "--json"])["count"], 3);
    let killed = |point: &str| {
        let mut command = world.command(&["dlq", "discard", "--reason", "^malformed", "--json"]);
        let died = command.env("PARSER_CRASH_AT", format!("{point}=1")).output().unwrap();
        assert_eq!(died.status.code(), None, "{point}: {}", String::from_utf8_lossy(&died.stderr));
        world.json(&["dlq", "list", "--json"])["count"].clone()
    };
    assert_eq!(killed("dead_letters.settle.before_commit"), 3);
    let discarded = world.json(&["dlq", "discard", "--reason", "^malformed", "--json"]);
    assert_eq!(discarded["discarded"], json!([id]));
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 2);
    assert_eq!(world.json(&["dlq", "list", "--all", "--json"])["count"], 3);
    let again = world.run(&["dlq", "discard", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("it is discarded already"));

    // The group is still unknown: the replay is a dead letter of its own that counts.
    let replayed = world.json(&["dlq", "replay", "--reason", "group `h`", "--json"]);
    assert_eq!(replayed["replayed"].as_array().unwrap().len(), 1, "{replayed}");
    world.wait_for(&world.dead_letters(), 4);
    let again = world.json(&["dlq", "list", "--reason", "group `h`", "--json"]);
    assert_eq!((&again["count"], &again["letters"][0]["replays"]), (&json!(1), &json!(1)));

    let made = world.json(&["groups", "add", "--domain", "acme", "g", "h", "h", "--json"]);
    assert_eq!(made, json!({ "made": ["g", "h"], "known": [] }));
    let all = world.json(&["dlq", "replay", "--json"]);
    assert_eq!(all["replayed"].as_array().unwrap().len(), 2, "{all}");
    world.until(NODES, 2);
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 0);
    let sent = world.read(&world.users());
    let times: Vec<_> = sent.iter().filter_map(|one| header(one, "parser-replays")).collect();
    assert_eq!(times.len(), 3);
    assert!(times.contains(&"2".to_owned()), "{times:?}");
    assert!(sent.iter().all(|one| header(one, "__connect.errors.topic").is_none()));
    // Killed when it was done, it stays done.
    world.send(&world.users(), &[raw("more junk")]);
    world.wait_for(&world.dead_letters(), 5);
    assert_eq!(killed("dead_letters.settle.after_commit"), 0);
    // Three refused, one of them again; then two that went well, and one refused.
    assert_eq!(world.ends(7).len(), 7);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn what_is_dealt_with_is_told_before_the_rest_fails() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.topic(&world.users(), 1);
    let headers = vec![("odd".to_owned(), Some(vec![0xff, 0xfe]))];
    let mut sent = vec![Sent { headers, ..raw("odd") }];
    sent.extend((0..599).map(|number| raw(&format!("junk {number}"))));
    world.send(&world.users(), &sent);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1200);
    assert_eq!(consumer.stop(), Some(0));
    let odd = world.json(&["dlq", "list", "--json", "--limit", "1000"]);
    let odd = odd["letters"].as_array().unwrap().iter().find(|letter| letter["value"] == "odd").unwrap();
    for header in [json!(["odd", null, "//4="]), json!(["__connect.errors.task.id", "0"])] {
        assert!(odd["headers"].as_array().unwrap().contains(&header), "{header}: {odd}");
    }

    let mut command = world.command(&["dlq", "discard"]);
    let died = command.env("PARSER_CRASH_AT", "dead_letters.settle.before_commit=2").output().unwrap();
    assert_eq!(died.status.code(), None);
    let told = String::from_utf8(died.stdout).unwrap();
    let left = world.json(&["dlq", "list", "--json"])["count"].clone();
    assert_eq!((told.matches("malformed").count(), left), (500, json!(100)));
}

/// `parser serve --consume` on a free port.
pub(crate) struct Served {
    child: std::process::Child,
    pub(crate) address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) const TOKEN: &str = "a-token-that-is-long-enough-for-everybody";

pub(crate) fn serve(world: &World) -> Served {
    use std::io::BufRead as _;
    let mut command = world.command(&["serve", "--consume", "--listen", "127.0.0.1:0"]);
    let mut child = command.env("INTERNAL_TOKEN", TOKEN).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    Served { child, address }
}

#[tokio::test]
async fn a_server_consumes_too_and_its_dashboard_deals_with_dead_letters() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["a"]), raw("<script>"), raw("junk")]);
    let mut served = serve(&world);
    world.until(NODES, 1);
    world.wait_for(&world.dead_letters(), 2);

    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let post = |path: String, cookie: String, form: Vec<(String, String)>| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = client.post(path).header("Cookie", cookie).body(body);
        request.header("Content-Type", "application/x-www-form-urlencoded").send()
    };
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let at = |path: &str| format!("{}{path}", served.address);
    let entered = post(at("/login"), String::new(), vec![field("token", TOKEN)]).await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let get = |path: &str| client.get(at(path)).header("Cookie", &cookie).send();

    let page = get("/dead-letters").await.unwrap().text().await.unwrap();
    assert_eq!(page.matches("malformed: `message` is not JSON").count(), 2, "{page}");
    let none = get("/dead-letters?since=2999-01-01").await.unwrap().text().await.unwrap();
    assert!(none.contains("None that fit") && none.contains("value=\"2999-01-01\""), "{none}");
    assert_eq!(get("/dead-letters?since=yesterday").await.unwrap().status(), 400);
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let link = page.split("href=\"/dead-letters/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let one = get(&format!("/dead-letters/{link}")).await.unwrap().text().await.unwrap();
    assert!(one.contains("__connect.errors.offset") && !one.contains("<script>\n"), "{one}");

    // Without the form's token nothing is done.
    let refused = post(at(&format!("/dead-letters/{link}/discard")), cookie.clone(), vec![]).await.unwrap();
    assert_eq!(refused.status(), 403);
    let done = post(at(&format!("/dead-letters/{link}/discard")), cookie.clone(), vec![field("form_token", &token)]);
    assert_eq!(done.await.unwrap().headers()["location"], "/dead-letters?done=discarded-1-0");
    assert_eq!(get("/dead-letters/none-such").await.unwrap().status(), 404);
    let late = vec![field("form_token", &token), field("since", "2999-01-01")];
    let late = post(at("/dead-letters/replay"), cookie.clone(), late).await.unwrap();
    assert_eq!(late.headers()["location"], "/dead-letters?done=replayed-0-0&since=2999-01-01");
    let replayed = vec![field("form_token", &token), field("reason", "^malformed"), field("since", "1h")];
    let replayed = post(at("/dead-letters/replay"), cookie.clone(), replayed).await.unwrap();
    assert!(replayed.headers()["location"].to_str().unwrap().starts_with("/dead-letters?done=replayed-1-0"));
    // It is refused again, as a letter of its own.
    world.wait_for(&world.dead_letters(), 3);
    let page = get("/dead-letters?all=1").await.unwrap().text().await.unwrap();
    for badge in [">open<", ">replayed<", ">discarded<"] {
        assert!(page.contains(badge), "{badge}: {page}");
    }
    let asked = std::process::Command::new("kill").arg(served.child.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}
