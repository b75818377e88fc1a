// The board: tables that can be sorted, filtered, and from which runs are picked for a comparison.

const isNumber = (th) => th.dataset.sort === "number";

function sortable(tableElement) {
  $$("thead th[data-sort]", tableElement).forEach((th) => {
    const column = [...th.parentNode.children].indexOf(th);
    const button = el("button", { type: "button", onclick: () => sortBy(tableElement, th, column) });
    button.append(...th.childNodes);
    th.append(button);
  });
}

function sortBy(tableElement, th, column) {
  const descending = th.getAttribute("aria-sort") ? th.getAttribute("aria-sort") === "ascending" : isNumber(th);
  $$("th[aria-sort]", tableElement).forEach((other) => other.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
  const order = (a, b) => (isNumber(th) ? value(a) - value(b) : value(a).localeCompare(value(b)));
  const body = tableElement.tBodies[0];
  const rows = [...body.rows].sort((a, b) => (descending ? -order(a, b) : order(a, b)));
  body.append(...rows);
}

function pickable(group) {
  const button = $("button.compare", group);
  const chosen = () => $$("input.pick:checked", group).map((box) => box.value);
  $$("tr[data-run]", group).forEach((row) => {
    const box = el("input", {
      type: "checkbox", class: "pick", value: row.dataset.run,
      "aria-label": `Compare ${$("th", row).dataset.value}`,
      onchange: () => { button.disabled = chosen().length < 2; },
    });
    $("td.pick", row).append(box);
  });
  button?.addEventListener("click", () => { location.hash = address(["compare", ...chosen().reverse()]); });
}

const FILTERS = ["task", "split", "method", "parent"];

function filterable() {
  const rows = $$("table.board tr[data-run]");
  const form = $("#board-filters");
  const state = {};
  const apply = () => {
    for (const row of rows) row.hidden = FILTERS.some((name) => state[name] && row.dataset[name] !== state[name]);
    for (const group of $$(".group[data-group]")) group.hidden = !$$("tr[data-run]", group).some((row) => !row.hidden);
    announce(`${plural(rows.filter((row) => !row.hidden).length, "run")} shown`);
  };
  for (const name of FILTERS) {
    const values = [...new Set(rows.map((row) => row.dataset[name]).filter(Boolean))].sort();
    if (values.length < 2) continue;
    form.append(select(name, [["", "all"], ...values], "", (value) => { state[name] = value; apply(); }));
  }
  form.hidden = !form.children.length;
  form.addEventListener("submit", (event) => event.preventDefault());
}

function prepareBoard() {
  $$("table.sortable").forEach(sortable);
  $$(".group[data-group]").forEach(pickable);
  filterable();
}
