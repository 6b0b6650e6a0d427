//! Somebody who is signed in: keeps cookies, follows links, sends forms with their hidden fields.

use std::net::SocketAddr;

use crate::world::{Answer, Served, TOKEN, ask};

/// A browser without a screen.
pub(crate) struct Visitor {
    address: SocketAddr,
    cookie: Option<String>,
}

impl Visitor {
    /// Not signed in.
    pub(crate) fn stranger(served: &Served) -> Self {
        Self { address: served.address, cookie: None }
    }

    /// Signed in.
    pub(crate) fn new(served: &Served) -> Self {
        let mut visitor = Self::stranger(served);
        let answer = visitor.send("/login", &[("token", TOKEN)], &[]);
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        visitor.cookie = Some(cookie);
        visitor
    }

    pub(crate) fn with_cookie(served: &Served, cookie: &str) -> Self {
        Self { address: served.address, cookie: Some(cookie.to_owned()) }
    }

    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// A page, which must be there.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Any request with the cookie.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = headers.to_vec();
        if let Some(cookie) = &self.cookie {
            all.push(("Cookie", cookie));
        }
        ask(self.address, method, path, &all, body)
    }

    /// A form with exactly these fields.
    pub(crate) fn send(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut all = headers.to_vec();
        all.push(("Content-Type", "application/x-www-form-urlencoded"));
        self.ask("POST", path, &all, body.as_bytes())
    }

    /// The form token of the session.
    pub(crate) fn form_token(&self) -> String {
        hidden(&self.page("/"), "form_token")
    }

    /// A form as a page sends it.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token();
        let mut all = fields.to_vec();
        all.push(("form_token", &token));
        self.send(path, &all, &[])
    }
}

/// The value of a hidden field.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page.find(&start).unwrap_or_else(|| panic!("no field {name}: {page}")) + start.len();
    page[at..].split('"').next().unwrap().to_owned()
}

/// Every address that a page names in this attribute.
pub(crate) fn addresses(page: &str, attribute: &str) -> Vec<String> {
    let start = format!("{attribute}=\"");
    let mut found: Vec<String> = page
        .match_indices(&start)
        .map(|(at, _)| page[at + start.len()..].split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&"))
        .collect();
    found.sort();
    found.dedup();
    found
}
