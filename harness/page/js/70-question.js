// One question: what was asked, and the answers of every run of its group.

async function showQuestion(section, id, sample, isCurrent) {
  const run = locate(id);
  if (!run) { section.replaceChildren(el("h1", {}, "Question"), el("p", {}, "This run is not in the page.")); return; }
  const runs = [run, ...run.group.runs.map((one) => locate(one.id)).filter((one) => one.id !== id)];
  const all = await Promise.all(runs.map(rowsOf));
  if (!isCurrent()) return;
  const answered = runs.map((one, i) => [one, all[i].filter((row) => row.sample_id === sample)]).filter(([, rows]) => rows.length);
  if (!answered.length || answered[0][0] !== run) {
    section.replaceChildren(el("h1", {}, "Question"), el("p", {}, `This run has no question ${sample}.`));
    return;
  }
  const [, [first]] = answered[0];
  const tables = await tablesOf(run.g, sample);
  if (!isCurrent()) return;
  section.replaceChildren(
    el("h1", { dir: "auto" }, first.question),
    el("p", { class: "facts" }, [first.sample_id, first.database, first.difficulty, first.part, first.family].filter(Boolean).join(" · ")),
    neighbours(run, all[0], sample),
    asked(first),
    ...answered.map(([one, rows]) => answersOf(one, rows, tables && Object.hasOwn(tables, one.id) ? tables[one.id] : [], first.gold)),
    tables ? "" : el("p", { class: "note" }, "This file does not hold the result tables of this question, nor the rewards of other presets, which need the database: ",
      el("code", {}, `harness show ${quoted(id)} ${quoted(sample)}`), " prints them where the database is at hand."),
    promptOf(first),
  );
}

/** A text as one word of a shell's command. */
const quoted = (text) => (/^[\w.\/:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** What an answer had to come from, and the gold: the dataset's hint, the gold and the schema. */
function asked(row) {
  const { schema, evidence } = shownTo(row);
  return el("div", { class: "asked" },
    evidence ? el("section", { class: "evidence" }, el("h2", {}, "Evidence"), el("p", { dir: "auto" }, evidence)) : "",
    el("section", {}, el("h2", {}, "Gold"), sqlBlock(row.gold, null, "The gold SQL")),
    el("section", {}, el("h2", {}, "Schema"), schema
      ? el("pre", { class: "schema", tabindex: "0", role: "region", "aria-label": "The schema as the prompt shows it", dir: "auto" }, schema)
      : el("p", { class: "note" }, "This prompt was made by no shipped template: its schema, and its hint if it has one, are in what was sent, below.")));
}

/** Links to the question before and after. */
function neighbours(run, rows, sample) {
  const ids = [...new Set(rows.map((row) => row.sample_id))];
  const at = ids.indexOf(sample);
  const to = (place, text, rel) => (ids[place] === undefined ? "" : link(["question", run.id, ids[place]], text, {}, { rel }));
  return el("p", { class: "neighbours" }, to(at - 1, "← previous", "prev"), " ", to(at + 1, "next →", "next"));
}

/** What came of a run's answers to one question: the reason, or of several how many are right. */
function outcome(rows) {
  if (rows.length === 1) return reasonTag(rows[0].reason);
  return el("small", {}, `${rows.filter((row) => row.metric === 1).length} of ${rows.length} right`);
}

function answersOf(run, rows, results, gold) {
  return el("section", { class: "answer" },
    el("h2", {}, link(["run", run.id], bdi(run.label)), " ", outcome(rows)),
    rows[0].gold === gold ? "" : sqlBlock(rows[0].gold, null, "The gold SQL of this run, which is another"),
    rows.map((row, i) => answer(row, rows.length, results[i])));
}

function answer(row, count_, results) {
  const scores = index.modes.map((mode, i) => [mode, row.modes[i]]).filter(([, value]) => value !== null);
  const facts = [
    ["verdicts", scores.map(([mode, value]) => `${mode} ${value}`).join("  ")],
    ["reward", `${number(row.reward)}  (${Object.entries(row.parts).filter(([name]) => name !== "reward").map(([name, value]) => `${name} ${number(value, 2)}`).join(", ")})`],
    ["rows", `${count(row.rows)} × ${row.columns}, gold ${count(row.gold_rows)} × ${row.gold_columns}`],
    ["length", `${plural(row.tokens, "token")}, ended by ${row.finish}`],
  ];
  return el("div", { class: "one" },
    count_ > 1 ? el("h3", {}, `Answer ${row.index + 1} `, reasonTag(row.reason)) : "",
    row.detail ? el("p", { class: "detail", dir: "auto" }, row.detail) : "",
    row.other_gold ? [el("p", { class: "note" }, "Compared with another gold:"), sqlBlock(row.other_gold, null, "The gold SQL that this answer was compared with")] : "",
    sqlBlock(row.sql, row.other_gold || row.gold, "The answer's SQL; tokens that the gold does not have are marked"),
    el("dl", { class: "inline" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    results ? resultTables(results, row) : "",
    row.completion.trim() === row.sql.trim() ? "" : fold("The answer as it was written", el("pre", { dir: "auto" }, row.completion)),
    turns(row));
}

/** What gold and answer return, side by side, and the reward under each preset. */
function resultTables(results, row) {
  if (results.unavailable) return el("p", { class: "note" }, `No result tables: ${results.unavailable}`);
  const rewards = Object.entries(results.rewards).map(([name, value]) => `${name} ${number(value, 2)}`);
  return el("div", {},
    el("div", { class: "results" }, resultTable("gold", results.gold), resultTable("answer", results.answer)),
    el("p", { class: "note" }, `Reward under each preset: ${rewards.join(", ")}.`,
      results.reason === row.reason ? "" : ` Judged now: ${results.reason}.`));
}

function resultTable(name, result) {
  const size = `${name}: ${plural(result.total_rows, "row")}, ${plural(result.total_columns, "column")}`;
  if (result.error) return el("p", { class: "detail", dir: "auto" }, `${name}: ${result.error}`);
  const cell = (value) => (value === null ? el("i", { class: "dim" }, "NULL") : bdi(value));
  const row = (cells, i) => {
    const differs = result.start + i === result.differs;
    return el("tr", { class: differs ? "differs" : null },
      el("th", { scope: "row" }, count(result.start + i + 1), differs ? el("span", { class: "quiet" }, " first differing row") : ""),
      cells.map((value) => el("td", {}, cell(value))));
  };
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": size },
    el("table", { class: "result" }, el("caption", {}, size),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "row"), result.columns.map((column) => el("th", { scope: "col" }, bdi(column))))),
      el("tbody", {}, result.rows.map(row))),
    result.truncated ? el("p", { class: "note" }, "Some rows or columns are left out.") : "");
}

const fold = (title, ...content) => el("details", {}, el("summary", {}, title), content);

function turns(row) {
  const messages = turnsOf(row);
  return messages.length ? fold("Earlier turns", messages.map(message)) : "";
}

const message = ([role, text]) => el("div", { class: "message" }, el("b", {}, role), el("pre", { dir: "auto" }, text));

function promptOf(row) {
  const turns = turnsOf(row).length;
  const messages = messagesOf(row);
  return el("section", { class: "prompt" }, el("h2", {}, "Prompt as sent"),
    messages.slice(0, messages.length - turns).map(message));
}
