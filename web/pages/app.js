// The frame around the pages: routes, navigation, what is live, and who is signed in.
import { get, remove } from "./api.js";
import { button, el, put } from "./dom.js";
import { live } from "./live.js";
import { fail } from "./notes.js";
import { tick } from "./words.js";
import { devices } from "./devices.js";
import { device } from "./device.js";
import { attempts } from "./attempts.js";
import { waiting } from "./waiting.js";
import { health } from "./health.js";
import { login } from "./login.js";

const pages = { devices, attempts, waiting, health };
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const links = new Map();
const liveWord = el("span", { id: "live", role: "status" });
const waitingCount = el("span", { class: "count" });

let page = { on() {} };
let leave = new AbortController();
let endLive = null;
let busy = false;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("?")[0].split("/");
  if (name === "device" && rest[0]) return [(v, s) => device(v, s, decodeURIComponent(rest[0])), "devices"];
  return [pages[name] ?? devices, pages[name] ? name : "devices"];
}

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [open, name] = route();
  for (const [key, link] of links) {
    if (key === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = el("div", { class: "page" });
  const wait = setTimeout(() => put(main, el("div", { class: "loading", role: "status" }, el("progress", { "aria-label": "Loading" }), " Loading…")), 150);
  let made;
  try {
    made = await open(view, signal);
  } catch (err) {
    if (signal.aborted || err.status === 401) return;
    view.replaceChildren(el("h1", { tabindex: "-1" }, "This page cannot be shown"), el("p", { class: "notice bad", role: "alert" }, err.message),
      button("Try again", show, "primary"));
  } finally {
    clearTimeout(wait);
  }
  if (signal.aborted) return;
  page = made ?? { on() {} };
  put(main, view);
  enter(view);
}

// enter lets keyboard and screen reader begin at the new page.
function enter(view) {
  const title = view.querySelector("h1");
  document.title = `${title?.textContent ?? "mudguard"} – mudguard`;
  scrollTo(0, 0);
  title?.focus({ preventScroll: true });
}

// changed passes on what happened; many events in a short time are one.
const pending = new Map();
function changed(kind, data) {
  pending.set(kind + (data?.mac ?? ""), [kind, data]);
  if (busy) return;
  busy = true;
  setTimeout(async () => {
    busy = false;
    const list = [...pending.values()];
    pending.clear();
    try {
      for (const [k, d] of list) await page.on(k, d);
      if (list.some(([k]) => k === "profile" || k === "device" || k === "poll")) await countWaiting();
    } catch (err) {
      if (err.status === 0 || err.status === 401 || err.name === "AbortError") return; // the state of the connection says it
      fail(err);
    }
  }, 250);
}

// countWaiting brings the number beside Waiting up to date, but not more often than people look at it.
let counting, due;
async function countWaiting() {
  due = Boolean(counting);
  if (due) return;
  counting = setTimeout(() => {
    counting = undefined;
    if (due) countWaiting().catch(() => {}); // the page itself says what is wrong
  }, 5000);
  const n = (await get("/waiting")).length;
  waitingCount.hidden = n === 0;
  put(waitingCount, String(n));
}

const liveWords = { live: "Live", polling: "Every few seconds" };

function frame(signedIn) {
  nav.hidden = !signedIn;
  document.getElementById("tools").hidden = false;
  if (!signedIn) {
    endLive?.();
    endLive = null;
    liveWord.textContent = "";
    return;
  }
  endLive ??= live(changed, (state) => {
    liveWord.className = state;
    put(liveWord, liveWords[state]);
  });
  countWaiting().catch(() => {}); // the page itself says what is wrong
}

function theme() {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const b = button("", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    label();
    dispatchEvent(new Event("themed"));
  }, "quiet icon");
  const label = () => { b.textContent = dark() ? "☀" : "☾"; b.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours"); };
  label();
  return b;
}

async function signOut() {
  try {
    await remove("/session");
  } catch (err) {
    return fail(err);
  }
  start();
}

function build() {
  for (const [key, name] of [["devices", "Devices"], ["attempts", "Attempts"], ["waiting", "Waiting"], ["health", "Health"]]) {
    const link = el("a", { href: `#/${key}` }, name, key === "waiting" ? waitingCount : null);
    links.set(key, link);
    nav.append(link);
  }
  waitingCount.hidden = true;
  document.getElementById("tools").append(liveWord, theme(), button("Sign out", signOut, "quiet signout"));
}

// start shows the page, or asks who is there.
async function start() {
  leave.abort();
  page = { on() {} };
  let session;
  try {
    session = await get("/session");
  } catch (err) {
    put(main, el("h1", { tabindex: "-1" }, "mudguard does not answer"), el("p", { class: "notice bad", role: "alert" }, err.message),
      button("Try again", start, "primary"));
    return;
  }
  document.body.classList.toggle("signedout", !session.authenticated);
  if (!session.authenticated) {
    frame(false);
    const view = el("div", { class: "page narrow" });
    login(view, session, start);
    put(main, view);
    return enter(view);
  }
  if (!location.hash) history.replaceState(null, "", "#/devices");
  show().then(() => frame(true));
}

build();
addEventListener("hashchange", () => document.body.classList.contains("signedout") || show());
addEventListener("signedout", start);
setInterval(tick, 15000);
start();
