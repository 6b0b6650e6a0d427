//! The rules of axe-core, run in the page: what screen readers, keyboards and weak eyes need, as WCAG 2.2 puts it.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::chromium::Browser;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/axe/node_modules/axe-core/axe.min.js");

/// The page's violations, each with the elements that it is about.
const RUN: &str = r"axe.run(document, { resultTypes: ['violations'], runOnly: { type: 'tag', values:
  ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] } }).then(found => found.violations.map(
  violation => `${violation.id}: ${violation.help}: ${violation.nodes.map(node => node.html).join(' | ')}`))";

/// The script; `None` (said aloud) where it is not installed, which CI does not accept.
fn script() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let script = std::fs::read_to_string(Path::new(SCRIPT)).ok();
        if script.is_none() {
            assert!(std::env::var("CI").is_err(), "axe-core is missing: .ci/axe.sh installs it");
            eprintln!("skipped: no axe-core here (.ci/axe.sh installs it)");
        }
        script
    });
    found.as_deref()
}

/// The page that is open has none.
pub(crate) fn assert_accessible(browser: &mut Browser, what: &str) {
    let Some(script) = script() else { return };
    browser.call("Runtime.evaluate", json!({ "expression": script }));
    assert_eq!(browser.eval(RUN), json!([]), "{what}");
}

/// A rule that finds nothing in a page that breaks it would prove nothing.
#[test]
fn the_rules_find_what_is_wrong() {
    if script().is_none() {
        return;
    }
    let served = crate::world::Served::new();
    let Some(mut browser) = Browser::start(&served) else { return };
    browser.open("/login");
    browser.eval("document.querySelector('#token').labels.forEach(label => label.remove())");
    browser.call("Runtime.evaluate", json!({ "expression": script() }));
    let found: Value = browser.eval(RUN);
    assert!(found.to_string().contains("label"), "{found}");
}
