// SQL as tokens: laid out by clause, highlighted, and compared with the gold. Only white space is changed.

const KEYWORDS = new Set(`select from where group by having order limit offset union intersect except all distinct as on
  using join inner left right full outer cross natural and or not in is null like glob between exists case when then else
  end asc desc with recursive over partition window values insert update delete create drop table cast collate nulls first
  last rows range preceding following unbounded current row filter escape true false`.split(/\s+/));
const BREAKS = new Set(["from", "where", "group", "having", "order", "limit", "union", "intersect", "except", "window"]);
const JOINS = new Set(["join", "inner", "left", "right", "full", "cross", "natural"]);
const DEEPEST = 20; // levels that are indented: a model that repeats itself opens thousands
const TOKEN = /(\s+)|(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|("(?:[^"]|"")*"?|`[^`]*`?|\[[^\]]*\]?)|(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([\p{L}_][\p{L}\p{N}_$]*)|(<>|!=|<=|>=|\|\||==|::|[\s\S])/gu;
const KINDS = [null, "space", "comment", "string", "name", "number", "word", "sign"];

/** The tokens of a query, without white space: {text, kind, key}; equal keys are the same token. */
function tokens(sql) {
  const found = [];
  for (const match of sql.matchAll(TOKEN)) {
    let kind = KINDS[match.findIndex((part, i) => i > 0 && part !== undefined)];
    if (kind === "space") { if (found.length) found.at(-1).spaced = true; continue; }
    const lower = match[0].toLowerCase();
    if (kind === "word" && KEYWORDS.has(lower)) kind = "keyword";
    const folded = kind === "word" || kind === "keyword";
    found.push({ text: match[0], kind, key: folded ? lower : match[0], spaced: false });
  }
  return found;
}

/** The indices of the tokens of `a` that are also in `b`, in the same order (a longest common subsequence). */
function common(a, b) {
  if (a.length * b.length > 4e6) return null;
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * width + j] = a[i].key === b[j].key
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
  const kept = new Set();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i].key === b[j].key) { kept.add(i); i++; j++; }
    else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return kept;
}

/** What goes before a token: a new line with its indentation, or "" where the query's own space stays. */
function layout(list) {
  const breaks = new Map();
  const depths = [];
  let depth = 0;
  list.forEach((token, i) => {
    if (token.text === "(") { depths.push(depth); if (list[i + 1]?.key === "select") depth = depths.length; }
    if (token.text === ")" && depths.length) depth = depths.pop();
    if (!i || token.kind !== "keyword") return;
    const before = list[i - 1];
    const starts = BREAKS.has(token.key) || (JOINS.has(token.key) && !JOINS.has(before.key) && before.key !== "outer")
      || (token.key === "select" && before.text !== "(");
    if (starts && depth === depths.length) breaks.set(i, depth);
  });
  return breaks;
}

/** The query as an element. `against`: another query, whose tokens are not marked. */
function sqlBlock(sql, against = null, label = "SQL") {
  const block = el("pre", { class: "sql", tabindex: "0", role: "region", "aria-label": label, dir: "ltr" });
  if (!sql.trim()) { block.append(el("i", {}, "no SQL")); return block; }
  const list = tokens(sql);
  const kept = against === null ? null : common(list, tokens(against));
  const breaks = layout(list);
  let marked = null;
  list.forEach((token, i) => {
    const differs = kept !== null && !kept.has(i);
    const gap = breaks.has(i) ? `\n${"  ".repeat(Math.min(breaks.get(i), DEEPEST))}` : i && list[i - 1].spaced ? " " : "";
    if (!differs || breaks.has(i)) marked = null;
    if (gap) (marked ?? block).append(gap);
    if (differs && !marked) { marked = el("mark", {}); block.append(marked); }
    (marked ?? block).append(el("span", { class: `t-${token.kind}` }, token.text));
    if (token.kind === "comment" && token.text.startsWith("--")) block.append("\n");
  });
  return block;
}
