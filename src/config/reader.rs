//! Reads typed values out of the layers and collects every fault on the way.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{Layers, SETTINGS, SettingFault};

/// A reader over the layers. Reading never stops at a fault: the default is used on and the fault is kept.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) faults: Vec<SettingFault>,
    read: HashSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self { layers, faults: Vec::new(), read: HashSet::new() }
    }

    /// Settings of the table that nobody has read: a mistake of ours, found by a test.
    #[cfg(test)]
    pub(super) fn unread(&self) -> Vec<&'static str> {
        SETTINGS.iter().map(|setting| setting.name).filter(|name| !self.read.contains(name)).collect()
    }

    pub(super) fn fault(&mut self, name: &'static str, problem: impl Into<String>, hint: Option<&str>) {
        self.faults.push(SettingFault { name, problem: problem.into(), hint: hint.map(str::to_owned) });
    }

    /// The text, or the default's; `None` when both are empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.read.insert(name);
        if let Some((text, _)) = self.layers.get(name) {
            return Some(text.to_owned());
        }
        default_of(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Was it given, or does the default apply?
    pub(super) fn given(&self, name: &str) -> bool {
        self.layers.get(name).is_some()
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn parsed<T>(&mut self, name: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        if let Some(value) = parse(&text) {
            return Some(value);
        }
        self.fault(name, format!("`{text}` is not {expected}"), None);
        default_of(name).and_then(parse)
    }

    pub(super) fn number(&mut self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> u32 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let fallback = *range.start();
        self.parsed(name, &expected, |text| text.parse().ok().filter(|n| range.contains(n))).unwrap_or(fallback)
    }

    /// Requests per unit of time; `None` when not given and without default; 0 = unlimited.
    pub(super) fn rate(&mut self, name: &'static str) -> Option<f64> {
        self.parsed(name, "a rate (0 = unlimited, or 0.01 to 10000)", |text| {
            text.parse::<f64>().ok().filter(|rate| *rate == 0.0 || (0.01..=10_000.0).contains(rate))
        })
    }

    pub(super) fn seconds(&mut self, name: &'static str) -> Duration {
        self.parsed(name, "a number of seconds (0.001 to 86400)", |text| {
            text.parse::<f64>().ok().filter(|s| (0.001..=86_400.0).contains(s)).map(Duration::from_secs_f64)
        })
        .unwrap_or(Duration::from_secs(30))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        self.parsed(name, "`true` or `false`", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
        .unwrap_or(false)
    }

    pub(super) fn list(&mut self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        self.parsed(name, &format!("one of {}", names.join(", ")), |text| {
            choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
        })
    }

    /// An address and a port of this machine; `localhost` means IPv4's.
    pub(super) fn listen(&mut self, name: &'static str) -> Option<SocketAddr> {
        self.parsed(name, "an address with a port (`127.0.0.1:8000`, `[::]:8000`)", |text| {
            match text.strip_prefix("localhost:") {
                Some(port) => format!("127.0.0.1:{port}").parse().ok(),
                None => text.parse().ok(),
            }
        })
    }

    /// An http(s) address without a query; a user or password in it would end up in logs and is refused.
    pub(super) fn url(&mut self, name: &'static str) -> Option<Url> {
        let text = self.text(name)?;
        let problem = match Url::parse(&text) {
            Err(error) => format!("not an address: {error}"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                "not an http:// or https:// address".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => "must not hold a user name".to_owned(),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => "must not hold a query".to_owned(),
            Ok(url) => return Some(url),
        };
        self.fault(name, problem, Some("for example `https://host.example/path`"));
        default_of(name).and_then(|text| Url::parse(text).ok())
    }
}

fn default_of(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|setting| setting.name == name).map(|setting| setting.default)
}
