// Keeps what is on the page up to date. Without it everything works, one has to reload.
//
// <main data-events="ADDRESS"> names a stream of server-sent events. Whatever comes, the page is fetched again and each
// [data-live] part of it that differs takes the place of the one that is shown.
(() => {
  "use strict";
  const main = document.querySelector("main[data-events]");
  if (!main || !window.EventSource) return;
  const status = document.getElementById("live-status");
  const PAUSE = 400;
  // A screen reader is told at most this often.
  const SAY = 5000;
  let said = 0, saying = null, loading = false, again = false, last = 0, timer = null;

  const say = (text, now) => {
    if (!status || status.textContent === text) return;
    clearTimeout(saying);
    const wait = now ? 0 : Math.max(0, said + SAY - Date.now());
    saying = setTimeout(() => { said = Date.now(); status.textContent = text; }, wait);
  };

  const take = fresh => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const part = fresh.querySelector(`[data-live="${CSS.escape(old.dataset.live)}"]`);
      if (!part || part.isEqualNode(old)) continue;
      const held = old.contains(document.activeElement) ? document.activeElement.id : "";
      // Only bars and numbers move most of the time: the old parts stay where they are, so nothing flickers.
      old.replaceWith(document.importNode(part, true));
      if (held) document.getElementById(held)?.focus();
    }
    const words = fresh.querySelector("[data-say]");
    if (words) say(words.dataset.say, words.dataset.end === "true");
  };

  const load = async () => {
    if (loading) { again = true; return; }
    loading = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected || answer.status === 401) { location.reload(); return; }
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The server is away; the stream comes back with it.
    } finally {
      loading = false;
      if (again) { again = false; soon(); }
    }
  };

  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = null; load(); }, Math.max(0, last + PAUSE - Date.now()));
  };

  const events = new EventSource(main.dataset.events);
  for (const name of ["changed", "import", "batch", "progress"]) events.addEventListener(name, soon);
  events.addEventListener("open", () => { document.documentElement.dataset.connected = "yes"; soon(); });
  events.addEventListener("error", () => { document.documentElement.dataset.connected = "no"; });
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", event => { if (event.persisted) location.reload(); });
})();
