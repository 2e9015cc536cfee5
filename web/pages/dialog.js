// Questions to the administrator, in the browser's own dialog: it keeps the focus, and Escape ends it.
import { button, el, put } from "./dom.js";
import { fail, say } from "./notes.js";

// ask shows a question. body is nodes or text; act is called with the fields' values when the administrator says yes, and
// may throw: its error is shown, and the dialog stays. preview, if given, fills the box below the fields whenever they change.
export function ask({ title, body = [], yes, danger = false, act, preview, done }) {
  const error = el("p", { class: "notice bad", role: "alert", hidden: true });
  const shown = el("div", { class: "preview", "aria-live": "polite" });
  const go = el("button", { type: "submit", class: danger ? "danger" : "primary" }, yes);
  const form = el("form", { method: "dialog" }, el("h2", { id: "ask" }, title), error, body, preview ? shown : null,
    el("div", { class: "actions" }, button("Cancel", () => dialog.close()), go));
  const dialog = el("dialog", { "aria-labelledby": "ask", close: () => dialog.remove() }, form);
  const values = () => Object.fromEntries(new FormData(form));
  const trouble = (err) => { error.hidden = false; put(error, err.message); };
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    work(go, true);
    try {
      await act(values());
      dialog.close();
      if (done) say(done);
    } catch (err) {
      trouble(err);
    } finally {
      work(go, false);
    }
  });
  const look = async () => {
    work(go, true);
    try {
      put(shown, ...[await preview(values())].flat());
      error.hidden = true;
    } catch (err) {
      put(shown, "");
      trouble(err);
    } finally {
      work(go, false);
    }
  };
  document.body.append(dialog);
  dialog.showModal();
  if (preview) {
    form.addEventListener("change", look);
    look();
  }
  return dialog;
}

// work shows on a button that something is under way, and keeps it from being pressed twice.
export function work(b, on) {
  b.disabled = on;
  if (on) b.setAttribute("aria-busy", "true");
  else b.removeAttribute("aria-busy");
}

// doing makes the listener of a button that does something at once.
export const doing = (act, done) => async (e) => {
  const b = e.currentTarget;
  work(b, true);
  try {
    await act();
    if (done) say(done);
  } catch (err) {
    fail(err);
  } finally {
    work(b, false);
  }
};

// choice is a list of options to choose one of.
export function choice(label, name, options, chosen) {
  return el("fieldset", {}, el("legend", {}, label), el("div", { class: "choices" }, options.map(([value, word]) =>
    el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen }), el("span", {}, word)))));
}

// entry is one line of text to fill in.
export const entry = (label, name, value = "", attrs = {}) =>
  el("p", { class: "field" }, el("label", { for: `d-${name}` }, label), el("input", { id: `d-${name}`, name, value, ...attrs }));
