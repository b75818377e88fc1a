// The packs: JSON, compressed, in base64, in inert elements of the page or from the server that hands it out.

const served = document.body.dataset.served === "1";
const cache = new Map();

/** What `make` resolves to, made once; made again after a failure. */
function cached(name, make) {
  if (!cache.has(name)) {
    const made = make();
    cache.set(name, made);
    made.catch(() => cache.delete(name));
  }
  return cache.get(name);
}

/** The content of a pack, unpacked once. */
const pack = (name) => cached(name, () => unpack(name));

async function unpack(name) {
  const element = document.getElementById(`pack-${name}`);
  const text = element ? element.textContent : await fetched(name);
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function fetched(name) {
  const answer = await fetch(`pack/${index.version}/${name}`);
  if (answer.status === 409) { // the runs have changed: this page's numbers stand for other runs now
    location.reload();
    return new Promise(() => {});
  }
  if (!answer.ok) throw new Error(`the server has no ${name}: ${answer.status}`);
  return answer.text();
}

let index = null;

/** Where a run is: its group, its place in it, and what the index has of it; null if it is not in the page. */
function locate(id) {
  for (const [g, group] of index.groups.entries()) {
    const place = group.runs.findIndex((run) => run.id === id);
    if (place >= 0) return { g, place, group, ...group.runs[place] };
  }
  return null;
}

const questionsOf = (g) => pack(`group-${g}`);
/** Run id -> the result tables of its answers to a question; null where this file does not hold them. */
async function tablesOf(g, sample) {
  const tables = await pack(served ? `tables-${g}/${encodeURIComponent(sample)}` : `tables-${g}`);
  return Object.hasOwn(tables, sample) ? tables[sample] : null;
}

const runOf = (run) => pack(`run-${run.g}-${run.place}`);

/** The answers of a run as rows, each with the fields of its question. */
const rowsOf = (run) => cached(`rows-${run.g}-${run.place}`, () => joined(run));

async function joined(run) {
  const [data, { answers }] = await Promise.all([questionsOf(run.g), runOf(run)]);
  const { questions } = data;
  const names = Object.keys(answers);
  const own = Object.keys(questions);
  return (answers.question ?? []).map((q, i) => {
    const row = Object.fromEntries(names.map((name) => [name, answers[name][i]]));
    for (const name of own) row[name] = questions[name][q];
    row.data = data;
    if (row.sql === 0) row.sql = row.gold;
    if (row.completion === 0) row.completion = row.sql;
    return row;
  });
}

/** The messages of an answer's prompt, as [role, text]: the question, then its earlier turns. */
const messagesOf = ({ data, prompt }) => data.prompts[prompt][0].map(([role, parts]) => [role, parts.map((i) => data.texts[i]).join("\n\n")]);

/** The messages after the first of the model: earlier answers, and what they were told. */
function turnsOf(row) {
  const messages = messagesOf(row);
  const start = messages.findIndex(([role]) => role === "assistant");
  return start < 0 || messages.findLastIndex(([role]) => role === "user") < start ? [] : messages.slice(start);
}

/** The schema and the hint that a prompt shows; {} where it is not known what of the prompt they are. */
function shownTo({ data, prompt }) {
  const [, schema, evidence] = data.prompts[prompt];
  return schema === undefined ? {} : { schema: data.texts[schema], evidence: data.texts[evidence] };
}

/** Question id -> the mean verdict of its scored answers, without the last digits, which depend on their order. */
function verdicts(rows) {
  const sums = new Map();
  for (const row of rows) {
    if (row.metric === null) continue;
    const [total, n] = sums.get(row.sample_id) ?? [0, 0];
    sums.set(row.sample_id, [total + row.metric, n + 1]);
  }
  return new Map([...sums].map(([id, [total, n]]) => [id, Number((total / n).toFixed(12))]));
}
