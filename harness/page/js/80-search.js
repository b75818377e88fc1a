// Search over the questions, answers and messages of all runs of the page, with the filters of a run's questions.

async function showSearch(section, query, isCurrent) {
  section.replaceChildren(el("h1", {}, `Search: ${query.text ?? ""}`), el("p", { role: "status" }, "Searching …"));
  const all = [];
  for (const group of index.groups)
    for (const one of group.runs) {
      const [run, rows] = [locate(one.id), await rowsOf(locate(one.id))];
      if (!isCurrent()) return;
      for (const row of rows) all.push([run, row]);
    }
  const state = { ...query };
  const head = el("h1", {});
  const list = el("div", {});
  const update = () => {
    head.textContent = `Search: ${state.text ?? ""}`;
    const words = wordsOf(state.text);
    const found = Object.entries(state).some(([name, value]) => name !== "prompts" && value)
      ? all.filter(([, row]) => matches(row, state, words)) : [];
    list.replaceChildren(
      el("p", { class: "note", role: "status" }, `${plural(found.length, "answer")}${found.length > FOUND ? `, of which the first ${FOUND} are shown` : ""}`),
      foundTable(found.slice(0, FOUND)));
  };
  section.replaceChildren(head, filterForm(all.map(([, row]) => row), state, ["search"], update), list);
  update();
}

const FOUND = 200;

function foundTable(found) {
  return table("Answers found", [["question"], ["run"], ["database"], ["reason"], ["answer"]], found.map(([run, row]) => [
    [link(["question", run.id, row.sample_id], bdi(row.question)), el("small", {}, ` ${row.sample_id}`)],
    bdi(run.label), bdi(row.database), reasonTag(row.reason), el("code", { class: "clip", dir: "auto" }, row.sql.slice(0, 300) || "–"),
  ]), { class: "answers" });
}
