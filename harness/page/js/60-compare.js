// Two or more runs on the same questions: totals, slices, the matrix of tests, and the questions that flipped.

async function showComparison(section, ids, query, isCurrent) {
  const runs = ids.map(locate);
  if (runs.includes(null) || runs.length < 2 || runs.some((run) => run.g !== runs[0].g)) {
    section.replaceChildren(el("h1", {}, "Compare"), el("p", {}, "These runs are not in one group of this page."));
    return;
  }
  const { comparisons } = await questionsOf(runs[0].g);
  const rows = await Promise.all(runs.map(rowsOf));
  if (!isCurrent()) return;
  const family = everyTwo(comparisons, runs);
  const pairs = runs.slice(1).map((run, i) => [runs[i], run, family.find((one) => one.a === runs[i].id && one.b === run.id)]);
  section.replaceChildren(
    el("h1", {}, "Compare ", runs.map((run, i) => [i ? " → " : "", link(["run", run.id], bdi(run.label))])),
    ...pairs.map((pair) => totals(pair, runs.length > 2)),
    runs.length > 2 ? matrix(family, runs) : "",
    flips(runs, rows, query),
    ...pairs.map(slicesOf),
  );
}

/** The comparison of B with A, turned round where the pack has that of A with B. */
function between(comparisons, a, b) {
  const found = comparisons.find((one) => one.a === a.id && one.b === b.id);
  if (found) return found;
  const other = comparisons.find((one) => one.a === b.id && one.b === a.id);
  return other ? turned(other) : null;
}

function turned(comparison) {
  const swap = (f) => ({ ...f, wins: f.losses, losses: f.wins, ex_a: f.ex_b, ex_b: f.ex_a, difference: minus(f.difference) });
  const slices = Object.entries(comparison.slices).map(([field, values]) =>
    [field, Object.fromEntries(Object.entries(values).map(([name, figures]) => [name, swap(figures)]))]);
  const { interval, clustered, verdict } = comparison;
  const opposite = { better: "worse", worse: "better" };
  return {
    ...swap(comparison), a: comparison.b, b: comparison.a, slices: Object.fromEntries(slices),
    interval: interval && [-interval[1], -interval[0]],
    clustered: clustered && { ...clustered, low: -clustered.high, high: -clustered.low },
    verdict: { ...verdict, text: verdict.text.replace(/^(better|worse)/, (word) => opposite[word]) },
  };
}

const minus = (value) => (value === null ? null : -value);

/** The sentence of a comparison of several; Holm’s correction only raises p, so it can only undo a finding.
    What the test could have found holds for a single test, so it is left out. */
function correctedText({ verdict, p_holm }) {
  const p = `${pValue(p_holm)} after Holm’s correction`;
  if (p_holm >= index.alpha || verdict.outcome === "no significant difference") return `no significant difference (${p})`;
  return verdict.text.replace(/\(p [^)]*\)/, `(${p})`);
}

/** A text of which no p-value is broken over two lines. */
const tight = (text) => text.replace(/\bp ([<=]) /g, "p\u00a0$1\u00a0");

function totals([a, b, comparison], several) {
  if (!comparison) return el("p", {}, "These two runs were not compared.");
  const { interval, clustered, verdict } = comparison;
  const counts = `${count(comparison.wins)} won, ${count(comparison.losses)} lost, ${plural(comparison.ties, "tie")}`;
  const left = comparison.left_out ? `, ${count(comparison.left_out)} left out` : "";
  return el("div", {},
    el("dl", { class: "figures" },
      figureOf(bdi(a.label), `${percent(comparison.ex_a)} %`, `${plural(comparison.n, "question")} in both${left}`),
      figureOf(bdi(b.label), `${percent(comparison.ex_b)} %`, counts),
      figureOf("difference", `${points(comparison.difference)} points`, interval ? `95 % interval ${points(interval[0])} … ${points(interval[1])}` : ""),
      figureOf("these databases", pValue(comparison.p_holm), `McNemar’s exact test${several ? ", Holm’s correction" : ""}`),
      clustered ? figureOf("other databases", pValue(clustered.p), `95 % interval ${points(clustered.low)} … ${points(clustered.high)}`) : ""),
    el("p", { class: "verdict" }, bdi(b.label), " against ", bdi(a.label), `: ${tight(several ? correctedText(comparison) : verdict.text)}.`),
    comparison.differ.length ? el("p", { class: "warn" }, `Besides the model they differ in ${comparison.differ.join(", ")}.`) : "");
}

const figureOf = (name, value, note) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, note) : ""));

