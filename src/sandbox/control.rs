//! The controls under `/__sandbox/`, on either port: for tests that run the sandbox as a process of its own.
//!
//! `GET log`, `GET stats`, `POST faults` with any of `{"profile": "flaky", "revoked": true, "down": ["kodik"]}`,
//! `POST touch?id=…`, `POST clear`. They are neither logged nor limited, and work while a service is "down".

use serde::Deserialize;
use serde_json::json;

use super::params::Params;
use super::reply::Reply;
use super::state::Shared;
use super::{FaultProfile, Service};

/// Absent fields change nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Switch {
    profile: Option<String>,
    revoked: Option<bool>,
    /// All services that are down from now on; the others are up.
    down: Option<Vec<Service>>,
}

/// Answers one control request.
pub(super) fn answer(shared: &Shared, method: &str, action: &str, query: &str, body: &[u8]) -> Reply {
    match (method, action) {
        ("GET", "log") => {
            let lines = shared.log.entries();
            Reply::json(&json!(lines))
        }
        ("GET", "stats") => Reply::json(&json!({
            "kodik": shared.log.rates(Service::Kodik),
            "shikimori": shared.log.rates(Service::Shikimori),
            "profile": shared.profile().name(),
        })),
        ("POST", "faults") => match serde_json::from_slice::<Switch>(body) {
            Ok(switch) => apply(shared, &switch),
            Err(error) => refused(&error.to_string()),
        },
        ("POST", "touch") => {
            let id = Params::parse(query, "").get("id").and_then(|id| id.parse().ok());
            match id.filter(|id| shared.touch(*id)) {
                Some(id) => Reply::json(&json!({ "touched": id })),
                None => refused("no such title, or the catalogue is generated"),
            }
        }
        ("POST", "clear") => {
            shared.log.clear();
            Reply::json(&json!({ "cleared": true }))
        }
        _ => Reply::json_status(404, &json!({ "error": "unknown control" })),
    }
}

fn apply(shared: &Shared, switch: &Switch) -> Reply {
    let profile = switch.profile.as_deref().map(str::parse::<FaultProfile>).transpose();
    match profile {
        Err(message) => return refused(&message),
        Ok(Some(profile)) => shared.set_profile(profile),
        Ok(None) => {}
    }
    if let Some(revoked) = switch.revoked {
        shared.set_revoked(revoked);
    }
    if let Some(down) = &switch.down {
        for service in [Service::Kodik, Service::Shikimori] {
            shared.set_down(service, down.contains(&service));
        }
    }
    Reply::json(&json!({ "profile": shared.profile().name() }))
}

fn refused(message: &str) -> Reply {
    Reply::json_status(400, &json!({ "error": message }))
}
