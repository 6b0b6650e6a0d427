//! The page of the API: whole in itself, and closed to everything else.

use super::world::Served;

#[test]
fn the_page_needs_nothing_from_elsewhere_and_lets_nothing_in() {
    let served = Served::new();
    let answer = served.get("/docs");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").unwrap();
    let nonce = policy.split_once("script-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
    for part in ["default-src 'none'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    assert!(nonce.len() == 22 && served.get("/docs").header("content-security-policy") != Some(policy), "used twice");
    let page = &answer.text;
    for tag in ["<script", "<style"] {
        let tags: Vec<_> = page.match_indices(tag).map(|(at, _)| &page[at..at + 60]).collect();
        assert!(!tags.is_empty() && tags.iter().all(|found| found.contains(nonce)), "{tags:?}");
    }
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "the page has `{elsewhere}`");
    }
    for dangerous in ["innerHTML", "eval(", "document.write", "localStorage", "sessionStorage"] {
        assert!(!page.contains(dangerous), "the page uses `{dangerous}`");
    }
}
