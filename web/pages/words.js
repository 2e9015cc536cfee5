// Plain words for what the API says.
import { el, text } from "./dom.js";

const states = {
  enforced: ["Enforced", "ok", "It may do what its profile allows, and nothing else."],
  observed: ["Observed", "info", "Nothing is denied yet; what would be is listed below."],
  held: ["Waiting for you", "warn", "Its profile waits for your approval. Until then it has only DHCP, DNS and the time."],
  fetching: ["Fetching profile", "info", "Its profile is being fetched. Until then it has only DHCP, DNS and the time."],
  failed: ["Profile failed", "bad", "Its profile cannot be used. Until it can, it has only DHCP, DNS and the time."],
  quarantined: ["Quarantined", "bad", "It is cut off from everything until you release it."],
  paused: ["Paused", "warn", "Its rules are off for a while."],
  unmanaged: ["No profile", "plain", "It announced no profile, so nothing restricts it."],
  trusted: ["Trusted", "plain", "You listed it as trusted, so nothing restricts it."],
};

export const isPaused = (d) => d.state === "paused" || Boolean(d.paused_until && new Date(d.paused_until) > new Date());
export const stateOf = (d) => (isPaused(d) ? "paused" : d.state);
export const stateWord = (state) => (states[state] ?? [text(state, 40)])[0];
export const stateMeans = (state) => states[state]?.[2] ?? "";
export const stateNames = Object.keys(states);

// chip is a state as a word and a colour.
export const chip = (state) => el("span", { class: `chip ${states[state]?.[1] ?? "plain"}` }, stateWord(state));

export const nameOf = (d) => text(d.name || d.label || d.hostname || d.mac, 80);
export const makerOf = (d) => text(d.profile?.mfg_name || d.vendor || "", 80);
export const modelOf = (d) => text(d.profile?.model_name || d.profile?.systeminfo || "", 80);

const services = {
  20: "file transfer", 21: "file transfer", 22: "SSH", 23: "Telnet", 25: "mail", 53: "DNS", 67: "DHCP", 80: "web", 110: "mail",
  123: "time", 137: "Windows names", 139: "Windows files", 143: "mail", 161: "SNMP", 443: "secure web", 445: "Windows files",
  465: "secure mail", 502: "Modbus", 514: "syslog", 515: "printing", 554: "video", 587: "mail", 631: "printing", 853: "secure DNS",
  993: "secure mail", 1883: "MQTT", 1900: "discovery", 2323: "Telnet", 3306: "MySQL", 3389: "remote desktop", 3478: "call set-up", 5060: "phone calls",
  5353: "local discovery", 5540: "Matter", 5555: "Android debugging", 5683: "CoAP", 5684: "secure CoAP", 5900: "screen sharing", 6379: "Redis",
  8080: "web", 8443: "secure web", 8883: "secure MQTT", 9100: "printing",
};

const spelt = { tcp: "TCP", udp: "UDP", icmp: "ICMP", "ipv6-icmp": "ICMPv6", igmp: "IGMP", sctp: "SCTP" };

// service is a protocol and port: "TCP 443 (secure web)".
export function service(proto, port) {
  const p = text(proto || "any protocol", 60);
  const known = (p === "tcp" || p === "udp") && services[port] || /^(icmp type 8|ipv6-icmp type 128)\b/.test(p) && "ping";
  const name = p.replace(/^(ipv6-icmp|[a-z]+)/, (w) => spelt[w] ?? w);
  return `${name}${port ? ` ${text(port, 40)}` : ""}${known ? ` (${known})` : ""}`;
}

// aceSays is what one entry of a profile lets the device do: "May reach cloud.example on TCP 443 (secure web)".
export function aceSays(a) {
  const who = a.peers?.length ? a.peers.map((p) => text(p, 120)).join(" that is also ") : "anyone";
  const may = a.action === "accept" ? "May" : "May not";
  const what = a.proto ? service(a.proto, a.port) : "anything";
  const rest = (a.if ?? []).map((c) => text(c, 120)).join(" and ");
  const tail = rest ? `, if ${rest}` : "";
  if (a.direction === "to-device") {
    const own = a.proto ? service(a.proto, a.local_port) : "anything";
    return `${may} be reached by ${who} on ${own}${a.port ? `, from port ${text(a.port, 40)}` : ""}${tail}`;
  }
  return `${may} reach ${who} on ${what}${a.local_port ? `, from its port ${text(a.local_port, 40)}` : ""}${tail}`;
}

const orders = { approve: "press “Approve”", assign: "“Assign a profile”", quarantine: "press “Quarantine”", release: "“Release”", device: "close this and look at the page" };

// inPage is what the daemon says, where it names a command to type, with the button that does the same.
export const inPage = (said) => String(said ?? "").replace(/mudguard (approve|assign|quarantine|release|device) (?:[\da-f]{2}(?::[\da-f]{2}){5}|MAC)( URL)?/g,
  (_, order) => orders[order]);

// sentence makes a whole one of what the daemon says in half ones.
export function sentence(said, most = 600) {
  const s = text(inPage(said), most);
  return s && s[0].toUpperCase() + s.slice(1) + (/[.!?…]$/.test(s) ? "" : ".");
}

// where is the other side of an attempt: its name where one is known, and its address.
export const where = (a) => (a.name ? `${text(a.name, 120)} (${text(a.remote, 60)})` : text(a.remote, 120));

// attemptSays is what a device tried.
export function attemptSays(a) {
  const what = service(a.proto, a.port);
  return a.in ? `was called by ${where(a)} on ${what}` : `tried to reach ${where(a)} on ${what}`;
}

// plain puts "tcp/443 with cloud.example", as the daemon shortens it, into the words of a sentence.
export function plain(said) {
  const s = text(said, 400);
  const m = /^(being reached: )?([a-z0-9-]+(?: type \d+)?(?: code \d+)?)(?:\/([^ ]+|all but [^ ]+))?(?: at its port ([^ ]+|all but [^ ]+))?(?: over (IPv\d))? with (.+)$/.exec(s);
  if (!m) return s;
  const [, inward, proto, port, own, family, who] = m;
  const what = proto === "everything" ? "anything" : service(proto, inward ? own : port);
  const other = inward ? port && `, from port ${port}` : own && `, from its port ${own}`;
  return `${inward ? "be reached by" : "reach"} ${who} on ${what}${other || ""}${family ? ` (${family})` : ""}`;
}

export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
export const count = (n) => Number(n ?? 0).toLocaleString("en");

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (n = Number(n ?? 0); n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function ago(date) {
  const s = (date - Date.now()) / 1000;
  const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [86400 * 60, "day", 86400], [Infinity, "month", 86400 * 30]];
  if (Math.abs(s) < 60) return s > 5 ? "in less than a minute" : "just now";
  const [, unit, of] = steps.find(([most]) => Math.abs(s) < most);
  return relative.format(Math.round(s / of), unit);
}

const known = (iso) => iso && !iso.startsWith("0001");

// when is a moment, as people say it; the exact time is in its title.
export function when(iso) {
  if (!known(iso)) return el("span", { class: "muted" }, "never");
  const date = new Date(iso);
  return el("time", { datetime: iso, title: date.toLocaleString() }, ago(date));
}

// tick makes the times of the page say how long ago they are now.
export function tick() {
  for (const t of document.querySelectorAll("time[datetime]")) {
    const now = ago(new Date(t.dateTime));
    if (t.textContent !== now) t.textContent = now;
  }
}
