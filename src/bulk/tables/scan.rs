//! One line of JSON, member by member, without making anything of it: strings and nested values stay where they are, and
//! numbers keep every digit until somebody has decided what to make of them.
//!
//! As strict as RFC 8259: no comments, no trailing commas, no `NaN`, no control characters in strings. A name that comes
//! twice is given twice.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A member's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    /// A number that neither of the two holds.
    Number(&'a str),
    /// Text between the quotes, without anything escaped in it.
    Plain(&'a str),
    /// Text with its quotes.
    Escaped(&'a str),
    /// An array or an object.
    Nested(&'a str),
}

/// Where a line is no JSON object, and what should have been there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) wants: Cow<'static, str>,
}

type Scanned<T> = Result<T, Fault>;

/// The members of one object.
#[derive(Debug)]
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
    /// Nothing of it has been read, some of it, or all.
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Inside,
    End,
}

impl<'a> Members<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0, state: State::Start }
    }

    /// The next name and value; `None` after the last, when nothing follows the object.
    pub(super) fn next(&mut self) -> Scanned<Option<(Cow<'a, str>, Value<'a>)>> {
        match self.state {
            State::End => return Ok(None),
            State::Start => {
                self.blanks();
                if !self.take(b'{') {
                    return Err(self.fault("an object"));
                }
                self.state = State::Inside;
                self.blanks();
                if self.take(b'}') {
                    return self.end();
                }
            }
            State::Inside => {
                self.blanks();
                if self.take(b'}') {
                    return self.end();
                }
                if !self.take(b',') {
                    return Err(self.fault("`,` or `}`"));
                }
                self.blanks();
            }
        }
        if self.peek() != Some(b'"') {
            return Err(self.fault("a name in quotes"));
        }
        let at = self.at;
        let name = match self.string()? {
            Value::Escaped(quoted) => {
                Cow::Owned(unescaped(quoted).map_err(|fault| Fault { at: at + fault.at, ..fault })?)
            }
            Value::Plain(name) => Cow::Borrowed(name),
            _ => return Err(self.fault("a name in quotes")),
        };
        self.blanks();
        if !self.take(b':') {
            return Err(self.fault("`:`"));
        }
        self.blanks();
        let value = self.value()?;
        Ok(Some((name, value)))
    }

    fn end<T>(&mut self) -> Scanned<Option<T>> {
        self.state = State::End;
        self.blanks();
        if self.at < self.text.len() { Err(self.fault("nothing after the object")) } else { Ok(None) }
    }

    fn value(&mut self) -> Scanned<Value<'a>> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => self.nested(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.fault("a value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Value<'a>) -> Scanned<Value<'a>> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// From its opening quote to behind its closing one.
    fn string(&mut self) -> Scanned<Value<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let (mut at, mut escaped) = (start, false);
        loop {
            let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
                self.at = bytes.len();
                return Err(self.fault("the end of a string"));
            };
            at += found;
            if bytes[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
        }
        if let Some(control) = bytes[start..at].iter().position(|byte| *byte < 0x20) {
            self.at = start + control;
            return Err(self.fault("control characters to be escaped"));
        }
        self.at = at + 1;
        Ok(if escaped { Value::Escaped(&self.text[start - 1..=at]) } else { Value::Plain(&self.text[start..at]) })
    }

    fn nested(&mut self) -> Scanned<Value<'a>> {
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
        match values.next() {
            Some(Ok(raw)) => {
                self.at += values.byte_offset();
                Ok(Value::Nested(raw.get()))
            }
            // Its columns are bytes of this one line.
            Some(Err(error)) => {
                Err(Fault { at: self.at + error.column().saturating_sub(1), wants: Cow::Owned(said(&error)) })
            }
            None => Err(self.fault("a value")),
        }
    }

    fn number(&mut self) -> Scanned<Value<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        let digits = |at: usize| bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            self.at = at;
            return Err(self.fault(if whole == 0 { "a digit" } else { "a number without leading zeros" }));
        }
        at += whole;
        let mut real = false;
        if bytes.get(at) == Some(&b'.') {
            real = true;
            let fraction = digits(at + 1);
            at += 1 + fraction;
            if fraction == 0 {
                self.at = at;
                return Err(self.fault("a digit"));
            }
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            real = true;
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            let power = digits(at);
            at += power;
            if power == 0 {
                self.at = at.min(bytes.len());
                return Err(self.fault("a digit"));
            }
        }
        self.at = at;
        let text = &self.text[start..at];
        if !real {
            return Ok(text.parse().map_or(Value::Number(text), Value::Int));
        }
        Ok(match text.parse::<f64>() {
            // Too large, or too small to be told from nothing.
            Ok(number) if number.is_finite() && (number != 0.0 || is_zero(text)) => Value::Real(number),
            _ => Value::Number(text),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fault(&self, wants: &'static str) -> Fault {
        Fault { at: self.at, wants: Cow::Borrowed(wants) }
    }
}

/// Has a number's text no digit but zeros before its exponent?
fn is_zero(text: &str) -> bool {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|byte| !matches!(byte, b'1'..=b'9'))
}

