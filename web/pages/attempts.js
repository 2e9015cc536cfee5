// Attempts: what was denied, or would have been, grouped by device, other side and reason; with a filter and an export.
import { get, query } from "./api.js";
import { button, cell, el, empty, put, row, said, section, table, text } from "./dom.js";
import { hourly, sparkline } from "./charts.js";
import { allowing } from "./actions.js";
import { attemptSays, count, many, nameOf, service, when } from "./words.js";

const periods = [["1", "Last hour"], ["24", "Last 24 hours"], ["168", "Last 7 days"], ["720", "Last 30 days"]];

// attemptRow is one group of attempts. device is null where all are of one device.
export function attemptRow(a, d, device, after) {
  const spark = sparkline();
  spark.update({ allowed: [], denied: a.hours });
  return row([device ? el("th", { scope: "row", role: "rowheader" }, el("a", { href: `#/device/${encodeURIComponent(a.mac)}`, class: "clip" }, said(nameOf(d)))) : null,
    cell("What", el("bdi", { class: "clip" }, attemptSays(a)), el("div", { class: "muted clip" }, said(a.reason, "", 400))),
    cell("Times", el("strong", {}, count(a.count)), el("div", {}, a.enforced ? el("span", { class: "tag bad" }, "denied") : el("span", { class: "tag" }, "let pass"))),
    cell("Last 24 hours", spark.node), cell("Last", when(a.last), el("div", { class: "muted" }, "first ", when(a.first))),
    cell("", allowing(d, a, after))]);
}

export const attemptColumns = ["What", "Times", "Last 24 hours", "Last", "Allow"];

// add sums hours over attempts.
export const hours = (list, which) => list.filter(which).reduce((sum, a) => sum.map((n, i) => n + (a.hours?.[i] ?? 0)), Array(24).fill(0));

// save gives the browser a file to keep.
function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// csv writes attempts as a table. What a spreadsheet would take for a formula is kept text by an apostrophe.
export function csv(list, names) {
  const field = (v) => `"${text(v, 1000).replace(/^[=+\-@]/, "'$&").replaceAll('"', '""')}"`;
  const lines = list.map((a) => [names.get(a.mac), a.mac, a.direction, a.proto, a.remote, a.name, a.port, a.count, a.first, a.last, a.enforced ? "denied" : "let pass", a.reason]);
  return [["device", "mac", "direction", "protocol", "address", "name", "port", "times", "first", "last", "verdict", "reason"], ...lines]
    .map((l) => l.map(field).join(",")).join("\r\n") + "\r\n";
}

export async function attempts(view, signal) {
  const known = new Map();
  let list = [];
  const option = (value, label) => el("option", { value }, label);
  const search = el("input", { type: "search", id: "search", placeholder: "Name, address, port, reason …", autocomplete: "off", input: () => draw() });
  const who = el("select", { id: "who", change: () => load() }, option("", "All devices"));
  const period = el("select", { id: "period", change: () => load() }, periods.map(([v, l]) => option(v, l)));
  period.value = "24";
  const verdict = el("select", { id: "verdict", change: () => draw() }, option("", "Denied and let pass"), option("denied", "Denied"), option("passed", "Let pass (observed or paused)"));
  const label = (id, words) => el("label", { for: id, class: "hidden" }, words);
  const summary = el("p", { class: "lead", role: "status" });
  const none = el("div");
  const chart = hourly("Attempts by hour, last 24 hours", [["Denied", "bad"], ["Let pass", "info"]], signal);
  const body = el("tbody", { role: "rowgroup" });
  const rows = table("Attempts", ["Device", ...attemptColumns], [], "attempts");
  rows.tBodies[0].replaceWith(body);
  const chosen = () => list.filter((a) => {
    const words = `${nameOf(known.get(a.mac) ?? a)} ${a.mac} ${attemptSays(a)} ${a.reason} ${service(a.proto, a.port)}`.toLowerCase();
    return words.includes(search.value.trim().toLowerCase()) && (!verdict.value || a.enforced === (verdict.value === "denied"));
  });
  const exported = el("div", { class: "actions" },
    button("Export as CSV", () => save("mudguard-attempts.csv", "text/csv", csv(chosen(), new Map([...known].map(([m, d]) => [m, nameOf(d)]))))),
    button("Export as JSON", () => save("mudguard-attempts.json", "application/json", JSON.stringify(chosen(), null, 2))));
  const charted = section("By hour", chart.node);

  let drawn = "";
  const draw = () => {
    const some = chosen();
    const total = some.reduce((n, a) => n + a.count, 0);
    put(summary, some.length ? `${many(total, "attempt")} at ${many(some.length, "destination")}.` : "");
    rows.hidden = charted.hidden = exported.hidden = some.length === 0;
    put(none, some.length === 0 && (list.length || who.value
      ? empty("No attempt matches", "Try fewer letters, another device or a longer time.")
      : empty("Nothing was denied", "Every device kept to its profile in this time. When one tries something else, it is listed here with the reason, and you can allow it.")));
    chart.update(hours(some, (a) => a.enforced), hours(some, (a) => !a.enforced));
    const now = JSON.stringify(some);
    if (now === drawn || body.contains(document.activeElement) && document.querySelector("dialog")) return;
    drawn = now;
    body.replaceChildren(...some.slice(0, 500).map((a) => attemptRow(a, known.get(a.mac) ?? { mac: a.mac }, true, load)));
  };
  const load = async () => {
    const since = new Date(Date.now() - period.value * 3600 * 1000).toISOString();
    list = await get(`/attempts${query({ device: who.value, since })}`, signal);
    draw();
  };
  for (const d of (await get("/devices", signal)).sort((a, b) => nameOf(a).localeCompare(nameOf(b)))) {
    known.set(d.mac, d);
    who.append(option(d.mac, nameOf(d)));
  }
  view.append(el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Attempts"), summary),
    el("search", { class: "filters" }, label("search", "Search attempts"), search, label("who", "Device"), who, label("period", "Time"), period, label("verdict", "Verdict"), verdict),
    charted, rows, none, exported);
  await load();
  return { on: (kind) => (kind === "denial" || kind === "poll" ? load() : undefined) };
}
