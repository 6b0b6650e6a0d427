//! Who gets in, and what a page of another site can do.

use crate::visitor::{Visitor, hidden};
use crate::world::{Served, TOKEN, ask};

const PAGES: [&str; 12] = [
    "/",
    "/catalogue",
    "/catalogue?q=x",
    "/catalogue/one",
    "/sources",
    "/imports",
    "/imports/0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11",
    "/jobs",
    "/staging",
    "/staging/series",
    "/staging/series/1",
    "/live",
];

#[test]
fn nobody_sees_a_page_without_signing_in() {
    let served = Served::new();
    served.import_anime("1", "One");
    let stranger = Visitor::stranger(&served);
    for path in PAGES {
        let answer = stranger.get(path);
        assert_eq!(answer.status, 303, "{path}");
        let expected = match path {
            "/" => "/login".to_owned(),
            path => format!("/login?next={}", path.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")),
        };
        assert_eq!(answer.header("location"), Some(expected.as_str()));
        assert!(!answer.text.contains("One"));
    }
    for cookie in ["parser_session=", "parser_session=1.2.3", "parser_session=ffffffffffff.00.00", "x"] {
        assert_eq!(Visitor::with_cookie(&served, cookie).get("/").status, 303, "{cookie}");
    }
    for path in
        ["/logout", "/jobs/series/run", "/imports/x/retry", "/staging/series/requeue", "/staging/series/1/discard"]
    {
        let answer = stranger.send(path, &[], &[]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/login")), "{path}");
    }
    let login = stranger.page("/login?next=%2Fcatalogue%3Fq%3D%D0%B0%2520b");
    assert!(login.contains("cat state/token"), "it says where the token is");
    let token = ask(served.address, "GET", "/", &[("X-Internal-Token", TOKEN)], b"");
    assert_eq!(token.status, 303, "a page is for browsers");
}

#[test]
fn the_token_opens_a_session_that_is_not_the_token() {
    let served = Served::new();
    let stranger = Visitor::stranger(&served);
    let wrong = stranger.send("/login", &[("token", "wrong"), ("next", "/sources")], &[]);
    assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None));
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("not this server’s token"));
    assert_eq!(hidden(&wrong.text, "next"), "/sources", "the way is not forgotten");
    assert!(!wrong.text.contains("wrong\""), "what was typed is not shown");

    let right = stranger.send("/login", &[("token", TOKEN), ("next", "/sources")], &[]);
    assert_eq!((right.status, right.header("location")), (303, Some("/sources")));
    let cookie = right.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN) && !cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");

    let visitor = Visitor::new(&served);
    for path in ["/", "/catalogue", "/sources"] {
        assert!(visitor.page(path).contains("Sign out"));
    }
    assert_eq!(visitor.get("/login").status, 303, "one is in already");
    assert!(!served.log().contains(TOKEN));
}

#[test]
fn the_way_back_after_signing_in_is_never_another_site() {
    let served = Served::new();
    let stranger = Visitor::stranger(&served);
    for next in ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)", "/x\r\nX-Evil: 1"] {
        let answer = stranger.send("/login", &[("token", TOKEN), ("next", next)], &[]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{next}");
        assert_eq!(answer.header("x-evil"), None);
    }
}

#[test]
fn behind_https_cookies_are_for_https_alone() {
    let served = Served::with(&[("PUBLIC_URL", "https://parser.test/")]);
    let stranger = Visitor::stranger(&served);
    let answer = stranger.send("/login", &[("token", TOKEN)], &[]);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-parser_session=") && cookie.ends_with("; Secure"), "{cookie}");
    // What anybody can send is not believed.
    let plain = Served::new();
    let answer = Visitor::stranger(&plain).send("/login", &[("token", TOKEN)], &[("X-Forwarded-Proto", "https")]);
    assert!(!answer.header("set-cookie").unwrap().contains("Secure"));
}

