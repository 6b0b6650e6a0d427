//! Messages that no client library would send, written as bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rdkafka::message::Message as _;

use crate::brokers;
use crate::world::{NODES, World, header, references};

/// CRC-32C, as record batches have it.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// A number as records write it: zigzag, seven bits a byte.
fn number(value: i64, out: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap());
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    number(i64::try_from(value.len()).unwrap(), out);
    out.extend(value);
}

/// A batch of one record.
fn batch(value: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut record = vec![0, 0, 0, 1];
    bytes(value, &mut record);
    number(i64::try_from(headers.len()).unwrap(), &mut record);
    for (name, value) in headers {
        bytes(name, &mut record);
        bytes(value, &mut record);
    }
    // Attributes, last offset, both times, no producer, one record.
    let mut checked = vec![0; 2 + 4];
    // Of today: by an old time a broker might drop it at once.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap().to_be_bytes();
    checked.extend([now, now].concat());
    checked.extend([0xff; 8 + 2 + 4]);
    checked.extend([0, 0, 0, 1]);
    bytes(&record, &mut checked);
    let mut batch = vec![0; 8];
    // Behind the length: the leader's epoch, the format, the checksum, and what is checked.
    batch.extend(u32::try_from(4 + 1 + 4 + checked.len()).unwrap().to_be_bytes());
    batch.extend([0xff, 0xff, 0xff, 0xff, 2]);
    batch.extend(checksum(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

/// Produces a batch to partition 0 of a topic.
fn produce(broker: &str, topic: &str, batch: &[u8]) {
    let mut request = vec![0, 0, 0, 3, 0, 0, 0, 7, 0, 1, b't'];
    // No transaction, all replicas, ten seconds, one topic.
    request.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0x27, 0x10, 0, 0, 0, 1]);
    request.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    request.extend(u32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, topics, name, partitions, partition, and then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "{answer:?}");
}

#[test]
fn a_header_whose_name_is_no_text_stops_nothing() {
    for broker in brokers::each() {
        let Some(world) = World::new(&broker.address) else { return };
        world.topic(&world.users(), 1);
        let good = references("g", &["a"]).value;
        let odd: &[(&[u8], &[u8])] = &[(b"first", b"1"), (b"\xff\xfe", b"2"), (b"last", b"3")];
        produce(&broker.address, &world.users(), &batch(good.as_bytes(), odd));
        produce(&broker.address, &world.users(), &batch(b"junk", odd));
        world.send(&world.users(), &[references("g", &["b"])]);
        let consumer = world.consume();
        world.until(NODES, 2);
        assert_eq!(world.ends(3).len(), 3);
        let dead = world.wait_for(&world.dead_letters(), 1);
        assert_eq!(dead[0].payload(), Some(&b"junk"[..]));
        // The others are as they were.
        assert_eq!(header(&dead[0], "first").as_deref(), Some("1"));
        assert_eq!(header(&dead[0], "last").as_deref(), Some("3"));
        assert_eq!(consumer.stop(), Some(0));
    }
}
