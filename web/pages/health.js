// Health: whether mudguard does what it should, and what it cannot do here.
import { alarms, isWorrying } from "./alarms.js";
import { get } from "./api.js";
import { cell, el, facts, put, row, said, section, table } from "./dom.js";
import { count, many, sentence, when } from "./words.js";

const queues = { native: "held until their addresses are open", xt: "held until their addresses are open (by the older xt target)", none: "not held: names are looked up ahead of time only" };
const bridges = { conntrack: "known by connection tracking of the bridge", netfilter: "known by br_netfilter", stateless: "told by ports and flags alone", none: "no LAN interface is a bridge" };

const counted = [["Changes of the kernel's tables", "transactions"], ["of which the kernel refused", "transactions_refused"], ["The last change", "last_transaction"],
  ["DNS answers that were held", "dns_answers_held"], ["of which were let go too late", "dns_answers_late"], ["Errors of the queue", "queue_errors"],
  ["Denied packets that were told", "log_packets"], ["of which were lost on the way", "log_packets_lost"], ["Errors of the log", "log_errors"], ["Events dropped, as it was too busy", "events_dropped"],
  ["Profiles fetched", "profiles_fetched"], ["of which were held for you", "fetches_held"], ["Fetches that failed", "fetches_failed"]];

function draw(s) {
  const deaf = s.sources.filter((x) => x.state !== "listening");
  const worries = s.alarms.filter(isWorrying);
  const well = !s.gaps.length && !deaf.length && !worries.length;
  return [
    el("div", { class: `notice ${well ? "ok" : "warn"}` }, el("p", { class: "big" }, well ? "All is well: everything is enforced." :
      `mudguard works, with ${[worries.length && many(worries.length, "alarm"), s.gaps.length && many(s.gaps.length, "gap"), deaf.length && `${many(deaf.length, "source")} that cannot be heard`].filter(Boolean).join(" and ")}.`)),
    alarms(s.alarms),
    section("What is not enforced, or not as well as it should be", s.gaps.length
      ? el("ul", { class: "rows" }, s.gaps.map((g) => el("li", {}, el("div", {}, el("strong", {}, said(g.what, "", 200)), el("div", { class: "muted" }, said(sentence(g.why), "", 600))))))
      : el("p", {}, "Nothing: this kernel has all that mudguard needs.")),
    section("Where devices are heard", s.sources.length ? table("Sources", ["Source", "State", "Last heard"], s.sources.map((x) => row([
      el("th", { scope: "row", role: "rowheader" }, said(x.name)), cell("State", el("span", { class: `chip ${x.state === "listening" ? "ok" : "bad"}` }, said(x.state, "", 200))),
      cell("Last heard", when(x.last_seen))]))) : el("p", {}, "Nowhere. Set lan.interfaces in the configuration to where your devices are.")),
    el("div", { class: "columns" },
      section("What the kernel can do", facts([["DNS answers", queues[s.kernel.queue] ?? said(s.kernel.queue)],
        ["Replies between LAN hosts", bridges[s.kernel.replies] ?? said(s.kernel.replies)], ["br_netfilter", s.kernel.br_netfilter ? "on" : "off"],
        ["Spoofed source addresses", s.kernel.fib ? "found and dropped" : "cannot be found (no nft_fib)"], ["Tables", said(s.tables.join(", "))]])),
      section("The daemon", facts([["Version", said(s.version)], ["Running since", when(s.started)], ["These pages", s.web?.url ? said(s.web.url) : "on the unix socket only"], ["Devices", count(s.devices)],
        ["Held until you decide", s.held ? el("a", { href: "#/waiting" }, many(s.held, "device")) : "none"],
        ["Repairs", s.repairs ? `${count(s.repairs)}: somebody else changed mudguard's tables, and it put them right` : "none were needed"],
        ["The last repair", s.last_repair ? [when(s.last_repair.at), ": ", said(s.last_repair.what, "", 600)] : ""]]))),
    section("Counted since it started", el("div", { class: "columns numbers" }, [counted.slice(0, 6), counted.slice(6)].map((part) =>
      facts(part.map(([name, key]) => [name, key === "last_transaction" ? when(s.counters[key]) : count(s.counters[key])]))))),
  ];
}

export async function health(view, signal) {
  const body = el("div");
  let before = "";
  const load = async () => {
    const s = await get("/status", signal);
    const now = JSON.stringify({ ...s, now: "" });
    if (now === before) return;
    before = now;
    put(body, draw(s));
  };
  view.append(el("div", { class: "head" }, el("h1", { tabindex: "-1" }, "Health")), body);
  await load();
  const often = setInterval(() => document.hidden || load().catch(() => {}), 10000); // the connection's state says what is wrong
  signal.addEventListener("abort", () => clearInterval(often));
  return { on: (kind) => (kind === "status" || kind === "poll" ? load() : undefined) };
}
