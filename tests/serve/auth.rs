//! Who is let in where: every route of the description is asked without a token, with a wrong one and with the right
//! one. A new route that nobody guards fails here.

use std::path::Path;

use serde_json::Value;

use super::openapi::{document, operations};
use super::world::{Answer, Served, TOKEN, ask};

/// Routes for everybody.
const PUBLIC: &[&str] = &[
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /schemas",
    "GET /schemas/{name}",
    "GET /api/v1/anime",
    "GET /api/v1/anime/{slug}",
    "GET /api/v1/anime/{slug}/episodes",
];

/// A path with something in the place of its variables.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{kind}" => "series",
        "{job}" => "series",
        part if part.starts_with('{') => "00000000-0000-7000-8000-000000000000",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The body that the description shows, and its type.
fn body(document: &Value, operation: &Value) -> (Option<String>, String) {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return (None, String::new()) };
    let (media, described) = content.iter().next().unwrap();
    let schema = &described["schema"];
    let schema = schema["$ref"].as_str().map_or(Some(schema), |reference| document.pointer(&reference[1..])).unwrap();
    let shown = [&described["example"], &schema["example"]].into_iter().find(|example| !example.is_null());
    let text = match shown {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "{}".to_owned(),
    };
    (Some(media.clone()), text)
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let served = Served::new();
    let document = document(&served);
    let operations = operations(&document);
    let mut public = Vec::new();
    for (path, method, operation) in &operations {
        let name = format!("{method} {path}");
        let (media, text) = body(&document, operation);
        let asked = |headers: &[(&str, &str)]| -> Answer {
            let mut all: Vec<(&str, &str)> = media.iter().map(|media| ("Content-Type", media.as_str())).collect();
            all.extend_from_slice(headers);
            ask(served.address, method, &filled(path), &all, text.as_bytes())
        };
        let guarded = operation["security"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| *one != Value::Object(serde_json::Map::default())));
        let nobody = asked(&[]);
        if PUBLIC.contains(&name.as_str()) {
            assert!(!guarded, "{name} is described as guarded");
            assert!(!matches!(nobody.status, 401 | 403), "{name}: {}", nobody.status);
            public.push(name);
            continue;
        }
        assert!(guarded, "{name} is guarded by nothing: give it `security`, or list it as public");
        let bearer = |token: &str| format!("Bearer {token}");
        if path.starts_with("/api/v1/internal/") {
            assert_eq!(nobody.error().0, 422, "{name} without a token");
            assert_eq!(asked(&[("X-Internal-Token", "wrong")]).error().0, 403, "{name} with a wrong token");
            assert_eq!(asked(&[("Authorization", &bearer(TOKEN))]).status, 422, "{name}: not the contract's header");
            let right = asked(&[("X-Internal-Token", TOKEN)]).status;
            assert!(!matches!(right, 401 | 403 | 422), "{name} with the right token: {right}");
            continue;
        }
        let (status, code, _) = nobody.problem();
        assert_eq!((status, code.as_str()), (401, "token_missing"), "{name} without a token");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"parser\""));
        for wrong in [("X-Internal-Token", "wrong"), ("Authorization", "Bearer wrong"), ("X-Internal-Token", "")] {
            let (status, code, _) = asked(&[wrong]).problem();
            assert_eq!((status, code.as_str()), (403, "token_wrong"), "{name} with {wrong:?}");
        }
        assert_eq!(asked(&[("Authorization", "Basic YTpi")]).problem().0, 401, "{name} with a password");
        for right in [("X-Internal-Token", TOKEN), ("Authorization", &bearer(TOKEN))] {
            let answer = asked(&[right]);
            assert!(!matches!(answer.status, 401 | 403), "{name} with the right token: {}", answer.text);
        }
        assert_eq!(asked(&[("X-Internal-Token", &TOKEN[1..])]).status, 403);
    }
    assert_eq!(public.len(), PUBLIC.len(), "a public route is gone: {public:?}");
}

#[test]
fn no_route_escapes_the_description() {
    fn visit(folder: &Path, faults: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Probes of a process that serves nothing else are at an address of their own.
            if path.ends_with("alone.rs") {
                continue;
            }
            // Pages are for people and have tests of their own.
            if path.is_dir() && !path.ends_with("dashboard") {
                visit(&path, faults);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let hidden = [".route(", ".nest(", ".route_service("].iter().any(|call| text.contains(call));
                if hidden {
                    faults.push(path.display().to_string());
                }
            }
        }
    }
    let mut faults = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server"), &mut faults);
    assert!(faults.is_empty(), "use `.routes(routes!(…))`, which describes the route: {faults:?}");
}
