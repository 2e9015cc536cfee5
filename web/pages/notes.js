// What is told to the administrator beside the page itself.
import { button, el } from "./dom.js";

// say tells what was done, on the screen and to a screen reader.
export function say(message) {
  const said = document.getElementById("said");
  said.textContent = message;
  said.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => said.classList.remove("shown"), 6000);
}

// fail shows an error on top of the page, until it is closed or the page left.
export function fail(err) {
  if (err.name === "AbortError" || err.status === 401) return;
  const box = el("div", { class: "notice bad", role: "alert" }, el("p", {}, err.message),
    button("Close", () => box.remove(), "quiet"));
  const main = document.getElementById("main");
  main.querySelector(":scope > .notice.bad[role=alert]")?.remove();
  main.prepend(box);
}
