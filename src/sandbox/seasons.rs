//! Seasons of a material and the compact notation of their episodes.

/// A season of a material.
#[derive(Debug, Clone)]
pub(crate) struct Season {
    pub(crate) key: String,
    pub(crate) title: Option<String>,
    pub(crate) episodes: Vec<Span>,
}

/// Consecutive episodes, or one with a key that is not a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    /// First to last, both included.
    Range(u32, u32),
    /// `1-2`: two episodes joined in one video.
    Key(String),
}

impl Season {
    /// How many episodes it has.
    pub(crate) fn count(&self) -> u32 {
        self.episodes.iter().map(|span| if let Span::Range(from, to) = span { to - from + 1 } else { 1 }).sum()
    }

    /// The highest plain number.
    pub(crate) fn last(&self) -> u32 {
        self.episodes
            .iter()
            .filter_map(|span| if let Span::Range(_, to) = span { Some(*to) } else { None })
            .max()
            .unwrap_or(0)
    }

    /// Whether a plain number is in it.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.episodes.iter().any(|span| matches!(span, Span::Range(from, to) if (*from..=*to).contains(&number)))
    }

    /// Calls `each` with every key, in order.
    pub(crate) fn for_each_key(&self, mut each: impl FnMut(&str)) {
        let mut number = String::new();
        for span in &self.episodes {
            match span {
                Span::Key(key) => each(key),
                Span::Range(from, to) => {
                    for episode in *from..=*to {
                        number.clear();
                        number.push_str(itoa(episode, &mut [0; 10]));
                        each(&number);
                    }
                }
            }
        }
    }
}

/// Decimal digits without an allocation: long serials are written a thousand keys at a time.
fn itoa(mut value: u32, buffer: &mut [u8; 10]) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or("0")
}

/// Reads `0,1-12,20` and joined keys written `1+2`. `None` if the notation is wrong.
pub(crate) fn parse_spans(text: &str) -> Option<Vec<Span>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse_span).collect()
}

fn parse_span(part: &str) -> Option<Span> {
    if let Some((first, second)) = part.split_once('+') {
        return Some(Span::Key(format!("{first}-{second}")));
    }
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some(Span::Range(from, to))
}

#[cfg(test)]
mod tests {
    use super::{Season, Span, parse_spans};

    #[test]
    fn spans_read_ranges_single_numbers_and_joined_keys() {
        assert_eq!(
            parse_spans("0,1-3,7,8+9"),
            Some(vec![Span::Range(0, 0), Span::Range(1, 3), Span::Range(7, 7), Span::Key("8-9".into())])
        );
        assert_eq!(parse_spans("3-1"), None);
        assert_eq!(parse_spans("a"), None);
    }

    #[test]
    fn keys_come_in_order() {
        let season = Season { key: "1".into(), title: None, episodes: parse_spans("0,9-11,12+13").unwrap() };
        let mut keys = Vec::new();
        season.for_each_key(|key| keys.push(key.to_owned()));
        assert_eq!(keys, ["0", "9", "10", "11", "12-13"]);
        assert_eq!((season.count(), season.last(), season.has(10), season.has(12)), (5, 11, true, false));
    }
}
