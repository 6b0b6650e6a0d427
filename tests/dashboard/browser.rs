//! The pages in a real browser: signing in by keyboard, finding a title, light and dark, large and small.

use serde_json::{Value, json};

use crate::axe::assert_accessible;
use crate::chromium::Browser;
use crate::pages::crawled;
use crate::world::Served;

/// Every text of the page with a contrast of less than 4.5 (3 for large ones), by the formula of WCAG 2.
const LOW_CONTRAST: &str = r"(() => {
  const rgb = text => { const n = text.match(/[\d.]+/g).map(Number); return { c: n.slice(0, 3), a: n[3] ?? 1 }; };
  const part = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const back = element => {
    for (let e = element; e; e = e.parentElement) {
      const b = rgb(getComputedStyle(e).backgroundColor);
      if (b.a === 1) return b.c;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!text || !box.width || style.clipPath !== 'none' || e.closest('.hidden, .skip, button[disabled]')) continue;
    const [a, b] = [light(rgb(style.color).c), light(back(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) low.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return low;
})()";

/// Fields and buttons without a name, duplicate ids, headings that skip a level, cells without headers, things that
/// only a mouse can reach, and content wider than the window.
const FAULTS: &str = r"(() => {
  const faults = [];
  const named = e => (e.labels && e.labels.length) || e.ariaLabel || e.textContent.trim() || e.title || e.type === 'hidden';
  for (const e of document.querySelectorAll('input, select, textarea, button, a')) if (!named(e)) faults.push(e.outerHTML);
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) faults.push(e.outerHTML);
  for (const e of document.querySelectorAll('nav, [role=region]')) if (!e.ariaLabel) faults.push('unnamed ' + e.tagName);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) faults.push('an id twice');
  let level = 0;
  for (const e of document.querySelectorAll('h1, h2, h3, h4')) {
    const now = Number(e.tagName[1]);
    if (now > level + 1) faults.push('heading skips: ' + e.textContent);
    level = now;
  }
  for (const e of document.querySelectorAll('th')) if (!e.scope) faults.push('th without scope');
  for (const e of document.querySelectorAll('[onclick], [style], [tabindex]')) if (e.onclick || e.tabIndex > 0) faults.push(e.outerHTML);
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) faults.push('wider than the window');
  if (document.documentElement.lang !== 'en') faults.push('no language');
  return faults;
})()";

/// Looks at one page in both colours and both sizes.
pub(crate) fn looked_at(browser: &mut Browser, path: &str, name: &str) {
    for (width, height, device) in [(1280, 900, "desk"), (390, 844, "phone")] {
        browser.size(width, height);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            browser.open(path);
            assert_eq!(browser.eval(LOW_CONTRAST), json!([]), "{path} {device} {scheme}");
            assert_eq!(browser.eval(FAULTS), json!([]), "{path} {device} {scheme}");
            // Its rules look at one thing or the other: colours on the desk, sizes on the phone.
            if device == "desk" || scheme == "light" {
                assert_accessible(browser, &format!("{path} {device} {scheme}"));
            }
            browser.picture(&format!("{name}-{device}-{scheme}"));
        }
    }
    browser.size(1280, 900);
    browser.scheme("light");
}

#[test]
fn a_person_signs_in_finds_a_title_and_signs_out() {
    let served = crawled();
    let Some(mut browser) = Browser::start(&served) else { return };
    browser.open("/catalogue");
    browser.until("location.pathname === '/login'");
    // The field has the focus: nothing but the keyboard is needed.
    assert_eq!(browser.eval("document.activeElement.id"), json!("token"));
    browser.write("wrong");
    browser.press("Enter");
    browser.until("document.querySelector('[role=alert]')");
    assert_eq!(browser.eval("document.activeElement.id"), json!("token"));
    browser.write(crate::world::TOKEN);
    browser.press("Enter");
    browser.until("location.pathname === '/catalogue'");
    assert_eq!(browser.eval("document.cookie"), json!(""), "scripts do not see the session");

    let title = served.one("SELECT title FROM series ORDER BY id LIMIT 1");
    browser.click("#q");
    browser.write(&title.to_uppercase());
    browser.press("Enter");
    browser.until("location.search.startsWith('?q=')");
    browser.click("tbody a");
    browser.until("document.querySelector('#episodes')");
    assert_eq!(browser.eval("document.querySelector('h1').textContent.trim()"), json!(title));
    // The first key leads past the navigation.
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.className"), json!("skip"));
    browser.press("Enter");
    browser.until("document.activeElement.id === 'main'");

    browser.click(".out button");
    browser.until("location.pathname === '/login'");
    browser.open("/");
    browser.until("location.pathname === '/login'");
    // The wrong token was an error of the network tab, and the only one.
    let errors: Vec<Value> = browser.errors();
    assert!(errors.iter().all(|error| error.to_string().contains("403")), "{errors:?}");
}

#[test]
fn pages_can_be_read_in_light_and_dark_on_a_desk_and_on_a_phone() {
    let served = crawled();
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    let slug = served.one(
        "SELECT slug FROM series s WHERE poster IS NOT NULL AND EXISTS (SELECT 1 FROM episode e WHERE e.series_id = s.id) LIMIT 1",
    );
    for (path, name) in [
        ("/", "overview"),
        ("/catalogue", "catalogue"),
        (&format!("/catalogue/{slug}"), "title"),
        ("/sources", "sources"),
    ] {
        looked_at(&mut browser, path, name);
    }
    browser.assert_clean();
    looked_at(&mut browser, "/catalogue/nothing", "failure");
}

#[test]
fn an_empty_server_can_be_read_as_well() {
    let served = Served::new();
    let Some(mut browser) = Browser::start(&served) else { return };
    looked_at(&mut browser, "/login", "login");
    let Some(mut browser) = Browser::signed_in(&served) else { return };
    for (path, name) in [("/", "empty-overview"), ("/catalogue", "empty-catalogue"), ("/sources", "empty-sources")] {
        looked_at(&mut browser, path, name);
    }
    browser.assert_clean();
}
