// Everything a device or profile says comes to the page through here, as text: nothing is ever read as markup.

// Invisible, direction-changing and control characters could make one text look like another. Joiners stay: some scripts need them.
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// text makes anything safe to look at.
export function text(value, most = 300) {
  const s = String(value ?? "").replace(unseen, "\ufffd");
  return s.length > most ? s.slice(0, most - 1) + "…" : s;
}

function fill(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// el makes an element. Attributes that are functions are listeners; strings among the children are text.
export const el = (tag, attrs = {}, ...children) => fill(document.createElement(tag), attrs, children);

// svg makes an element of a picture.
export const svg = (tag, attrs = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, children);

// said is text from outside, kept from changing the direction of what is around it.
export const said = (value, cls, most) => el("bdi", { class: cls, dir: "auto" }, text(value, most));

// put replaces what is in node, but leaves it alone where it already says that: a screen reader need not hear it again.
export function put(node, ...children) {
  if (children.length === 1 && typeof children[0] === "string" && node.textContent === children[0]) return;
  node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
}

// section is a part of a page with its heading.
let sections = 0;
export function section(title, ...children) {
  const id = `s${++sections}`;
  return el("section", { class: "card", "aria-labelledby": id }, el("h2", { id }, title), ...children);
}

// facts is a list of names and values; empty values are left out.
export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(([, v]) => v !== "" && v !== null && v !== undefined).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

// table makes a table whose rows become cards where the screen is narrow; roles are said, as CSS that does so hides them.
export function table(caption, columns, rows, cls = "") {
  return el("table", { class: cls, role: "table" },
    el("caption", { class: "hidden" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map((c) => el("th", { scope: "col", role: "columnheader" }, c)))),
    el("tbody", { role: "rowgroup" }, rows));
}

export const row = (cells, attrs = {}) => el("tr", { role: "row", ...attrs }, cells);
export const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, ...children);

export const button = (label, click, cls = "") => el("button", { type: "button", class: cls, click }, label);

// empty says that there is nothing, and what to do next.
export const empty = (title, ...next) => el("div", { class: "empty" }, el("p", { class: "big" }, title), el("p", {}, ...next));
