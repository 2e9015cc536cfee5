// Waiting: what needs a decision, why in plain words, and what approval would allow.
import { get } from "./api.js";
import { button, el, empty, facts, put, said, text } from "./dom.js";
import { approve, difference } from "./actions.js";
import { sentence } from "./words.js";

const kinds = {
  profile: "Its profile waits for you",
  url: "It announced another profile than before",
  member: "It asks to join a class of devices",
};

function card(w, device, after) {
  return el("article", { class: "card waiting" },
    el("h2", {}, el("a", { href: `#/device/${encodeURIComponent(w.mac)}` }, said(w.label || w.mac))),
    el("p", { class: "big" }, kinds[w.kind] ?? text(w.kind, 60)),
    el("p", {}, said(sentence(w.reason), "", 600)),
    difference(w),
    facts([["Signed by", w.signer ? said(w.signer, "", 200) : "nobody"], ["File", w.url ? said(w.url, "", 300) : ""]]),
    el("div", { class: "actions" }, button("Approve …", () => approve(device ?? { mac: w.mac, label: w.label }, w, after), "primary"),
      el("a", { class: "button", href: `#/device/${encodeURIComponent(w.mac)}` }, "Look at the device")),
    el("p", {}, el("small", {}, "You need not decide now: until you do, nothing more is allowed than is in force.")));
}

export async function waiting(view, signal) {
  const cards = el("div", { class: "cards" });
  const summary = el("p", { class: "lead", role: "status" });
  let before = "";
  const load = async () => {
    const [list, devices] = await Promise.all([get("/waiting", signal), get("/devices", signal)]);
    const by = new Map(devices.map((d) => [d.mac, d]));
    const now = JSON.stringify(list);
    if (now === before) return;
    before = now;
    put(summary, list.length === 0 ? "" : list.length === 1 ? "One decision is yours." : `${list.length} decisions are yours.`);
    put(cards, list.length ? list.map((w) => card(w, by.get(w.mac), load))
      : empty("Nothing waits for you", "When a device brings a profile that is not signed, or that allows more than before, it is held here until you decide."));
  };
  view.append(el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Waiting"), summary), cards);
  await load();
  return { on: (kind) => (kind === "denial" ? undefined : load()) };
}
