//! A record as it is sent: read strictly, whole or not at all, with a reason for whoever sent it.

use crate::backend::importer::Record;

/// Deeper JSON is nobody's record.
const DEEPEST: usize = 64;

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: String,
}

/// Reads one record.
pub(super) fn read(bytes: &[u8]) -> Result<Record, Malformed> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let message = format!("not UTF-8 from byte {} of the record on", error.valid_up_to());
        return Err(Malformed { code: "invalid_utf8", message });
    }
    if depth(bytes) > DEEPEST {
        return Err(Malformed { code: "too_deep", message: format!("nested deeper than {DEEPEST}") });
    }
    Record::parse(bytes).map_err(|refused| Malformed { code: refused.code, message: refused.to_string() })
}

/// Is there nothing but white space?
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// How deeply brackets are nested, strings aside; without a parser, whose own nesting it is there to bound.
pub fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::read;

    fn code(bytes: &[u8]) -> &'static str {
        read(bytes).map_or_else(|malformed| malformed.code, |_| "ok")
    }

    #[test]
    fn what_is_no_text_or_too_deep_is_not_parsed() {
        let good = br#"{"kind":"series","source_name":"s","external_id":"1","payload":{"title":"T"}}"#;
        assert_eq!(code(good), "ok");
        assert_eq!(code(&good[..good.len() - 1]), "malformed");
        assert_eq!(code(b"{\"kind\":\"\xff\"}"), "invalid_utf8");
        assert_eq!(code("[".repeat(100).as_bytes()), "too_deep");
    }
}