/// The text behind escapes.
pub(super) fn unescaped(quoted: &str) -> Scanned<String> {
    serde_json::from_str(quoted)
        .map_err(|error| Fault { at: error.column().saturating_sub(1), wants: Cow::Owned(said(&error)) })
}

/// What the parser says, without the place, which is not the file's.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(said, _)| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Members, Value};

    fn read(text: &str) -> Result<Vec<(String, String)>, usize> {
        let mut members = Members::of(text);
        let mut found = Vec::new();
        loop {
            match members.next() {
                Ok(Some((name, value))) => found.push((name.into_owned(), format!("{value:?}"))),
                Ok(None) => return Ok(found),
                Err(fault) => return Err(fault.at),
            }
        }
    }

    fn one(value: &str) -> Value<'_> {
        let mut members = Members::of(value);
        members.next().unwrap().unwrap().1
    }

    #[test]
    fn values_are_what_they_are() {
        assert_eq!(one(r#"{"a":9223372036854775807}"#), Value::Int(i64::MAX));
        assert_eq!(one(r#"{"a":9223372036854775808}"#), Value::Number("9223372036854775808"));
        assert_eq!(one(r#"{"a":-0}"#), Value::Int(0));
        assert_eq!(one(r#"{"a":1e400}"#), Value::Number("1e400"));
        assert_eq!(one(r#"{"a":1e-400}"#), Value::Number("1e-400"));
        assert_eq!(one(r#"{"a":0.0e-999}"#), Value::Real(0.0));
        assert_eq!(one(r#"{"a":"x\ty"}"#), Value::Escaped(r#""x\ty""#));
        assert_eq!(one("{\"a\":\"\u{2028}\"}"), Value::Plain("\u{2028}"));
        assert_eq!(one(r#"{"a": {"en": "x", "ru": [1, 2]} }"#), Value::Nested(r#"{"en": "x", "ru": [1, 2]}"#));
        assert_eq!(read(r" { } "), Ok(vec![]));
        assert_eq!(read(r#"{"a\n":1,"a\n":2}"#).map(|found| found.len()), Ok(2));
    }

    #[test]
    fn what_is_no_object_is_refused_where_it_ends_to_be_one() {
        for (text, at) in [
            ("", 0),
            ("[1]", 0),
            ("{", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":1}x"#, 7),
            (r#"{"a":01}"#, 5),
            (r#"{"a":1.}"#, 7),
            (r#"{"a":-}"#, 6),
            (r#"{"a":1e}"#, 7),
            (r#"{"a":+1}"#, 5),
            (r#"{"a":nul}"#, 5),
            (r#"{"a":"x"#, 7),
            ("{\"a\":\"\t\"}", 6),
            (r"{'a':1}", 1),
            (r#"{"a":NaN}"#, 5),
            (r#"{"a":[1,]}"#, 8),
        ] {
            assert_eq!(read(text), Err(at), "{text}");
        }
    }
}
