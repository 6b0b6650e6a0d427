//! Fault profiles: which requests go wrong, and how. The choice depends only on the seed and the request's number.

use std::str::FromStr;

use super::generated::mix;

/// A named set of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultProfile {
    /// Everything works.
    #[default]
    None,
    /// About a fifth of the requests: 500, 502, 503, a lost connection or a body cut short.
    Flaky,
    /// Storms of 429, with and without `Retry-After`.
    RateLimited,
    /// Kodik refuses every token.
    BadToken,
    /// A third of the bodies ends before its announced length.
    Truncated,
    /// Delays; now and then headers that do not come or a body that drips.
    Slow,
    /// `next_page` leads to another host.
    ForeignNext,
    /// `next_page` repeats one cursor for ever.
    RepeatingCursor,
    /// A body without an end in sight (64 MiB).
    HugeBody,
    /// A small gzip body that unpacks to 256 MiB.
    GzipBomb,
    /// JSON nested a hundred thousand deep.
    DeepJson,
    /// A challenge page with status 200.
    Html,
    /// The six hostile ones in turn.
    Hostile,
    /// 301 to another host.
    Moved,
    /// GraphQL answers 503; REST works.
    GraphqlDown,
}

/// Every profile by name.
const NAMES: [(&str, FaultProfile); 15] = [
    ("none", FaultProfile::None),
    ("flaky", FaultProfile::Flaky),
    ("rate-limited", FaultProfile::RateLimited),
    ("bad-token", FaultProfile::BadToken),
    ("truncated", FaultProfile::Truncated),
    ("slow", FaultProfile::Slow),
    ("foreign-next", FaultProfile::ForeignNext),
    ("repeating-cursor", FaultProfile::RepeatingCursor),
    ("huge-body", FaultProfile::HugeBody),
    ("gzip-bomb", FaultProfile::GzipBomb),
    ("deep-json", FaultProfile::DeepJson),
    ("html", FaultProfile::Html),
    ("hostile", FaultProfile::Hostile),
    ("moved", FaultProfile::Moved),
    ("graphql-down", FaultProfile::GraphqlDown),
];

const HOSTILE: [FaultProfile; 6] = [
    FaultProfile::ForeignNext,
    FaultProfile::RepeatingCursor,
    FaultProfile::HugeBody,
    FaultProfile::GzipBomb,
    FaultProfile::DeepJson,
    FaultProfile::Html,
];

impl FaultProfile {
    /// The names of all profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The profile's name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, profile)| *profile == self).map_or("none", |(name, _)| *name)
    }
}

impl std::fmt::Display for FaultProfile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for FaultProfile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, profile)| *profile).ok_or_else(|| {
            format!("unknown fault profile `{text}`; one of: {}", Self::names().collect::<Vec<_>>().join(", "))
        })
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// An answer that is not the service's own.
    Status(u16),
    /// 429; with `Retry-After: 1` or without.
    TooMany {
        retry_after: bool,
    },
    /// The connection is lost before an answer.
    Reset,
    /// The body ends early.
    Truncate,
    /// The answer comes late.
    Delay,
    /// Headers do not come for a minute.
    Hang,
    /// The body comes in small pieces.
    Drip,
    RefuseToken,
    ForeignNext,
    RepeatCursor,
    HugeBody,
    GzipBomb,
    DeepJson,
    Html,
    Moved,
}

/// The fault of the `number`-th request (from 0) of a service. `graphql` tells GraphQL requests from all others.
pub(crate) fn choose(profile: FaultProfile, seed: u64, number: u64, graphql: bool) -> Fault {
    match profile {
        FaultProfile::Flaky => {
            let dice = mix(seed ^ mix(number));
            if !dice.is_multiple_of(5) {
                return Fault::None;
            }
            [Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::Reset, Fault::Truncate]
                [usize::try_from(dice / 5 % 5).unwrap_or(0)]
        }
        FaultProfile::RateLimited => match (number % 20, number / 20 % 2) {
            (4..=6, odd) => Fault::TooMany { retry_after: odd == 0 },
            _ => Fault::None,
        },
        FaultProfile::BadToken => Fault::RefuseToken,
        FaultProfile::Truncated if number % 3 == 1 => Fault::Truncate,
        FaultProfile::Slow => match number % 10 {
            3 => Fault::Hang,
            6 => Fault::Drip,
            _ => Fault::Delay,
        },
        FaultProfile::ForeignNext => Fault::ForeignNext,
        FaultProfile::RepeatingCursor => Fault::RepeatCursor,
        FaultProfile::HugeBody => Fault::HugeBody,
        FaultProfile::GzipBomb => Fault::GzipBomb,
        FaultProfile::DeepJson => Fault::DeepJson,
        FaultProfile::Html => Fault::Html,
        FaultProfile::Hostile => choose(HOSTILE[usize::try_from(number % 6).unwrap_or(0)], seed, number, graphql),
        FaultProfile::Moved => Fault::Moved,
        FaultProfile::GraphqlDown if graphql => Fault::Status(503),
        FaultProfile::None | FaultProfile::Truncated | FaultProfile::GraphqlDown => Fault::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultProfile, NAMES, choose};

    #[test]
    fn names_read_back() {
        for (name, profile) in NAMES {
            assert_eq!(name.parse::<FaultProfile>(), Ok(profile));
            assert_eq!(profile.name(), name);
        }
        assert!("nope".parse::<FaultProfile>().unwrap_err().contains("flaky"));
    }

    #[test]
    fn flaky_is_seeded_and_about_a_fifth() {
        let faults =
            |seed| (0..1000).map(|number| choose(FaultProfile::Flaky, seed, number, false)).collect::<Vec<_>>();
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
        let wrong = faults(1).iter().filter(|fault| **fault != Fault::None).count();
        assert!((150..250).contains(&wrong), "{wrong}");
    }

    #[test]
    fn graphql_alone_is_down() {
        assert_eq!(choose(FaultProfile::GraphqlDown, 0, 0, true), Fault::Status(503));
        assert_eq!(choose(FaultProfile::GraphqlDown, 0, 0, false), Fault::None);
    }
}
