// What the administrator can tell a device, each as a question that says first what will happen.
import { get, post, putJSON, remove } from "./api.js";
import { button, el, text } from "./dom.js";
import { ask, choice, doing, entry } from "./dialog.js";
import { nameOf, plain, sentence, service, where } from "./words.js";

export const path = (d, more = "") => `/devices/${encodeURIComponent(d.mac)}${more}`;

const p = (...words) => el("p", {}, ...words);
const list = (title, cls, items) => items?.length
  ? [el("h3", { class: cls }, title), el("ul", { class: `diff ${cls}` }, items.map((i) => el("li", {}, el("bdi", {}, plain(i)))))] : [];

// difference is what an approval changes, in words.
export function difference(w) {
  if (w.newly_allows?.length || w.no_longer_allows?.length) {
    return [list("It would newly be able to", "more", w.newly_allows), list("It would no longer be able to", "less", w.no_longer_allows)];
  }
  if (!w.allows) return [p("What it would allow is not known: the file could not be read yet. Approve it only if you know it from elsewhere.")];
  const allows = text(w.allows, 2000).split(", ").filter((s) => s && s !== "nothing");
  return allows.length ? [list("It would be able to", "more", allows)] : [p("It would be allowed nothing besides DHCP, DNS and the time of this network.")];
}

// approve shows what waits, and lets in exactly that.
export function approve(d, waiting, after) {
  ask({
    title: `Approve ${nameOf(d)}?`, yes: "Approve", done: "Approved.",
    body: [p(sentence(waiting.reason)), difference(waiting),
      p(el("small", {}, waiting.signer ? `Signed by ${text(waiting.signer, 200)}.` : "Nobody signed this file, so nobody vouches for who wrote it.",
        waiting.sha256 ? ` It is this very file that you let in; a newer one that allows more waits again.` : ""))],
    act: async () => { await post(path(d, "/approve"), waiting.sha256 ? { sha256: waiting.sha256 } : {}); await after(); },
  });
}

export function quarantine(d, after) {
  ask({
    title: `Quarantine ${nameOf(d)}?`, yes: "Quarantine", danger: true, done: "Quarantined: its connections are cut.",
    body: p("It is cut off from the Internet and from every other device at once, until you release it. Connections that are open end now."),
    act: async () => { await post(path(d, "/quarantine")); await after(); },
  });
}

export function pause(d, after) {
  ask({
    title: `Pause the rules of ${nameOf(d)}?`, yes: "Pause", done: "Paused. Its rules come back by themselves.",
    body: [p("For this long nothing is denied to it. Then its rules come back by themselves, even if mudguard is not running, and what they forbid is cut."),
      choice("For", "for", [["15m", "15 minutes"], ["1h", "1 hour"], ["4h", "4 hours"], ["24h", "24 hours"]], "15m")],
    act: async (v) => { await post(path(d, "/pause"), { for: v.for }); await after(); },
  });
}

export function enforce(d, after, report) {
  ask({
    title: `Enforce the profile of ${nameOf(d)}?`, yes: "Enforce", done: "Enforced.",
    body: [p("From now on it may do what its profile allows, and nothing else."), report ? p(sentence(report)) : null],
    act: async () => { await post(path(d, "/enforce")); await after(); },
  });
}

export function observe(d, after) {
  ask({
    title: `Only observe ${nameOf(d)}?`, yes: "Observe", done: "Observed: nothing is denied.",
    body: p("Nothing is denied to it until you enforce again. Everything that would have been is listed here."),
    act: async () => { await post(path(d, "/observe")); await after(); },
  });
}

export function rename(d, after) {
  ask({
    title: "Rename this device", yes: "Rename", done: "Renamed.",
    body: [entry("Name", "name", d.name ?? "", { maxlength: 64, autocomplete: "off" }), p(el("small", {}, "Leave it empty to go back to the name that it gives itself."))],
    act: async (v) => { await putJSON(path(d, "/name"), { name: v.name.trim() }); await after(); },
  });
}

export function forget(d) {
  ask({
    title: `Forget ${nameOf(d)}?`, yes: "Forget", danger: true, done: "Forgotten.",
    body: p("Its profile, your approval and its exceptions are dropped. If it speaks again, it is a new device."),
    act: async () => { await post(path(d, "/forget")); location.hash = "#/devices"; },
  });
}

// assign gives a device a profile by hand: a URL, or what its QR code says.
export function assign(d, after) {
  const code = el("input", { id: "d-code", name: "code", autocomplete: "off", spellcheck: "false", placeholder: "https://… or MUD:1;…", value: d.url ?? "" });
  ask({
    title: `Assign a profile to ${nameOf(d)}`, yes: "Assign", done: "Assigned. The profile is being fetched.",
    body: [p("For a device that does not say where its profile is. Its maker may print a QR code on it or on its box."),
      el("p", { class: "field" }, el("label", { for: "d-code" }, "The profile's URL, or the text of the QR code"), code), scanner(code),
      d.url ? p(el("small", {}, "Leave it empty to take its URL away.")) : null],
    act: async (v) => {
      const given = v.code.trim();
      await post(path(d, "/assign"), given === "" || /^https:/i.test(given) ? { url: given } : { code: given });
      await after();
    },
  });
}

