//! TLS and SASL: settings reach the client library, messages go both ways, and what is wrong is said.

use crate::brokers::{Broker, Kind};
use crate::proxy::{PASSWORD, Proxy, USER};
use crate::world::{NODES, World, raw, references};

/// A world whose broker is found only by TLS, and by whoever says who it is. The broker goes with it.
fn secured() -> Option<(World, Broker)> {
    let mut world = World::new("")?;
    let proxy = Proxy::new(world.folder.path())?;
    let broker = Broker::start_behind(Kind::Calfkit, Some(&proxy.address.to_string()))?;
    world.brokers = proxy.address.to_string();
    let authority = proxy.certificate.to_str().unwrap().to_owned();
    proxy.stand_before(&broker.address);
    for (setting, property, value) in [
        ("KAFKA_SECURITY_PROTOCOL", "security.protocol", "sasl_ssl"),
        ("KAFKA_SASL_MECHANISM", "sasl.mechanism", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "sasl.username", USER),
        ("KAFKA_SASL_PASSWORD", "sasl.password", PASSWORD),
        ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location", authority.as_str()),
    ] {
        world.set(setting, value);
        world.properties.push((property.to_owned(), value.to_owned()));
    }
    Some((world, broker))
}

#[test]
fn messages_go_both_ways_by_tls_for_whoever_says_who_it_is() {
    let Some((mut world, _broker)) = secured() else { return };
    world.topic(&world.users(), 2);
    world.send(&world.users(), &[references("g", &["a"]), raw("junk"), references("g", &["b"])]);
    let consumer = world.consume_with(&[("LOG_LEVEL", "debug")]);
    world.until(NODES, 2);
    assert_eq!(world.ends(3).len(), 3);
    // Readers and other producers, too.
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 1);
    let replayed = world.json(&["dlq", "replay", "--json"]);
    assert_eq!(replayed["replayed"].as_array().unwrap().len(), 1, "{replayed}");
    world.wait_for(&world.dead_letters(), 2);
    assert!(!consumer.log().contains(PASSWORD));
    assert_eq!(consumer.stop(), Some(0));

    // Nobody else gets in: it ends, and says what to look at.
    world.set("KAFKA_SASL_PASSWORD", "wrong");
    let refused = world.run(&["consume"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("KAFKA_SASL") && !said.contains(PASSWORD), "{said}");
    // Before its broker, for it looks into topics once more.
    drop(world);
}

#[test]
fn a_broker_whom_nobody_vouches_for_is_told_nothing() {
    let Some((mut world, _broker)) = secured() else { return };
    // The system's authorities do not know it.
    world.set("KAFKA_SSL_CA_LOCATION", "");
    let consumer = world.consume();
    consumer.says("certificate");
    assert!(!consumer.log().contains("partitions assigned"));
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn settings_that_cannot_be_used_end_it_before_anything_begins() {
    let Some(mut world) = World::new("127.0.0.1:1") else { return };
    let base = world.env.clone();
    for (settings, word) in [
        (&[("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_LOCATION", "/none/such.pem")][..], "KAFKA_SSL"),
        (&[("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"), ("KAFKA_SASL_MECHANISM", "TELEPATHY")], "KAFKA_SASL"),
        (&[("KAFKA_SECURITY_PROTOCOL", "tin_cans")], "security.protocol"),
        (&[("KAFKA_PROPERTIES", "no.such.thing=1")], "no.such.thing"),
        (&[("KAFKA_PROPERTIES", "linger.ms=1,delivery.timeout.ms=1")], "delivery.timeout.ms"),
        (&[("KAFKA_PROPERTIES", "message.timeout.ms=600000")], "message.timeout.ms"),
        (&[("KAFKA_TOPICS", "[a-z"), ("KAFKA_CATALOGUE_TOPICS", "x")], "subscribed"),
    ] {
        world.env.clone_from(&base);
        for (name, value) in settings {
            world.set(name, value);
        }
        let done = world.run(&["consume"]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{settings:?}: {said}");
        assert!(said.contains(word) && said.contains("hint:"), "{settings:?}: {said}");
    }
}
