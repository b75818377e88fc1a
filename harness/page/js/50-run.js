// A run: its training curves, and its questions as a list that can be filtered and searched.

const PAGE_ROWS = 50;
const FIELDS = ["reason", "difficulty", "part", "database", "family", "tables", "result"];

async function showRun(section, id, query) {
  const run = locate(id);
  const place = $(".curves", section);
  if (!run) {
    const open = index.unfinished.find((one) => one.id === id);
    place.replaceChildren(...curvesSection(open?.curve ?? []));
    return;
  }
  const [{ curve }, rows] = await Promise.all([runOf(run), rowsOf(run)]);
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
  row.text ??= `${row.sample_id}\n${row.question}\n${row.gold}\n${row.completion}\n${row.sql}\n${row.detail}`.toLowerCase();
  return words.every((word) => row.text.includes(word));
}

const wordsOf = (text) => (text ?? "").toLowerCase().split(/\s+/).filter(Boolean);

function questionList(section, run, rows, query) {
  const found = rows.filter((row) => matches(row, query, wordsOf(query.text)));
  const change = (name, value) => {
    const next = { ...query, [name]: value };
    delete next.all;
    history.replaceState(null, "", address(["run", run.id], next));
    questionList(section, run, rows, next);
    const again = $(`[name="${name}"], [data-filter="${name}"] select`, section);
    again?.focus();
    if (name === "text") again?.setSelectionRange(again.value.length, again.value.length);
  };
  const limit = query.all ? found.length : PAGE_ROWS;
  section.replaceChildren(
    el("h2", {}, "Questions"),
    filterForm(rows, query, change),
    el("p", { class: "note", role: "status" }, `${plural(found.length, "answer")} of ${count(rows.length)}`),
    answerTable(run, found.slice(0, limit)),
    found.length > limit
      ? el("p", {}, el("button", { type: "button", onclick: () => questionList(section, run, rows, { ...query, all: "1" }) }, `Show all ${count(found.length)}`))
      : "",
  );
}

function filterForm(rows, query, change) {
  const selects = FIELDS.map((name) => {
    const values = [...new Set(rows.map((row) => String(row[name])).filter(Boolean))].sort();
    if (values.length < 2) return "";
    const label = select(name, [["", "all"], ...values], query[name] ?? "", (value) => change(name, value));
    label.dataset.filter = name;
    return label;
  });
  const features = [...new Set(rows.flatMap((row) => row.feature))].sort();
  const box = el("input", { type: "search", name: "text", value: query.text ?? "", onchange: (event) => change("text", event.target.value) });
  const form = el("form", { class: "filters", "aria-label": "Filter questions", onsubmit: (event) => { event.preventDefault(); change("text", box.value); } },
    el("label", {}, el("span", {}, "find"), box), selects);
  if (features.length > 1) {
    const label = select("feature", [["", "all"], ...features], query.feature ?? "", (value) => change("feature", value));
    label.dataset.filter = "feature";
    form.append(label);
  }
  return form;
}

const reasonTag = (reason) => el("span", { class: `reason ${reason === "correct" ? "right" : "wrong"}` }, reason);

function answerTable(run, rows) {
  return table("Questions", [["question"], ["reason"], ["database"], ["answer"], ["reward", true]], rows.map((row) => [
    [link(["question", run.id, row.sample_id], bdi(row.question)), el("small", {}, ` ${row.sample_id}`)],
    reasonTag(row.reason), bdi(row.database),
    el("code", { class: "clip", dir: "auto" }, row.sql.slice(0, 300) || "–"), number(row.reward),
  ]), { class: "answers" });
}
