// Search over the questions, answers and messages of all runs of the page.

async function showSearch(section, query, isCurrent) {
  const words = wordsOf(query.text);
  section.replaceChildren(el("h1", {}, `Search: ${query.text ?? ""}`), el("p", { role: "status" }, "Searching …"));
  const found = [];
  for (const group of index.groups)
    for (const one of words.length ? group.runs : []) {
      const [run, rows] = [locate(one.id), await rowsOf(locate(one.id))];
      if (!isCurrent()) return;
      for (const row of rows) if (matches(row, {}, words)) found.push([run, row]);
    }
  section.replaceChildren(
    el("h1", {}, `Search: ${query.text ?? ""}`),
    el("p", { class: "note", role: "status" }, `${plural(found.length, "answer")}${found.length > 200 ? ", of which the first 200 are shown" : ""}`),
    table("Answers found", [["question"], ["run"], ["reason"], ["answer"]], found.slice(0, 200).map(([run, row]) => [
      [link(["question", run.id, row.sample_id], bdi(row.question)), el("small", {}, ` ${row.sample_id}`)],
      bdi(run.label), reasonTag(row.reason), el("code", { class: "clip", dir: "auto" }, row.sql.slice(0, 300) || "–"),
    ]), { class: "answers" }));
}
