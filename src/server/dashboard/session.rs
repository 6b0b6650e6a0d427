//! A browser's session: a cookie that says until when it is good, signed with a key that only servers with this token
//! have. So nothing is stored, a restart signs nobody out, and several servers of one token share the sessions. The
//! token itself is never in the cookie, and another token makes all sessions void.
//!
//! Signing out takes the cookie away; this server also remembers the session's number until it would have ended, so that
//! a copy of the cookie is of no use here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};

use crate::server::token::Token;

/// Milliseconds that a session is good for.
pub(super) const LIFE: i64 = 12 * 60 * 60 * 1000;

/// Sessions that were ended by hand and would still be good; more than anybody signs out of in half a day.
const ENDED: usize = 4096;

/// Random bytes that tell sessions apart.
const NUMBER: usize = 16;

/// Makes and reads sessions.
pub(super) struct Sessions {
    key: [u8; 32],
    secure: bool,
    /// Number → when it would have ended.
    ended: Mutex<HashMap<[u8; NUMBER], i64>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// A session that is good.
#[derive(Debug, Clone)]
pub(in crate::server) struct Visit {
    number: [u8; NUMBER],
    until: i64,
    /// What every form has to send along: a page of another origin cannot know it.
    pub(in crate::server) form_token: String,
}

impl Sessions {
    pub(super) fn new(token: &Token, secure: bool) -> Self {
        Self { key: token.derive("parser dashboard sessions v1"), secure, ended: Mutex::default() }
    }

    /// With `__Host-` a browser takes the cookie only from https, for this host alone.
    fn name(&self) -> &'static str {
        if self.secure { "__Host-parser_session" } else { "parser_session" }
    }

    /// A new session, as the value of `Set-Cookie`.
    pub(super) fn begin(&self, now: i64) -> Result<String, getrandom::Error> {
        let mut number = [0_u8; NUMBER];
        getrandom::fill(&mut number)?;
        let until = now.saturating_add(LIFE);
        let value = format!("{until:x}.{}.{}", hex(&number), self.mac("session", &number, until).to_hex());
        Ok(self.cookie(&value, LIFE / 1000))
    }

    /// Ends a session; the value of `Set-Cookie` that removes the cookie.
    pub(super) fn end(&self, visit: &Visit, now: i64) -> String {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until| *until > now);
        if ended.len() < ENDED {
            ended.insert(visit.number, visit.until);
        }
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, seconds: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.name())
    }

    /// The session that a request comes with.
    pub(super) fn of(&self, headers: &HeaderMap, now: i64) -> Option<Visit> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            // Another cookie of this name may have been set for a path; ours is as good.
            .find_map(|(_, value)| self.read(value, now))
    }

    fn read(&self, value: &str, now: i64) -> Option<Visit> {
        let mut parts = value.splitn(3, '.');
        let until = i64::from_str_radix(parts.next()?, 16).ok()?;
        let number: [u8; NUMBER] = unhex(parts.next()?)?;
        let mac = blake3::Hash::from_hex(parts.next()?).ok()?;
        // `Hash` compares in constant time.
        if mac != self.mac("session", &number, until) || until <= now || until > now.saturating_add(LIFE) {
            return None;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&number);
        let form_token = self.mac("form", &number, until).to_hex().to_string();
        (!ended).then_some(Visit { number, until, form_token })
    }

    fn mac(&self, purpose: &str, number: &[u8; NUMBER], until: i64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(number).update(&until.to_le_bytes()).update(purpose.as_bytes());
        hasher.finalize()
    }
}

impl Visit {
    /// Is this the form token of this session? In constant time.
    pub(super) fn has_form_token(&self, given: &str) -> bool {
        match (blake3::Hash::from_hex(given), blake3::Hash::from_hex(&self.form_token)) {
            (Ok(given), Ok(own)) => given == own,
            _ => false,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};
    use secrecy::SecretString;

    use super::{LIFE, Sessions, Visit};
    use crate::server::token::Token;

    const NOW: i64 = 1_800_000_000_000;

    fn sessions(token: &str) -> Sessions {
        Sessions::new(&Token::new(&SecretString::from(token)), false)
    }

    fn sent(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("other=1; {pair}")).unwrap());
        headers
    }

    #[test]
    fn a_session_is_good_until_it_ends() {
        let own = sessions("token");
        let headers = sent(&own.begin(NOW).unwrap());
        assert!(own.of(&headers, NOW).is_some());
        assert!(own.of(&headers, NOW + LIFE - 1).is_some());
        assert!(own.of(&headers, NOW + LIFE).is_none(), "it is over");
        assert!(own.of(&headers, NOW - 1).is_none(), "longer than a session is");
        assert!(sessions("token").of(&headers, NOW).is_some(), "another server of the same token");
        assert!(sessions("other").of(&headers, NOW).is_none());
        assert!(own.of(&HeaderMap::new(), NOW).is_none());
    }

    #[test]
    fn nothing_of_a_session_can_be_changed() {
        let own = sessions("token");
        let cookie = own.begin(NOW).unwrap();
        let value = cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned();
        assert!(own.read(&value, NOW).is_some());
        for at in 0..value.len() {
            let mut other = value.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap();
            assert!(own.read(&other, NOW).is_none(), "{other}");
        }
        for other in ["", ".", "..", "...", "0.0.0", &value[1..], &value[..value.len() - 1], &format!("{value}.x")] {
            assert!(own.read(other, NOW).is_none(), "{other}");
        }
    }

    #[test]
    fn an_ended_session_does_not_come_back() {
        let own = sessions("token");
        let (one, two) = (sent(&own.begin(NOW).unwrap()), sent(&own.begin(NOW).unwrap()));
        let visit = own.of(&one, NOW).unwrap();
        assert!(own.end(&visit, NOW).contains("Max-Age=0"));
        assert!(own.of(&one, NOW).is_none());
        assert!(own.of(&two, NOW).is_some(), "the other one goes on");
    }

    #[test]
    fn a_form_token_is_of_one_session() {
        let own = sessions("token");
        let visit = |headers: &HeaderMap| -> Visit { own.of(headers, NOW).unwrap() };
        let (one, two) = (visit(&sent(&own.begin(NOW).unwrap())), visit(&sent(&own.begin(NOW).unwrap())));
        assert!(one.has_form_token(&one.form_token));
        assert!(!one.has_form_token(&two.form_token));
        assert!(!one.has_form_token(""));
    }

    #[test]
    fn behind_https_the_cookie_is_for_https_alone() {
        let plain = sessions("token").begin(NOW).unwrap();
        assert!(plain.starts_with("parser_session=") && plain.contains("; HttpOnly; SameSite=Strict"));
        assert!(!plain.contains("Secure"));
        let secure = Sessions::new(&Token::new(&SecretString::from("token")), true).begin(NOW).unwrap();
        assert!(secure.starts_with("__Host-parser_session=") && secure.ends_with("; Secure"));
    }
}
