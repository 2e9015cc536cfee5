// One device: what it may do, whom it talks to, what it tried, its profile, and the buttons that steer it.
import { alarms } from "./alarms.js";
import { get } from "./api.js";
import { button, cell, el, empty, facts, put, row, said, section, table } from "./dom.js";
import { hourly, sparkline } from "./charts.js";
import { picture } from "./picture.js";
import { allowing, approve, difference, enforce, orders, path, removeException } from "./actions.js";
import { doing } from "./dialog.js";
import { attemptColumns, attemptRow, hours } from "./attempts.js";
import { aceSays, attemptSays, bytes, chip, count, inPage, makerOf, many, modelOf, nameOf, sentence, stateMeans, stateOf, when } from "./words.js";

// part is a piece of the page that is made anew only when what it shows has changed; the focus stays where it was.
function part(build) {
  const node = el("div", { class: "part" });
  let before;
  const update = (...input) => {
    const now = JSON.stringify(input);
    if (now === before) return;
    before = now;
    const at = node.contains(document.activeElement) ? [...node.querySelectorAll("a,button,summary")].indexOf(document.activeElement) : -1;
    const open = [...node.querySelectorAll("details")].map((x) => x.open);
    put(node, build(...input));
    node.querySelectorAll("details").forEach((x, i) => { x.open = open[i] ?? false; });
    if (at >= 0) node.querySelectorAll("a,button,summary")[at]?.focus();
  };
  return { node, update };
}

function head(d) {
  const about = [makerOf(d), modelOf(d)].filter(Boolean).join(" · ");
  return [el("p", { class: "crumb" }, el("a", { href: "#/devices" }, "Devices")),
    el("div", { class: "head" }, el("h1", { tabindex: "-1", class: "clip" }, said(nameOf(d))), chip(stateOf(d))),
    about ? el("p", { class: "lead clip" }, said(about)) : null,
    el("p", {}, stateMeans(stateOf(d)), " ", el("span", { class: "muted" }, "The reason: ", said(inPage(d.reason), "", 600), ".")),
    d.state === "fetching" ? el("p", { class: "notice info", role: "status" }, el("progress", { "aria-label": "Fetching the profile" }), " Fetching its profile from ", said(d.url, "", 200), " …") : null];
}

// notices are what needs the administrator's attention.
function notices(d, waiting, report, after) {
  const out = [];
  if (d.state === "paused") {
    out.push(el("div", { class: "notice warn" }, el("p", {}, "Its rules are off. They come back by themselves ", when(d.paused_until), ".")));
  }
  if (waiting) {
    out.push(el("div", { class: "notice warn" }, el("h2", {}, "Waiting for your decision"), el("p", {}, said(sentence(waiting.reason), "", 600)),
      difference(waiting), el("div", { class: "actions" }, button("Approve …", () => approve(d, waiting, after), "primary"))));
  }
  if (d.state === "observed" && report) {
    const flows = report.flows ?? [];
    out.push(el("div", { class: "notice info" }, el("h2", {}, "While it was observed"),
      el("p", {}, said(sentence(report.text))),
      flows.length ? el("ul", { class: "rows" }, flows.slice(0, 50).map((f) => el("li", {}, el("span", { class: "clip" }, said(`${count(f.count)}× ${attemptSays(f)}`)),
        allowing(d, f, after)))) : null,
      el("div", { class: "actions" }, button("Enforce …", () => enforce(d, after, report.text), "primary"))));
  }
  return out;
}

function ace(a) {
  const version = a.family ? el("span", { class: "tag" }, `IPv${a.family}`) : null;
  return el("li", { class: a.packets ? "" : "unused" },
    el("div", {}, el("bdi", { class: a.action === "accept" ? "" : "not" }, aceSays(a)), " ", version,
      el("div", { class: "muted clip" }, said(`${a.acl} / ${a.ace}`), a.decision !== "applied" ? [" – ", said(a.decision, "", 300)] : null)),
    el("span", { class: "hits" }, a.packets ? `${many(a.packets, "flow")}, ${bytes(a.bytes)}` : el("span", { class: "tag" }, "not used yet")));
}

