// Charts: small figures drawn by Plot. The style elements that Plot adds are in page.css instead, as the page's
// policy allows no others.

const PALETTE = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

/** A figure with lines over the steps of a training. `series`: [column, label] pairs. */
function lines(title, curve, series, options = {}) {
  const present = series.filter(([name]) => curve.some((row) => Number.isFinite(row[name])));
  if (!present.length || curve.length < 2) return null;
  const points = present.flatMap(([name, label], i) =>
    curve.filter((row) => Number.isFinite(row[name])).map((row) => ({ step: row.step, value: row[name], label, i })));
  const sparse = points.length < 12;
  const marks = [
    Plot.lineY(points, { x: "step", y: "value", z: "label", stroke: (d) => PALETTE[d.i], strokeWidth: 1.6, marker: sparse ? "dot" : null }),
  ];
  if (options.noisy) marks[0] = [
    Plot.lineY(points, { x: "step", y: "value", z: "label", stroke: (d) => PALETTE[d.i], strokeOpacity: 0.3, strokeWidth: 1 }),
    Plot.lineY(points, Plot.windowY({ k: smoothing(points.length / present.length), anchor: "middle", reduce: "mean" },
      { x: "step", y: "value", z: "label", stroke: (d) => PALETTE[d.i], strokeWidth: 1.8 })),
  ];
  return figure(title, present.map(([, label], i) => [label, i]), {
    marks, y: { label: null, ticks: 4, ...options.y }, x: { label: null, ticks: 5, tickFormat: "d" },
  }, summaryOf(title, points, present));
}

const smoothing = (n) => Math.max(1, Math.round(n / 12));

/** A figure with stacked areas over steps, such as the seconds of each phase. */
function areas(title, curve, series) {
  const present = series.filter(([name]) => curve.some((row) => row[name] > 0));
  if (!present.length || curve.length < 2) return null;
  const points = present.flatMap(([name, label], i) =>
    curve.map((row) => ({ step: row.step, value: row[name] ?? 0, label, i })));
  return figure(title, present.map(([, label], i) => [label, i]), {
    marks: [Plot.areaY(points, { x: "step", y: "value", z: "label", fill: (d) => PALETTE[d.i], fillOpacity: 0.85 })],
    y: { label: null, ticks: 4 }, x: { label: null, ticks: 5, tickFormat: "d" },
  }, summaryOf(title, points, present));
}

function summaryOf(title, points, series) {
  const ends = series.map(([, label]) => {
    const own = points.filter((point) => point.label === label);
    return `${label} from ${Number(own[0].value.toPrecision(3))} to ${Number(own.at(-1).value.toPrecision(3))}`;
  });
  return `${title} by step: ${ends.join(", ")}`;
}

function figure(title, labels, options, summary) {
  const drawing = Plot.plot({
    width: 320, height: 150, marginLeft: 44, marginRight: 8, marginTop: 8, marginBottom: 22,
    className: "plot", style: "", ...options,
  });
  for (const style of $$("style", drawing)) style.remove();
  for (const part of $$("[aria-label]", drawing)) part.removeAttribute("aria-label"); // the summary says it
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", summary);
  const keys = labels.length > 1
    ? labels.map(([label, i]) => el("span", { class: `series s${i + 1}` }, label))
    : [];
  return el("figure", { class: "chart" }, el("figcaption", {}, el("b", {}, title), " ", keys), drawing);
}

/** The curves of a training, as small figures. */
function curves(curve) {
  const parts = [...new Set(curve.flatMap(Object.keys))].filter((name) => name.startsWith("parts/") && name !== "parts/reward");
  return [
    lines("reward", curve, [["reward", "reward"]], { noisy: true }),
    lines("parts of the reward", curve, parts.slice(0, 6).map((name) => [name, name.slice(6)]), { noisy: true }),
    lines("EX on dev", curve, [["dev", "EX on dev"]]),
    lines("groups without spread", curve, [["no_spread", "share"]], { noisy: true }),
    lines("KL", curve, [["kl", "KL"]], { noisy: true }),
    lines("entropy", curve, [["entropy", "entropy"]], { noisy: true }),
    lines("answers cut at the limit", curve, [["clipped", "share"]], { noisy: true }),
    lines("tokens of an answer", curve, [["length", "tokens"]], { noisy: true }),
    lines("loss", curve, [["loss", "loss"]], { noisy: true }),
    lines("token accuracy", curve, [["token_accuracy", "share"]], { noisy: true }),
    lines("gradient norm", curve, [["grad_norm", "norm"]], { noisy: true }),
    lines("learning rate", curve, [["learning_rate", "rate"]], { y: { tickFormat: "~g" } }),
    areas("seconds of a step", curve, [["sampling_seconds", "sampling"], ["scoring_seconds", "scoring"], ["learning_seconds", "learning"]]),
  ].filter(Boolean);
}