/** The comparisons of every two of the runs; p is corrected over all, as `leaderboards.statistics.holm` does. */
function everyTwo(comparisons, runs) {
  const pairs = runs.flatMap((b, i) => runs.slice(0, i).map((a) => between(comparisons, a, b))).filter(Boolean);
  const corrected = holm(pairs.map((pair) => pair.p));
  return pairs.map((pair, i) => ({ ...pair, p_holm: corrected[i] }));
}

function matrix(family, runs) {
  const cell = (a, b) => {
    const pair = family.find((one) => [one.a, one.b].includes(a.id) && [one.a, one.b].includes(b.id));
    if (a.id === b.id || !pair) return "";
    return [points(pair.a === a.id ? pair.difference : minus(pair.difference)), el("small", {}, pValue(pair.p_holm))];
  };
  const title = "Every two runs: the row less the column, in points, and McNemar’s p with Holm’s correction";
  return el("section", { class: "matrix" }, el("h2", {}, title),
    table(title, [["run"], ...runs.map((run) => [bdi(run.label), true])],
      runs.map((row) => [bdi(row.label), ...runs.map((column) => cell(column, row))])));
}

function holm(ps) {
  const order = ps.map((_, i) => i).sort((i, j) => ps[i] - ps[j]);
  const corrected = Array(ps.length);
  let least = 0;
  order.forEach((i, rank) => { corrected[i] = least = Math.max(least, Math.min(1, ps[i] * (ps.length - rank))); });
  return corrected;
}

function slicesOf([a, b, comparison]) {
  if (!comparison) return "";
  const blocks = Object.entries(comparison.slices).map(([field, values]) =>
    table(`Difference by ${field}`, [[field], ["n", true], ["A", true], ["B", true], ["B − A", true], ["won", true], ["lost", true], ["p", true]],
      Object.entries(values).map(([name, f]) => [bdi(name), count(f.n), percent(f.ex_a), percent(f.ex_b),
        el("span", { class: f.p_holm < index.alpha ? (f.difference > 0 ? "up" : "down") : "" }, points(f.difference)),
        count(f.wins), count(f.losses), pValue(f.p_holm).replace(/^p (= )?/, "")])));
  const note = el("p", { class: "note" }, "A: ", bdi(a.label), ", B: ", bdi(b.label),
    ", in % of the questions. p: McNemar’s test, with Holm’s correction over the rows of a table.");
  return el("section", {}, el("h2", {}, "Where ", bdi(b.label), " differs from ", bdi(a.label)), note, el("div", { class: "columns" }, blocks));
}

/** Question id -> its answers, in order. */
function bySample(rows) {
  const found = new Map(rows.map((row) => [row.sample_id, []]));
  for (const row of rows) found.get(row.sample_id).push(row);
  return found;
}

const FLIPS = [["", "all"], ["won", "won by the last"], ["lost", "lost by the last"]];
const FEW = 25;

/** The questions on which the runs' verdicts differ. A filter holds for a question if an answer to it passes. */
function flips(runs, rows, query) {
  const byRun = rows.map(verdicts);
  const answersBy = rows.map(bySample);
  const ids = [...byRun[0].keys()].filter((id) =>
    byRun.every((run) => run.has(id)) && new Set(byRun.map((run) => run.get(id))).size > 1);
  const direction = (id) => byRun.at(-1).get(id) - byRun[0].get(id);
  const answersTo = (id) => answersBy.flatMap((answers) => answers.get(id));
  const state = { ...query };
  const list = el("div", {});
  const update = (all = false) => {
    const words = wordsOf(state.text);
    const found = ids.filter((id) => (state.flip !== "won" || direction(id) > 0) && (state.flip !== "lost" || direction(id) < 0)
      && answersTo(id).some((row) => matches(row, state, words)));
    const more = !all && found.length > FEW;
    list.replaceChildren(
      el("p", { class: "note", role: "status" }, `${plural(found.length, "question")} of ${count(ids.length)} that flipped`),
      flipTable(runs, answersBy, more ? found.slice(0, FEW) : found),
      more ? el("p", {}, el("button", { type: "button", onclick: () => update(true) }, `Show all ${count(found.length)}`)) : "");
  };
  const form = filterForm(ids.flatMap(answersTo), state, ["compare", ...runs.map((run) => run.id)], update, ["flip", FLIPS]);
  update();
  return el("section", { class: "flips" }, el("h2", {}, "Questions that flipped"), form, list);
}

function flipTable(runs, answersBy, ids) {
  return table("Questions that flipped", [["question"], ["database"], ...runs.map((run) => [bdi(run.label)])], ids.map((id) => {
    const [first] = answersBy[0].get(id);
    return [
      [link(["question", runs.at(-1).id, id], bdi(first.question)), el("small", {}, ` ${id}`)],
      bdi(first.database), ...answersBy.map((answers) => outcome(answers.get(id))),
    ];
  }), { class: "answers" });
}
