// Routes in the address's fragment: #/, #/run/ID, #/compare/A/B, #/question/RUN/ID, #/search?text=…

function parsed(hash) {
  const [path, tail = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: Object.fromEntries(new URLSearchParams(tail)) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

const announce = (text) => { const status = $("#status"); status.hidden = !text; status.textContent = text; };

function sectionOf(parts) {
  const [view, ...rest] = parts;
  if (!view) return document.getElementById("/");
  if (view === "run") return $$("[data-run].view").find((section) => section.dataset.run === rest[0]) ?? null;
  return document.getElementById(`view-${view}`);
}

/** A view draws only while `isCurrent()`: after it has waited for data, another may have been asked for. */
const VIEWS = {
  run: (section, [id], query, isCurrent) => showRun(section, id, query, isCurrent),
  compare: (section, ids, query, isCurrent) => showComparison(section, ids, query, isCurrent),
  question: (section, [run, sample], query, isCurrent) => showQuestion(section, run, sample, isCurrent),
  search: (section, rest, query, isCurrent) => showSearch(section, query, isCurrent),
};

let current = null;

async function route(moved = true) {
  const { parts, query } = parsed(location.hash);
  const [view = "", ...rest] = parts;
  const section = sectionOf(parts);
  const turn = (current = Symbol("route"));
  announce("");
  $("#main").setAttribute("aria-busy", "true");
  if (!section) {
    announce("There is nothing at this address.");
    $("#main").removeAttribute("aria-busy");
    return;
  }
  for (const other of $$(".view")) other.hidden = other !== section;
  crumbs(view, rest);
  try {
    await VIEWS[view]?.(section, rest, query, () => turn === current);
  } catch (error) {
    if (turn === current) {
      announce(`This view cannot be drawn: ${error.message}`);
      $("#main").removeAttribute("aria-busy");
    }
    throw error;
  }
  if (turn !== current) return;
  $("#main").removeAttribute("aria-busy");
  document.title = `${$("h1", section)?.textContent ?? "Leaderboard"} · harness board`;
  const fresh = performance.getEntriesByType("navigation")[0]?.type === "navigate";
  if (view !== "" && (moved || fresh)) scrollTo(0, 0);
  if (view !== "" && moved) { const head = $("h1", section); head?.setAttribute("tabindex", "-1"); head?.focus({ preventScroll: true }); }
}

function crumbs(view, rest) {
  const run = view === "question" || view === "run" ? locate(rest[0]) : null;
  const items = [link([], "Board")];
  if (run) items.push(link(["run", run.id], bdi(run.label)));
  else if (view) items.push(el("span", {}, view));
  $("#crumbs").replaceChildren(el("ol", {}, items.map((item) => el("li", {}, item))));
}

function theme() {
  const button = $("#theme");
  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `${button.textContent} colours`); };
  button.hidden = false;
  button.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; label(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
}

/** Ask the server whether a run has changed. What the reader has touched is not taken away: a button is offered. */
async function follow() {
  let touched = false;
  for (const event of ["pointerdown", "keydown", "wheel", "touchmove", "input"])
    addEventListener(event, () => { touched = true; }, { capture: true, passive: true });
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const answer = await fetch("version").catch(() => null);
    if (!answer?.ok || (await answer.text()) === index.version) continue;
    const [view = "", id] = parsed(location.hash).parts;
    if (!touched && (view === "" || (view === "run" && !locate(id)))) { location.reload(); return; }
    const status = $("#status");
    if ($("button", status)) continue; // it may have the focus
    status.replaceChildren("The runs have changed. ", el("button", { type: "button", onclick: () => location.reload() }, "Reload"));
    status.hidden = false;
  }
}

async function start() {
  $("#main").setAttribute("aria-busy", "true");
  document.documentElement.classList.add("js");
  index = await pack("index");
  theme();
  prepareBoard();
  const find = $("#find");
  find.hidden = false;
  find.addEventListener("submit", (event) => { event.preventDefault(); location.hash = address(["search"], { text: find.elements.text.value }); });
  $(".skip").addEventListener("click", (event) => { event.preventDefault(); $("#main").focus(); });
  addEventListener("hashchange", () => route());
  await route(false);
  if (served) follow();
}

start();
