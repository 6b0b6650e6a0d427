//! Refusals outside the contract are problem details (RFC 9457), whoever refuses.

use super::world::{Served, ask};

#[test]
fn unknown_routes_and_methods_are_problems() {
    let served = Served::new();
    let problem = |status, code: &str, detail: &str| (status, code.to_owned(), detail.to_owned());
    assert_eq!(served.get("/nowhere").problem(), problem(404, "not_found", "Not Found"));
    assert_eq!(served.get("/api/v1/nowhere").problem().0, 404);
    let wrong = ask(served.address, "DELETE", "/healthz", &[], b"");
    assert_eq!(wrong.problem(), problem(405, "method_not_allowed", "Method Not Allowed"));
    assert_eq!(wrong.header("allow"), Some("GET,HEAD"));
}
