//! What a body is cut into: records with their places, before anybody has looked inside.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::record;
use crate::backend::importer::Record;
use crate::store::imports::{Finish, NewResult, Place};
use crate::store::objects::Frame;

/// One record as it came.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// Its bytes, or how many there were, if too many.
    pub bytes: Result<Bytes, u64>,
}

impl Item {
    /// A line, unless it is blank.
    pub(super) fn of_line(frame: Frame, ordinal: u64) -> Option<Self> {
        let at = frame.at();
        let place = Place { ordinal, line: Some(at.line), offset: at.offset };
        match frame {
            Frame::Line { bytes, .. } if record::is_blank(&bytes) => None,
            Frame::Line { bytes, .. } => Some(Self { place, bytes: Ok(bytes) }),
            Frame::Oversize { len, .. } => Some(Self { place, bytes: Err(len) }),
        }
    }

    /// How much memory it holds.
    pub(super) fn size(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len) + 128
    }

    /// Its record, or the result of one that cannot be read, with the place in the words.
    pub(super) fn read(&self, longest: usize) -> Result<Record, Box<NewResult>> {
        let place = self.place;
        let failed = |code: &str, message: &str, original| {
            let place_text = match place.line {
                Some(line) => format!("line {line}, byte {}", place.offset),
                None => format!("record {}, byte {}", place.ordinal, place.offset),
            };
            Box::new(NewResult {
                place,
                kind: None,
                source_name: None,
                external_id: None,
                attempts: 0,
                end: Some(Finish::failed(code, format!("{place_text}: {message}"), false)),
                original,
            })
        };
        let too_large = |len: u64| failed("too_large", &format!("{len} bytes, at most {longest} are taken"), None);
        match &self.bytes {
            Err(len) => Err(too_large(*len)),
            Ok(bytes) if bytes.len() > longest => Err(too_large(bytes.len() as u64)),
            Ok(bytes) => {
                record::read(bytes).map_err(|malformed| failed(malformed.code, &malformed.message, Some(bytes.clone())))
            }
        }
    }

    /// Its result to be: created if it can be read, else failed.
    pub(super) fn result(&self, longest: usize) -> NewResult {
        match self.read(longest) {
            Ok(record) => NewResult { original: self.bytes.clone().ok(), ..of_record(self.place, &record) },
            Err(failed) => *failed,
        }
    }
}

/// The result to be of a record that can be read.
pub(super) fn of_record(place: Place, record: &Record) -> NewResult {
    NewResult {
        place,
        kind: Some(record.kind.as_str().to_owned()),
        source_name: Some(record.source_name.clone()),
        external_id: Some(record.external_id.clone()),
        attempts: 0,
        end: None,
        original: None,
    }
}

/// The elements of a JSON array, each as it stands there; `None` if the body is no such array.
pub fn array_items(body: &Bytes) -> Option<Vec<Item>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let start = body.as_ptr() as usize;
    Some(
        (1..)
            .zip(elements)
            .map(|(ordinal, element)| {
                let text = element.get();
                let offset = (text.as_ptr() as usize).saturating_sub(start);
                let place = Place { ordinal, line: None, offset: offset as u64 };
                Item { place, bytes: Ok(body.slice_ref(text.as_bytes())) }
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::array_items;

    #[test]
    fn elements_keep_their_bytes_and_places() {
        let body = Bytes::from_static(b" [ {\"a\": 1},\n  5 ]");
        let items = array_items(&body).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].bytes.as_deref(), Ok(&b"{\"a\": 1}"[..]));
        assert_eq!((items[0].place.ordinal, items[0].place.offset), (1, 3));
        assert_eq!((items[1].place.ordinal, items[1].place.offset), (2, 15));
        assert!(array_items(&Bytes::from_static(b"{}")).is_none());
        assert!(array_items(&Bytes::from_static(b"[1,")).is_none());
        assert_eq!(array_items(&Bytes::from_static(b"[]")).unwrap().len(), 0);
    }
}