// scanner offers the camera, or a photo of the code, where the browser can read codes.
function scanner(into) {
  if (!("BarcodeDetector" in window)) return null;
  const message = el("span", { role: "status" });
  const read = async (image) => {
    const codes = await new BarcodeDetector({ formats: ["qr_code"] }).detect(image);
    if (codes.length) into.value = codes[0].rawValue;
    return codes.length > 0;
  };
  const photo = el("input", { type: "file", accept: "image/*", capture: "environment", id: "d-photo", change: async () => {
    const found = photo.files[0] && await createImageBitmap(photo.files[0]).then(read).catch(() => false);
    message.textContent = found ? "Code read." : "There is no QR code to be seen in this picture.";
  } });
  const camera = navigator.mediaDevices ? button("Scan with the camera", () => scan(camera, read, message), "") : null;
  return el("p", { class: "field" }, camera, el("label", { for: "d-photo" }, "Or a photo of the code"), photo, message);
}

async function scan(camera, read, message) {
  const video = el("video", { playsinline: true, muted: true, "aria-label": "What the camera sees" });
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    camera.after(video);
    await video.play();
    while (video.isConnected && !(await read(video))) await new Promise((again) => setTimeout(again, 200));
    if (video.isConnected) message.textContent = "Code read.";
  } catch {
    message.textContent = "The camera cannot be used here. Browsers allow it over https only.";
  } finally {
    stream?.getTracks().forEach((t) => t.stop());
    video.remove();
  }
}

// allow makes an exception of an attempt, after the daemon said what that opens.
export function allow(d, a, after) {
  const request = (v, preview) => ({ ...a.allow, remote: v.remote ?? a.allow.remote, for: v.for, note: v.note, preview });
  const named = a.allow.remote !== a.remote;
  ask({
    title: `Allow this to ${nameOf(d)}?`, yes: "Allow", done: "Allowed, as an exception of yours.",
    body: [p(`${nameOf(d)} ${a.in ? "was called by" : "tried"} ${where(a)} on ${service(a.proto, a.port)}.`),
      named ? choice("Allow", "remote", [[a.allow.remote, `${text(a.allow.remote, 100)}, whatever its address`], [a.remote, `only ${text(a.remote, 60)}`]], a.allow.remote) : null,
      choice("For", "for", [["1h", "1 hour"], ["24h", "1 day"], ["168h", "1 week"], ["always", "always"]], "24h"),
      entry("Note (optional)", "note", "", { maxlength: 200, autocomplete: "off" })],
    preview: async (v) => {
      const says = await post(path(d, "/exceptions"), request(v, true));
      return el("p", {}, el("strong", {}, "This opens: "), el("bdi", {}, sentence(says.text)));
    },
    act: async (v) => { await post(path(d, "/exceptions"), request(v, false)); await after(); },
  });
}

// allowing is the button for that, but where no exception would help.
export const allowing = (d, a, after) => (a.allow ? button("Allow …", () => allow(d, a, after), "small") : null);

// orders are the buttons of a device, those that make sense in its state.
export function orders(d, waiting, after, report) {
  const bare = d.state === "trusted";
  const ruled = ["enforced", "held", "failed", "fetching"].includes(d.state);
  const again = async () => { await post(path(d, "/resume")); await after(); };
  return el("div", { class: "actions", role: "group", "aria-label": "Actions" },
    waiting ? button("Approve …", () => approve(d, waiting, after), "primary") : null,
    d.state === "paused" ? button("End the pause", doing(again, "The rules are back."), "primary") : null,
    d.state === "enforced" ? button("Pause …", () => pause(d, after)) : null,
    d.state === "observed" ? button("Enforce …", () => enforce(d, after, report), "primary") : ruled ? button("Observe …", () => observe(d, after)) : null,
    d.state === "quarantined"
      ? button("Release", doing(async () => { await post(path(d, "/release")); await after(); }, "Released."), "primary")
      : !bare && button("Quarantine …", () => quarantine(d, after), "danger"),
    !bare && button("Assign a profile …", () => assign(d, after)),
    button("Rename …", () => rename(d, after)), button("Forget …", () => forget(d), "quiet"));
}

export const removeException = (d, id) => remove(path(d, `/exceptions/${encodeURIComponent(id)}`));
export const waitingOf = async (d, signal) => (await get("/waiting", signal)).find((w) => w.mac === d.mac);
