//! How numbers, times and links look on the pages.
#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unused_self,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "what the attribute makes of a filter, and what it wants a filter to be"
)]

use askama::filters::Safe;
use askama::{Result, Values};
use jiff::Timestamp;

/// Thousands apart, by a thin space that does not break.
#[askama::filter_fn]
pub(super) fn number(value: &u64, _: &dyn Values) -> Result<String> {
    Ok(grouped(*value))
}

/// A time for eyes and, beside it, for programs.
#[askama::filter_fn]
pub(super) fn time(value: &Timestamp, _: &dyn Values) -> Result<Safe<String>> {
    let shown = value.strftime("%Y-%m-%d %H:%M:%S UTC");
    Ok(Safe(format!("<time datetime=\"{}\">{shown}</time>", value.strftime("%Y-%m-%dT%H:%M:%SZ"))))
}

/// Seconds as a person says them.
#[askama::filter_fn]
pub(super) fn seconds(value: &f64, _: &dyn Values) -> Result<String> {
    Ok(if *value < 60.0 {
        format!("{value:.1} s")
    } else if *value < 3600.0 {
        format!("{:.0} min {:02.0} s", (value / 60.0).floor(), (value % 60.0).floor())
    } else {
        format!("{:.0} h {:02.0} min", (value / 3600.0).floor(), (value % 3600.0 / 60.0).floor())
    })
}

pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// An address that may stand in a link: the web's own schemes only. What begins with `//` means https.
pub(super) fn link(address: &str) -> Option<String> {
    let address = address.trim();
    let whole = if address.starts_with("//") { format!("https:{address}") } else { address.to_owned() };
    let parsed = url::Url::parse(&whole).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::{grouped, link};

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn only_the_web_is_linked() {
        assert_eq!(link("//kodik.test/serial/1").as_deref(), Some("https://kodik.test/serial/1"));
        assert_eq!(link("http://a.test/x?y=1").as_deref(), Some("http://a.test/x?y=1"));
        for address in ["javascript:alert(1)", " JavaScript:alert(1)", "data:text/html,x", "/x", "x", "", "file:///etc"]
        {
            assert_eq!(link(address), None, "{address}");
        }
    }
}
