// Alarms: signs of the last day that a host pretends to be another.
import { el, said, section } from "./dom.js";
import { many, sentence, when } from "./words.js";

const kinds = {
  "address of another": "It used the address of another",
  "Ethernet address in two places": "Its hardware address is in two places at once",
  "another port": "It moved to another port",
  "lease given back": "Somebody gave its address back",
};

// isWorrying: a device that is plugged in elsewhere, or roams, moves too.
export const isWorrying = (a) => a.what !== "another port";

// look links a device, but the one whose page this is.
const look = (words, mac, here) => (mac && mac !== here ? [" · ", words, el("a", { href: `#/device/${encodeURIComponent(mac)}` }, said(mac))] : null);

// alarms lists them, the latest first. here is the device whose page it is, if it is one.
export function alarms(list, here) {
  if (!list?.length) return [];
  return section("Signs that somebody pretends to be another", el("ul", { class: "rows" }, [...list].reverse().map((a) => el("li", {}, el("div", {},
    el("strong", {}, kinds[a.what] ?? said(sentence(a.what), "", 80)), el("div", {}, said(sentence(a.text), "", 600)),
    el("div", { class: "muted" }, "last ", when(a.last), ", first ", when(a.first), a.count > 1 ? `, ${many(a.count, "time")}` : null,
      look("", a.mac, here), look("instead of ", a.of, here)))))),
    el("p", { class: "muted" }, "What could be told apart was denied. But who uses a device's hardware address may do what the device may: look where it is plugged in, or quarantine it."));
}
