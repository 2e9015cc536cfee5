// The picture of a device: on the left the device, on the right whom it may talk to, joined by lines, and apart from them whom
// it tried in vain, joined by broken lines that end in a cross. What it shows is also said in words.
import { el, svg, text } from "./dom.js";
import { nameOf, service, where } from "./words.js";

const line = 44;
const most = 12; // of each kind; the lists of the page have all

// allowedFlows gathers what a profile's entries let in and out by the other side's name.
export function allowedFlows(d) {
  const by = new Map();
  for (const a of d.aces ?? []) {
    if (a.action !== "accept" || a.decision !== "applied") continue;
    const who = a.peers?.length ? a.peers.map((p) => text(p, 120)).join(" & ") : "anyone";
    const inward = a.direction === "to-device";
    const key = who + (inward ? " in" : "");
    const at = by.get(key) ?? { who, inward, what: new Set(), packets: 0, addresses: [] };
    at.what.add(service(a.proto, inward ? a.local_port : a.port));
    at.packets += a.packets;
    at.addresses = (d.names ?? []).find((n) => n.name === who)?.addresses ?? [];
    by.set(key, at);
  }
  return [...by.values()];
}

// deniedFlows gathers attempts by the other side.
export function deniedFlows(attempts) {
  const by = new Map();
  for (const a of attempts) {
    const key = where(a);
    const at = by.get(key) ?? { who: a.name ? text(a.name, 120) : text(a.remote, 120), inward: a.in, what: new Set(), count: 0, addresses: a.name ? [a.remote] : [], enforced: false };
    at.what.add(service(a.proto, a.port));
    at.count += a.count;
    at.enforced ||= a.enforced;
    by.set(key, at);
  }
  return [...by.values()].sort((a, b) => b.count - a.count);
}

const fit = (s, width, size) => text(s, Math.max(6, Math.floor(width / (size * 0.56))));
const some = (set) => [...set].slice(0, 3).join(", ") + (set.size > 3 ? ` and ${set.size - 3} more` : "");

// peer draws one other side in a row of the picture, with its line from the device.
function peer(at, y, from, box, kind) {
  const mid = y + line / 2 - 3;
  const bend = (from.x + box.x) / 2;
  const end = kind === "denied" ? box.x - 22 : box.x;
  const under = [some(at.what), at.addresses.length ? at.addresses.slice(0, 2).join(", ") : null].filter(Boolean).join(" · ");
  const path = `M${from.x} ${from.y}C${bend} ${from.y} ${bend} ${mid} ${end} ${mid}`;
  return svg("g", { class: kind + (kind === "allowed" && at.packets ? " used" : "") },
    svg("path", { class: "flow", d: path }),
    kind === "denied" ? svg("path", { class: "cross", d: `M${end + 3} ${mid - 5}l10 10m0 -10l-10 10` })
      : at.inward ? svg("path", { class: "arrow", d: `M${from.x + 10} ${from.y - 5}l-8 5l8 5` })
        : svg("path", { class: "arrow", d: `M${end - 9} ${mid - 5}l8 5l-8 5` }),
    svg("rect", { x: box.x, y: y + 2, width: box.width, height: line - 10, rx: 8 }),
    svg("text", { x: box.x + 10, y: y + 16, class: "who" }, fit(at.who, box.width - 16, 13)),
    svg("text", { x: box.x + 10, y: y + 30, class: "what" }, fit((kind === "denied" ? `${at.count}× ` : "") + under, box.width - 16, 11)),
    svg("title", {}, `${at.who}: ${[...at.what].join(", ")}`));
}

function heading(words, y, x, cls) {
  return svg("text", { x, y: y + 14, class: `group ${cls}` }, words);
}

function sentence(d, allowed, denied) {
  const list = (flows) => flows.slice(0, 8).map((f) => `${f.who} (${some(f.what)})`).join("; ") + (flows.length > 8 ? `; and ${flows.length - 8} more` : "");
  return `${nameOf(d)} ${allowed.length ? `may talk to ${list(allowed)}` : "has no flows that its profile allows"}. ${
    denied.length ? `Attempts outside its profile: ${list(denied)}.` : "It tried nothing else."}`;
}

// picture draws d at the given width.
export function picture(d, attempts, width) {
  const allowed = allowedFlows(d);
  const denied = deniedFlows(attempts);
  const narrow = width < 520;
  const box = { x: narrow ? 96 : Math.round(width * 0.44), width: 0 };
  box.width = width - box.x - 2;
  const device = { x: 1, width: narrow ? 66 : Math.min(190, Math.round(width * 0.26)), height: 62 };
  const rows = [];
  let y = 0;
  const group = (flows, kind, words, none) => {
    const begin = y;
    rows.push(heading(words, y, box.x, kind));
    y += 22;
    if (!flows.length) {
      rows.push(svg("text", { x: box.x, y: y + 14, class: "what" }, fit(none, box.width, 11)));
      y += 28;
    }
    const tops = flows.slice(0, most).map((f, i) => [f, y + i * line]);
    y += tops.length * line;
    if (flows.length > most) {
      rows.push(svg("text", { x: box.x, y: y + 12, class: "what" }, `and ${flows.length - most} more, listed below`));
      y += 24;
    }
    y += 12;
    return { tops, kind, begin };
  };
  const groups = [group(allowed, "allowed", "Its profile allows", "nothing"),
    group(denied, "denied", d.state === "observed" ? "Would be denied" : "Tried, outside its profile", "nothing, so far")];
  const height = Math.max(y, device.height + 20);
  const top = Math.max(20, Math.min((groups[1].begin - device.height) / 2, height - device.height));
  const from = { x: device.x + device.width, y: top + device.height / 2 };
  const peers = groups.flatMap((g) => g.tops.map(([f, at]) => peer(f, at, from, box, g.kind)));
  return el("div", { class: "picture" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": sentence(d, allowed, denied) },
      peers, rows,
      svg("g", { class: "device" },
        svg("rect", { x: device.x, y: top, width: device.width, height: device.height, rx: 10 }),
        svg("text", { x: device.x + device.width / 2, y: top + 27, "text-anchor": "middle", class: "who" }, fit(nameOf(d), device.width - 8, 13)),
        svg("text", { x: device.x + device.width / 2, y: top + 45, "text-anchor": "middle", class: "what" }, fit(d.addresses?.[0] ?? "", device.width - 4, narrow ? 9 : 11)))));
}
