// Elements and figures. Text only ever becomes a text node, so that nothing in it is read as HTML.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with attributes, listeners (`onclick: f`) and children; null and "" are left out. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Text of a model or a dataset, isolated from the direction of the text around it. */
const bdi = (text) => el("bdi", { dir: "auto" }, String(text));

const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : (100 * share).toFixed(digits));
const points = (share) =>
  share === null || share === undefined ? "–" : `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`;
const count = (n) => (n === null || n === undefined ? "–" : n.toLocaleString("en-US"));
const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const pValue = (p) => (p === null || p === undefined ? "–" : p < 0.0001 ? "p < 0.0001" : `p = ${p < 0.1 ? Number(p.toPrecision(2)) : p.toFixed(2)}`);
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** A table in a scrollable region. `columns`: [title, is it a number?]; `rows`: lists of cells, which have their
    column's title for a narrow screen. */
function table(label, columns, rows, attributes = {}) {
  const head = columns.map(([title, numeric]) => el("th", { scope: "col", class: numeric ? "num" : null }, title));
  const body = rows.map((cells) =>
    el("tr", {}, cells.map((cell, i) => (i ? el("td", { class: columns[i][1] ? "num" : null, "data-label": columns[i][0].textContent ?? columns[i][0] }, cell)
                                           : el("th", { scope: "row" }, cell)))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", attributes, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

/** A select with a label. `options`: values, or [value, text]. */
function select(label, options, value, onchange) {
  const items = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const box = el("select", { "aria-label": label, onchange: (event) => onchange(event.target.value) },
    items.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  return el("label", {}, el("span", {}, label), box);
}

/** A link to a view: `link(["run", id], "text", {reason: "…"})`. */
function link(path, text, query = {}, attributes = {}) {
  return el("a", { href: address(path, query), ...attributes }, text);
}

function address(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value);
  const tail = pairs.length ? `?${new URLSearchParams(pairs)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${tail}`;
}
