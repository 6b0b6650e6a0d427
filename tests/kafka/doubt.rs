//! The answer to a commit is lost: the store has it, and nobody was told. What was done is not done again, and what it
//! has to tell is told, once.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::brokers;
use crate::world::{NODES, World, raw, references};

/// Stands between a consumer and its database, and swallows one answer.
struct Forgetful {
    address: SocketAddr,
    /// The next commit after a letter was written is carried out, but its answer is lost, with the connection.
    armed: Arc<AtomicBool>,
}

impl Forgetful {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let armed = Arc::new(AtomicBool::new(true));
        let shared = Arc::clone(&armed);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let armed = Arc::clone(&shared);
                let swallowing = Arc::new(AtomicBool::new(false));
                let (from, to, tell) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&swallowing));
                std::thread::spawn(move || forwards(from, to, &armed, &tell));
                std::thread::spawn(move || backwards(server, client, &swallowing));
            }
        });
        Self { address, armed }
    }
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn forwards(mut client: TcpStream, mut server: TcpStream, armed: &AtomicBool, swallow: &AtomicBool) {
    let (mut buffer, mut letter) = (vec![0; 64 << 10], false);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..count];
        letter |= holds(bytes, b"INSERT INTO message_outbox");
        if letter && holds(bytes, b"COMMIT\0") && armed.swap(false, Ordering::SeqCst) {
            swallow.store(true, Ordering::SeqCst);
        }
        if server.write_all(bytes).is_err() {
            return;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Write);
}

fn backwards(mut server: TcpStream, mut client: TcpStream, swallow: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if swallow.load(Ordering::SeqCst) {
            // It is committed: this was the answer.
            break;
        }
        if client.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_done_and_is_told_once() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    let url = url::Url::parse(&world.url).unwrap();
    let server = SocketAddr::new(url.host_str().unwrap().parse().unwrap(), url.port().unwrap());
    let forgetful = Forgetful::before(server);
    let mut through = url.clone();
    through.set_port(Some(forgetful.address.port())).unwrap();
    world.topic(&world.users(), 1);
    // Two that are done, one that is not understood, two more: all in the first transaction.
    world.send(&world.users(), &[references("g", &["n1"]), references("g", &["n2"]), raw("poison")]);
    world.send(&world.users(), &[references("g", &["n3"])]);
    let consumer = world.consume_with(&[("DATABASE_URL", through.as_str()), ("KAFKA_INSTANCE_ID", "one")]);
    // What comes afterwards is not held up, and what was committed is told while this process lives.
    world.until("SELECT count(*) FROM message_job", 4);
    assert!(!forgetful.armed.load(Ordering::SeqCst), "no commit was swallowed");
    world.send(&world.users(), &[references("g", &["n4"])]);
    world.until("SELECT count(*) FROM message_job", 5);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 6);
    assert_eq!(world.ends(5).len(), 5);
    assert_eq!(world.read(&world.dead_letters()).len(), 1);
    assert_eq!(world.count(NODES), 4);
    assert_eq!(world.count("SELECT count(*) FROM import_record"), 4, "one import for each request");
    assert_eq!(consumer.stop(), Some(0));
}