// may says what the device may do.
function may(aces, infrastructure, state) {
  const applied = aces.filter((a) => a.decision === "applied");
  const replies = aces.filter((a) => a.decision.startsWith("replies only"));
  const others = aces.filter((a) => !applied.includes(a) && !replies.includes(a));
  const more = (title, list, cls = "rows") => (list.length ? el("details", {}, el("summary", {}, title), el("ul", { class: cls }, list)) : null);
  const unused = applied.filter((a) => !a.packets).length;
  return section("What it may do",
    applied.length ? [el("ul", { class: "rows" }, applied.map(ace)),
      unused ? el("p", { class: "muted" }, `${unused === 1 ? "One entry is" : `${count(unused)} entries are`} not used yet. Flows are counted over all devices with this profile.`) : null]
      : el("p", {}, ["unmanaged", "trusted"].includes(state) ? "Anything: nothing restricts it. Assign a profile to change that." : "Nothing of its own; only what this network gives every device."),
    more(`${many(others.length, "entry", "entries")} not applied`, others.map(ace)),
    more(`${many(replies.length, "entry", "entries")} for replies, which pass because the flow was allowed`, replies.map(ace)),
    more("What this network gives it besides", infrastructure.map((i) => el("li", {}, said(i))), ""));
}

function exceptions(d, after) {
  if (!d.exceptions?.length) return [];
  return section("Your exceptions", el("p", { class: "muted" }, "Beyond what the manufacturer declared, because you allowed it."),
    el("ul", { class: "rows" }, d.exceptions.map((x) => el("li", {},
      el("div", {}, said(x.text, "clip", 400), el("div", { class: "muted" }, x.until ? ["ends ", when(x.until)] : "always", x.note ? [" – ", said(x.note, "", 200)] : null)),
      button("Remove", doing(async () => { await removeException(d, x.id); await after(); }, "Removed: it is denied again."), "small")))));
}

// open lists the addresses of a name that are open now, and until when if no answer renews them.
function open(n) {
  if (!n.addresses?.length) return el("span", { class: "muted" }, "none yet: it has not asked for this name");
  const all = n.addresses.map((x, i) => el("div", {}, said(x), n.until?.[i] ? el("span", { class: "muted" }, " closes ", when(n.until[i])) : null));
  return all.length <= 6 ? all : [...all.slice(0, 4), el("details", {}, el("summary", {}, `${all.length - 4} more`), all.slice(4))];
}

function names(list) {
  if (!list.length) return [];
  return section("Names and their addresses", table("Names", ["Name", "Open addresses"], list.map((n) => row([
    el("th", { scope: "row", role: "rowheader", class: "clip" }, said(n.name, "", 253)),
    cell("Open addresses", open(n)),
  ])), "names"));
}

function file(d) {
  const p = d.profile;
  if (!d.url && !p) return section("Its profile", empty("It announced no profile", "If its maker publishes one, use “Assign a profile”: paste the URL or scan the QR code on its box."));
  const sources = { admin: "you", qr: "a QR code", x509: "its certificate", dhcpv4: "the device, by DHCP", dhcpv6: "the device, by DHCPv6", lldp: "the device, by LLDP" };
  return section("Its profile", facts([
    ["It says", p ? said(p.systeminfo) : ""], ["URL", said(d.url, "", 400)], ["Announced by", sources[d.source] ?? said(d.source)],
    ["Signed by", p ? (p.signer ? said(p.signer, "", 300) : "nobody") : ""], ["Of", p ? when(p.last_update) : ""],
    ["Next look for a newer one", p ? when(p.next_refresh) : ""], ["SHA-256", p?.sha256 ? el("code", {}, said(p.sha256)) : ""],
    ["Approved", d.approval ? ["by ", said(d.approval.by), " ", when(d.approval.time)] : ""],
    ["Another URL, waiting", d.pending_url ? said(d.pending_url, "", 400) : ""], ["URLs it had before", d.former_urls?.length ? said(d.former_urls.join(", "), "", 600) : ""],
  ]), d.problems?.length ? el("details", {}, el("summary", {}, many(d.problems.length, "remark"), " about the file"),
    el("ul", {}, d.problems.slice(0, 100).map((x) => el("li", {}, said(`${x.severity}: ${x.message}`, "", 400), " ", el("small", {}, said(x.path)))))) : null);
}

