// Signing in, and the first set-up of the password.
import { post } from "./api.js";
import { el, put } from "./dom.js";

function field(label, name, type, hint, complete) {
  const id = `f-${name}`;
  const hintID = hint ? `${id}-hint` : null;
  return el("p", { class: "field" }, el("label", { for: id }, label),
    el("input", { id, name, type, required: true, autocomplete: complete, "aria-describedby": hintID }),
    hint ? el("small", { id: hintID }, hint) : null);
}

// login asks for the password, or lets a new one be set with the token that the daemon printed. done is called when in.
export function login(view, session, done) {
  const error = el("p", { class: "notice bad", role: "alert", hidden: true });
  const send = el("button", { type: "submit", class: "primary" }, session.setup ? "Set the password" : "Sign in");
  const fields = session.setup
    ? [field("Setup token", "token", "text", "It is in a file on the gateway. There, “mudguard status” says which.", "one-time-code"),
      field("New password", "password", "password", "At least 8 characters.", "new-password"),
      field("The password again", "again", "password", null, "new-password")]
    : [field("Password", "password", "password", null, "current-password")];
  const submit = async (e) => {
    e.preventDefault();
    const v = Object.fromEntries(new FormData(e.target));
    if (session.setup && v.password !== v.again) return show("The two passwords differ.");
    send.disabled = true;
    try {
      if (session.setup) await post("/setup", { token: v.token.trim(), password: v.password });
      if (!session.setup) await post("/session", { password: v.password });
      done();
    } catch (err) {
      show(err.message);
    } finally {
      send.disabled = false;
    }
  };
  const show = (message) => { error.hidden = false; put(error, message); };
  view.append(el("h1", { tabindex: "-1" }, session.setup ? "Welcome to mudguard" : "Sign in"),
    el("p", { class: "lead" }, session.setup
      ? "mudguard keeps each device to what its manufacturer declared. Choose a password for these pages first."
      : "mudguard keeps each device to what its manufacturer declared."),
    el("form", { class: "card", submit }, error, fields, send));
}
