// A run: its training curves, and its questions as a list that can be filtered and searched.

const PAGE_ROWS = 50;
const FIELDS = ["reason", "difficulty", "part", "database", "family", "tables", "result"];

async function showRun(section, id, query, isCurrent) {
  const run = locate(id);
  const place = $(".curves", section);
  if (!run) {
    const open = index.unfinished.find((one) => one.id === id);
    place.replaceChildren(...curvesSection(open?.curve ?? []));
    return;
  }
  const [{ curve }, rows] = await Promise.all([runOf(run), rowsOf(run)]);
  if (!isCurrent()) return;
  place.replaceChildren(...curvesSection(curve));
  questionList($(".questions", section), run, rows, query);
}

function curvesSection(curve) {
  const drawn = curves(curve);
  return drawn.length ? [el("h2", {}, "Training"), el("div", { class: "charts" }, drawn)] : [];
}

/** Whether a row has the values that are asked for, and the words that are searched. */
function matches(row, query, words) {
  if (FIELDS.some((name) => query[name] && String(row[name]) !== query[name])) return false;
  if (query.feature && !row.feature.includes(query.feature)) return false;
  if (!words.length) return true;
  row.text ??= [row.sample_id, row.question, shownTo(row).evidence, row.gold, row.completion, row.sql, row.detail,
    ...turnsOf(row).map(([, text]) => text)].join("\n").toLowerCase();
  if (query.prompts) row.sent ??= messagesOf(row).map(([, text]) => text).join("\n").toLowerCase();
  return words.every((word) => row.text.includes(word) || (query.prompts && row.sent.includes(word)));
}

const wordsOf = (text) => (text ?? "").toLowerCase().split(/\s+/).filter(Boolean);

function questionList(section, run, rows, query) {
  const state = { ...query };
  const list = el("div", {});
  const update = (all = false) => {
    const found = rows.filter((row) => matches(row, state, wordsOf(state.text)));
    const more = !all && found.length > PAGE_ROWS;
    list.replaceChildren(
      el("p", { class: "note", role: "status" }, `${plural(found.length, "answer")} of ${count(rows.length)}`),
      answerTable(run, more ? found.slice(0, PAGE_ROWS) : found),
      more ? el("p", {}, el("button", { type: "button", onclick: () => update(true) }, `Show all ${count(found.length)}`)) : "");
  };
  section.replaceChildren(el("h2", {}, "Questions"), filterForm(rows, state, ["run", run.id], update), list);
  update();
}

/** Filters of rows. A change is written to `query` and to the address, without leaving the view. */
function filterForm(rows, query, path, update, ...more) {
  const change = (name, value) => {
    query[name] = value;
    history.replaceState(null, "", address(path, query));
    update();
  };
  const choices = [...FIELDS.map((name) => [name, rows.map((row) => String(row[name]))]), ["feature", rows.flatMap((row) => row.feature)]];
  const selects = choices.map(([name, all]) => {
    const values = [...new Set(all.filter(Boolean))].sort();
    return values.length > 1 ? select(name, [["", "all"], ...values], query[name] ?? "", (value) => change(name, value)) : "";
  });
  const find = el("input", { type: "search", "aria-label": "find", value: query.text ?? "", oninput: later(() => change("text", find.value)) });
  const prompts = el("input", { type: "checkbox", checked: Boolean(query.prompts), onchange: () => change("prompts", prompts.checked ? "1" : "") });
  return el("form", { class: "filters", "aria-label": "Filter questions", onsubmit: (event) => event.preventDefault() },
    el("label", {}, el("span", {}, "find"), find), el("label", { class: "check" }, prompts, "in prompts too"),
    more.map(([name, options]) => select(name, options, query[name] ?? "", (value) => change(name, value))),
    el("details", { open: matchMedia("(min-width: 761px)").matches || [...FIELDS, "feature"].some((name) => query[name]) },
      el("summary", {}, "Filters"), el("div", { class: "filters" }, selects)));
}

/** A function that runs once the calls of it have stopped for a while. */
function later(run) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(run, 150); };
}

const OWN_FAILURES = ["gold_failed", "infrastructure"];

function reasonTag(reason) {
  const kind = reason === "correct" ? "right" : OWN_FAILURES.includes(reason) ? "warn" : "wrong";
  return el("span", { class: `reason ${kind}` }, reason);
}

function answerTable(run, rows) {
  return table("Questions", [["question"], ["reason"], ["database"], ["answer"], ["reward", true]], rows.map((row) => [
    [link(["question", run.id, row.sample_id], bdi(row.question)), el("small", {}, ` ${row.sample_id}`)],
    reasonTag(row.reason), bdi(row.database),
    el("code", { class: "clip", dir: "auto" }, row.sql.slice(0, 300) || "–"), number(row.reward),
  ]), { class: "answers" });
}