const identity = (d) => section("On the network", facts([
  ["Hardware address", el("span", {}, el("code", {}, d.mac), d.private_mac ? " (made up by the device; it may change)" : "")],
  ["Addresses", d.addresses?.length ? said(d.addresses.join(", "), "", 600) : "none known"], ["Calls itself", said(d.hostname)],
  ["First seen", when(d.first_seen)], ["Last seen", when(d.last_seen)]]));

function attemptsPart(view, signal, after) {
  const chart = hourly("Attempts by hour, last 24 hours", [["Denied", "bad"], ["Let pass", "info"]], signal);
  const list = part((attempts, d) => (attempts.length
    ? table("Attempts", attemptColumns, attempts.slice(0, 200).map((a) => attemptRow(a, d, false, after)), "attempts")
    : empty("No attempts outside its profile", "If it tries something that its profile does not allow, it is listed here, and you can allow it.")));
  const charted = el("div", {}, chart.node);
  const node = section("Attempts outside its profile", charted, list.node);
  return { node, update(attempts, d) {
    charted.hidden = attempts.length === 0;
    list.update(attempts, { mac: d.mac, name: d.name, label: d.label });
    if (attempts.length) chart.update(hours(attempts, (a) => a.enforced), hours(attempts, (a) => !a.enforced));
  } };
}

function drawn(box, get) {
  const draw = () => { const [d, attempts] = get(); if (d && box.clientWidth) put(box, picture(d, attempts, box.clientWidth)); };
  let width = 0;
  const resize = new ResizeObserver(() => { if (box.clientWidth !== width) { width = box.clientWidth; draw(); } });
  resize.observe(box);
  return { draw, end: () => resize.disconnect() };
}

export async function device(view, signal, mac) {
  const at = path({ mac });
  let d, attempts = [];
  const spark = sparkline();
  const box = el("div", { class: "drawing" });
  const sketch = drawn(box, () => [d, attempts]);
  signal.addEventListener("abort", sketch.end);
  const load = async () => {
    const [now, tried, waiting, report] = await Promise.all([get(at, signal), get(`/attempts?device=${encodeURIComponent(mac)}`, signal), get("/waiting", signal),
      get(`${at}/report`, signal).catch(() => null)]);
    [d, attempts] = [now, tried];
    const waits = waiting.find((w) => w.mac === d.mac) ?? null;
    parts.head.update(d);
    parts.orders.update(d, waits, report);
    parts.notices.update(d, waits, report);
    parts.alarms.update(d.alarms);
    parts.may.update(d.aces ?? [], d.infrastructure ?? [], d.state);
    parts.exceptions.update(d);
    tries.update(attempts, d);
    parts.names.update(d.names ?? []);
    parts.file.update(d);
    parts.identity.update(d);
    spark.update(d.activity);
    sketch.draw();
  };
  const parts = { head: part(head), orders: part((x, w, r) => orders(x, w, load, r?.text)), notices: part((x, w, r) => notices(x, w, r, load)), alarms: part((x) => alarms(x, mac)), may: part(may),
    exceptions: part((x) => exceptions(x, load)), names: part(names), file: part(file), identity: part(identity) };
  const tries = attemptsPart(view, signal, load);
  view.append(parts.head.node, parts.orders.node, parts.notices.node, parts.alarms.node,
    el("div", { class: "columns" }, parts.may.node, section("Whom it talks to", box, el("div", { class: "sparkline" }, spark.node, el("span", { class: "muted" }, "Flows by hour, last 24 hours: allowed above, denied below")))),
    parts.exceptions.node, tries.node, parts.names.node, el("div", { class: "columns" }, parts.file.node, parts.identity.node));
  await load();
  return { on: (kind, data) => (!data?.mac || data.mac === mac || kind === "poll" ? load() : undefined) };
}
