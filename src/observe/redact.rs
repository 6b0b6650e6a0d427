//! The last line of defence for secrets: every line that leaves the process passes here, and known secrets are blanked.
//!
//! The first line is that nobody formats a secret or a URL. This one also covers what dependencies log at trace level.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a secret.
pub const MASK: &str = "[secret]";

/// Shorter texts are no secrets worth the name and would blank innocent words.
const SHORTEST: usize = 4;

/// Blanks the known secrets in texts. Clones share the list.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Arc<[String]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

impl Redactor {
    /// A redactor for these secrets, as they are and percent-encoded.
    pub fn new(secrets: &[SecretString]) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            if plain.len() < SHORTEST {
                continue;
            }
            let encoded: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
            if encoded != plain {
                needles.push(encoded);
            }
            needles.push(plain.to_owned());
        }
        Self { needles: needles.into() }
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for needle in self.needles.iter() {
            if text.contains(needle.as_str()) {
                text = Cow::Owned(text.replace(needle.as_str(), MASK));
            }
        }
        text
    }

    /// A writer that redacts each write before it goes on to `inner`.
    pub fn writer<W: Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter { redactor: self.clone(), inner }
    }
}

/// See [`Redactor::writer`]. `tracing` hands over one whole event per write, so a secret is never cut in two.
#[derive(Debug)]
pub struct RedactingWriter<W> {
    redactor: Redactor,
    inner: W,
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        self.inner.write_all(self.redactor.redact(&text).as_bytes())?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use secrecy::SecretString;
    use std::io::Write;

    #[test]
    fn secrets_are_blanked_plain_and_encoded() {
        let redactor = Redactor::new(&[SecretString::from("a+b/c=="), SecretString::from("xyz")]);
        assert_eq!(redactor.redact("token=a%2Bb%2Fc%3D%3D&x a+b/c== xyz"), "token=[secret]&x [secret] xyz");
        let mut out = Vec::new();
        redactor.writer(&mut out).write_all("see a+b/c==\n".as_bytes()).unwrap();
        assert_eq!(out, b"see [secret]\n");
    }
}
