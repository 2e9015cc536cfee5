// Devices: every device, its state and what it did in the last day. Rows are made once and changed in place.
import { get } from "./api.js";
import { cell, el, empty, put, row, said, table } from "./dom.js";
import { sparkline } from "./charts.js";
import { chip, count, makerOf, many, modelOf, nameOf, sentence, stateNames, stateOf, stateWord, when } from "./words.js";

const screenful = 40;
const newFor = 24 * 3600 * 1000;
const isNew = (d) => Date.now() - new Date(d.first_seen) < newFor;
const order = new Intl.Collator("en", { numeric: true });
const byAge = (a, b) => (isNew(b) - isNew(a)) || (isNew(a) ? new Date(b.first_seen) - new Date(a.first_seen) : order.compare(nameOf(a), nameOf(b)));

const wordsOf = (d) => [nameOf(d), d.mac, d.hostname, makerOf(d), modelOf(d), d.url, stateWord(stateOf(d)), ...(d.addresses ?? [])].join(" ").toLowerCase();

// line is one device of the list. Its row is made when it is to be seen.
function line(first) {
  const self = { device: first, words: wordsOf(first), row: null };
  self.show = () => (self.row ??= rowOf(self.device)).node;
  self.update = (d) => {
    self.device = d;
    self.words = wordsOf(d);
    self.row?.update(d);
  };
  return self;
}

// rowOf is one device's row, with how to change it.
function rowOf(first) {
  const name = el("a", { class: "name" });
  const fresh = el("span", { class: "tag new" }, "New");
  const random = el("span", { class: "tag", title: "It made up its hardware address itself and may come back with another" }, "Private address");
  const about = el("div", { class: "muted clip" });
  const state = el("td", { role: "cell", "data-label": "State" });
  const spark = sparkline();
  const seen = el("td", { role: "cell", "data-label": "Last seen" });
  const addresses = el("td", { role: "cell", "data-label": "Addresses", class: "clip addresses" });
  const node = row([el("th", { scope: "row", role: "rowheader" }, el("div", { class: "clip" }, name, fresh, random), about), state,
    cell("Last 24 hours", spark.node), addresses, seen]);
  let before = "";
  const update = (d) => {
    const now = JSON.stringify(d);
    if (now === before) return;
    before = now;
    name.href = `#/device/${encodeURIComponent(d.mac)}`;
    put(name, said(nameOf(d)));
    fresh.hidden = !isNew(d);
    random.hidden = !d.private_mac;
    put(about, said([makerOf(d), modelOf(d), ...[d.hostname, d.mac].filter((n) => n !== nameOf(d))].filter(Boolean).slice(0, 3).join(" · ")));
    put(state, chip(stateOf(d)));
    state.title = sentence(d.reason);
    spark.update(d.activity);
    put(addresses, said((d.addresses ?? []).join(", ") || "–"));
    put(seen, when(d.last_seen));
  };
  update(first);
  return { node, update };
}

// filters are the search and the states, told in numbers; changed is called when another choice is made.
function filters(changed) {
  const search = el("input", { type: "search", id: "search", placeholder: "Name, address, maker …", autocomplete: "off", input: changed });
  const chosen = el("select", { id: "state", change: changed }, el("option", { value: "" }, "All states"));
  const options = new Map(stateNames.map((s) => [s, el("option", { value: s })]));
  chosen.append(...options.values());
  const numbers = (list) => {
    for (const [s, o] of options) {
      const n = list.filter((d) => stateOf(d) === s).length;
      put(o, `${stateWord(s)} (${n})`);
      o.hidden = n === 0 && chosen.value !== s;
    }
  };
  const node = el("search", { class: "filters" }, el("label", { for: "search", class: "hidden" }, "Search devices"), search,
    el("label", { for: "state", class: "hidden" }, "State"), chosen);
  return { node, numbers, matches: (l) => (!chosen.value || stateOf(l.device) === chosen.value) && l.words.includes(search.value.trim().toLowerCase()) };
}

export async function devices(view, signal) {
  const lines = new Map();
  const body = el("tbody", { role: "rowgroup" });
  const summary = el("p", { class: "lead", role: "status" });
  const none = el("div");
  const filter = filters(() => refilter());
  const list = table("Devices", ["Device", "State", "Last 24 hours", "Addresses", "Last seen"], [], "devices");
  list.tBodies[0].replaceWith(body);

  const refilter = () => {
    let shown = 0;
    for (const l of lines.values()) {
      const fits = filter.matches(l);
      shown += fits;
      if (l.row) l.row.node.hidden = !fits;
    }
    const all = [...lines.values()].map((l) => l.device);
    filter.numbers(all);
    list.hidden = shown === 0;
    filter.node.hidden = lines.size === 0;
    put(none, lines.size === 0
      ? empty("No devices yet", "mudguard lists a device as soon as it speaks on your network. Switch one on, or reconnect it to the Wi-Fi.")
      : shown === 0 && empty("No device matches", "Try fewer letters, or all states."));
    const held = all.filter((d) => d.state === "held").length;
    const denied = all.reduce((n, d) => n + (d.activity?.denied?.at(-1) ?? 0), 0);
    put(summary, lines.size === 0 ? "" : `${shown === lines.size ? many(shown, "device") : `${shown} of ${many(lines.size, "device")}`}${
      held ? `, ${held} waiting for you` : ""}${denied ? `; ${count(denied)} denied in the last hour` : ""}.`);
  };
  const one = (d, top) => {
    const known = lines.get(d.mac);
    if (known) return known.update(d);
    const l = line(d);
    lines.set(d.mac, l);
    if (top) body.prepend(l.show());
    return l;
  };
  const all = async () => {
    const got = (await get("/devices", signal)).sort(byAge);
    const macs = new Set(got.map((d) => d.mac));
    for (const [mac, l] of lines) if (!macs.has(mac)) { l.row?.node.remove(); lines.delete(mac); }
    const first = lines.size === 0;
    const made = got.map((d) => one(d, !first)).filter(Boolean);
    if (first) fill(made);
    refilter();
  };
  // fill shows the first screen at once, as hundreds of rows take their time; then the others, but those that went meanwhile.
  const fill = (made) => {
    body.append(...made.slice(0, screenful).map((l) => l.show()));
    if (made.length <= screenful) return;
    requestAnimationFrame(() => setTimeout(() => {
      body.append(...made.slice(screenful).filter((l) => lines.get(l.device.mac) === l).map((l) => l.show()));
      refilter();
    }));
  };
  view.append(el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Devices"), summary), filter.node, list, none);
  await all();
  return {
    async on(kind, data) {
      if (kind === "device" && data?.state) one(data, true);
      else if (kind === "device" || kind === "poll") return all();
      else if (kind === "denial") bump(lines.get(data?.mac));
      else return;
      refilter();
    },
  };
}

// bump counts one more denial in a row, until the device itself is told again.
function bump(l) {
  if (!l) return;
  const d = structuredClone(l.device);
  if (d.activity?.denied?.length) d.activity.denied[d.activity.denied.length - 1]++;
  d.last_seen = new Date().toISOString();
  l.update(d);
}
