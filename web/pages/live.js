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
    let lost = false;
    source.onopen = () => {
      stopPolling();
      state("live");
      if (lost) on("poll"); // what happened in between
      lost = false;
    };
    source.onerror = () => {
      lost = true;
      fallBack();
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, tryAgain);
    };
    for (const kind of kinds) source.addEventListener(kind, (e) => on(kind, parse(e.data)));
  };
  const parse = (s) => { try { return JSON.parse(s); } catch { return {}; } };
  open();
  return () => { stopPolling(); source.close(); };
}