#[test]
fn signing_out_ends_the_session_for_good() {
    let served = Served::new();
    let (visitor, other) = (Visitor::new(&served), Visitor::new(&served));
    let out = visitor.submit("/logout", &[]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(visitor.get("/").status, 303, "a copy of the cookie is worthless");
    other.page("/");
}

#[test]
fn sessions_outlive_the_server_but_not_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Served::start(folder.path(), &[("INTERNAL_TOKEN", TOKEN)]);
    let cookie = Visitor::new(&first).cookie().to_owned();
    first.stop();
    let mut second = Served::start(folder.path(), &[("INTERNAL_TOKEN", TOKEN)]);
    Visitor::with_cookie(&second, &cookie).page("/");
    second.stop();
    let other = Served::start(folder.path(), &[("INTERNAL_TOKEN", "another-token-of-more-than-32-characters")]);
    assert_eq!(Visitor::with_cookie(&other, &cookie).get("/").status, 303);
}

#[test]
fn a_form_needs_the_token_of_its_session() {
    let served = Served::new();
    let (visitor, other) = (Visitor::new(&served), Visitor::new(&served));
    let token = visitor.form_token();
    let foreign = other.form_token();
    assert_ne!(token, foreign);
    let refused = |fields: &[(&str, &str)], headers: &[(&str, &str)]| {
        let answer = visitor.send("/logout", fields, headers);
        assert_eq!(answer.status, 403, "{fields:?} {headers:?}");
        assert!(answer.text.contains("<h1>Not allowed</h1>") && answer.header("set-cookie").is_none());
        assert!(answer.text.contains(answer.header("x-trace-id").unwrap()), "{}", answer.text);
    };
    refused(&[], &[]);
    refused(&[("form_token", "")], &[]);
    refused(&[("form_token", &foreign)], &[]);
    refused(&[("form_token", &token[1..])], &[]);
    let good = [("form_token", token.as_str())];
    refused(&good, &[("Sec-Fetch-Site", "cross-site")]);
    refused(&good, &[("Sec-Fetch-Site", "same-site")]);
    refused(&good, &[("Origin", "https://evil.test")]);
    refused(&good, &[("Origin", "null")]);
    let json = visitor.ask("POST", "/logout", &[("Content-Type", "text/plain")], token.as_bytes());
    assert_eq!(json.status, 415);
    let large = "x".repeat(70_000);
    assert_eq!(visitor.send("/logout", &[("form_token", &token), ("x", &large)], &[]).status, 413);
    visitor.page("/");
    let here = [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://test")];
    assert_eq!(visitor.send("/logout", &good, &here).status, 303);
}

#[test]
fn a_sign_in_from_another_site_is_refused() {
    let served = Served::new();
    let answer = Visitor::stranger(&served).send("/login", &[("token", TOKEN)], &[("Sec-Fetch-Site", "cross-site")]);
    assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
}

#[test]
fn guessing_is_slowed_down() {
    let served = Served::new();
    let inside = Visitor::new(&served);
    let stranger = Visitor::stranger(&served);
    let tries: Vec<u16> = (0..8).map(|n| stranger.send("/login", &[("token", &format!("{n}"))], &[]).status).collect();
    assert_eq!(tries, [403, 403, 403, 403, 403, 429, 429, 429]);
    let right = stranger.send("/login", &[("token", TOKEN)], &[]);
    assert_eq!((right.status, right.header("set-cookie")), (429, None), "the right one waits, too");
    assert!(right.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    inside.page("/");
    assert!(served.log().contains("a sign-in with a wrong token was refused"));
}

#[test]
fn every_answer_keeps_browsers_in_bounds() {
    let served = Served::new();
    served.import_anime("1", "One");
    let visitor = Visitor::new(&served);
    let stranger = Visitor::stranger(&served);
    let shown = PAGES.iter().filter(|path| **path != "/live");
    let mut answers: Vec<_> = shown.map(|path| visitor.get(path)).collect();
    answers.extend(PAGES.iter().map(|path| stranger.get(path)));
    answers.push(stranger.get("/login"));
    answers.push(stranger.send("/login", &[("token", "x")], &[]));
    answers.push(visitor.send("/logout", &[], &[]));
    answers.push(visitor.get("/catalogue/nothing"));
    answers.push(stranger.get("/assets/nothing"));
    for answer in answers {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        for inline in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!answer.text.contains(inline), "{inline}: {}", answer.text);
        }
    }
    let style = stranger.get("/assets/dashboard.css");
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(style.header("cache-control").unwrap().contains("immutable"));
}
