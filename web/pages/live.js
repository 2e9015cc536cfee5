// What changes comes as server-sent events; where they cannot be had, pages ask again every few seconds.
const kinds = ["device", "denial", "profile", "status"];
const pollEvery = 5000;
const tryAgain = 30000;

// live calls on(kind, data) for what changes, on("poll") when it is time to ask, and state(word) for how it goes.
// It returns how to end it.
export function live(on, state) {
  let source, poll, again;
  const stopPolling = () => { clearInterval(poll); clearTimeout(again); poll = again = undefined; };
  const fallBack = () => {
    if (poll) return;
    state("polling");
    poll = setInterval(() => document.hidden || on("poll"), pollEvery);
  };
  const open = () => {
    source = new EventSource("/api/v1/events");
    source.onopen = () => {
      stopPolling();
      state("live");
      on("poll"); // what happened since the page asked
    };
    source.onerror = () => {
      fallBack();
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, tryAgain);
    };
    for (const kind of kinds) source.addEventListener(kind, (e) => on(kind, parse(e.data)));
  };
  const parse = (s) => { try { return JSON.parse(s); } catch { return {}; } };
  // A page that the browser keeps for the way back must not keep its connection: a browser has but six for a host.
  const left = new AbortController();
  addEventListener("pagehide", () => { stopPolling(); source.close(); }, left);
  addEventListener("pageshow", (e) => { if (e.persisted) open(); }, left);
  open();
  return () => { left.abort(); stopPolling(); source.close(); };
}
