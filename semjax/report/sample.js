"use strict";
// Limits, histogram, statistics, keeping and dropping by hand; all follow one pass over all rows.

const data = JSON.parse(document.querySelector("#data").textContent);
const { unit, nano, colors } = data;
const $ = (selector) => document.querySelector(selector);
const samples = data.samples.map(({ columns, ...sample }, number) => {
  const decoded = Object.fromEntries(Object.entries(columns).map(([k, c]) => [k, decode(c)]));
  const n = decoded.label.values.length;
  const get = (name) => (decoded[name] ? decoded[name].values : null);
  return {
    ...sample, number, n, columns: decoded, get, color: colors.samples[number % colors.samples.length],
    border: get("border") || new Uint8Array(n), weight: sample.weighted ? get("border_weight") : null,
    hand: new Int8Array(n), measured: new Uint8Array(n), shown: new Uint8Array(n),
  };
});
const limits = data.limits.filter(({ column }) => samples.some((s) => s.get(column)));
let withLeftOut = false;
let quantity = data.quantities[0];
let [current, place] = [samples[0], 0]; // the picture's sample, and its number there
let keeps = true;

// ---- what is measured and shown ------------------------------------------------------------

function pass() {
  const active = limits.filter(({ low, high }) => low > -Infinity || high < Infinity);
  for (const s of samples) {
    const kept = s.get("kept");
    const tests = active.filter(({ column }) => s.get(column));
    const columns = tests.map(({ column }) => s.get(column));
    for (let i = 0; i < s.n; i++) {
      s.measured[i] = s.hand[i] ? s.hand[i] > 0 : kept[i] || (withLeftOut && !s.border[i]);
      let inside = s.measured[i];
      // What has no value is not between limits.
      for (let k = 0; inside && k < tests.length; k++) {
        inside = columns[k][i] >= tests[k].low && columns[k][i] <= tests[k].high;
      }
      s.shown[i] = inside ? 1 : 0;
    }
  }
}

// Sizes of the particles that `chosen` marks, and their weights.
function collect(s, chosen, { column }) {
  const all = s.get(column);
  const [values, weights] = [new Float64Array(s.n), s.weight && new Float64Array(s.n)];
  let n = 0;
  for (let i = 0; i < s.n; i++) {
    if (!chosen[i] || !(all[i] > 0) || !Number.isFinite(all[i])) continue;
    if (weights) {
      if (!(s.weight[i] > 0)) continue;
      weights[n] = s.weight[i];
    }
    values[n++] = all[i];
  }
  return { values: values.subarray(0, n), weights: weights && weights.subarray(0, n) };
}

const stateOf = (s, i) =>
  s.shown[i] ? "shown" : s.hand[i] < 0 ? "dropped" : s.measured[i] ? "hidden" : "out";

const update = oncePerFrame(() => {
  pass();
  for (const s of samples) {
    s.found = collect(s, s.shown, quantity);
    s.summary = summarize(s.found.values, s.found.weights, nano);
  }
  drawHistogram();
  showNumbers();
  showActive();
  showParticle();
  view.draw();
});

// ---- histogram and statistics --------------------------------------------------------------

function drawHistogram() {
  $("#histogram").innerHTML = histogramSvg(samples, quantity, { nano, unit });
  const n = samples.reduce((sum, s) => sum + s.found.values.length, 0);
  $("#histogram").setAttribute("aria-label", `Histogram of ${quantity.name}, ${n} particles`);
}

function showNumbers() {
  const isLength = quantity.unit === "nm" || quantity.unit === "px";
  const rows = [["particles", "n"], ["mean", "mean"], ["median (D50)", "median"], ["SD", "sd"]];
  rows.push(["D10", "d10"], ["D90", "d90"], ["geometric mean", "geometric_mean"]);
  rows.push(["geometric SD", "geometric_sd"]);
  if (isLength && unit === "nm") rows.push([`below ${format(nano)} nm`, "share_below"]);
  const text = (key, value) =>
    key === "share_below" && value !== null ? `${format(100 * value)} %` : format(value);
  $("#numbers tbody").replaceChildren(...rows.map(([name, key]) => {
    const row = element("tr", {}, element("th", { scope: "row" }, name));
    for (const s of samples) {
      const all = s.all[quantity.column];
      const cell = element("td", { "data-key": key }, element("b", {}, text(key, s.summary[key])));
      cell.append(element("small", {}, text(key, all[key])));
      row.append(cell);
    }
    return row;
  }));
  $("#unit").textContent = quantity.unit === "1" ? "" : `in ${quantity.unit}; `;
}

function showActive() {
  const words = limits.filter((l) => l.low > -Infinity || l.high < Infinity).map((l) => {
    const unitOf = l.unit === "1" ? "" : ` ${l.unit}`;
    const [low, high] = [l.low, l.high].map(format);
    if (l.low === -Infinity) return `${l.name} up to ${high}${unitOf}`;
    return l.high === Infinity ? `${l.name} from ${low}${unitOf}` : `${l.name} ${low} to ${high}${unitOf}`;
  });
  if (withLeftOut) words.unshift("with those that the classifier left out");
  const edits = listEdits();
  if (edits.length) words.push(`${edits.length} kept or dropped by hand`);
  const [shown, all] = ["shown", "measured"].map((key) =>
    samples.reduce((sum, s) => sum + s[key].reduce((a, b) => a + b, 0), 0));
  $("#active").textContent = `${format(shown)} of ${format(all)} particles shown: ` +
    (words.length ? `${words.join("; ")}.` : "no limits set.");
}

// ---- limits --------------------------------------------------------------------------------

const STEPS = 1000;

// Particles spread over decades of area; their sliders do, too.
const scaled = (limit, value) => (limit.isLog ? Math.log(value) : value);
function fromStep(limit, step) {
  const [low, high] = [limit.least, limit.most].map((v) => scaled(limit, v));
  const at = low + (step / STEPS) * (high - low);
  return limit.isLog ? Math.exp(at) : at;
}
function toStep(limit, value) {
  const [low, high] = [limit.least, limit.most].map((v) => scaled(limit, v));
  const share = high > low ? (scaled(limit, value) - low) / (high - low) : 0;
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

function makeLimit(limit) {
  const box = element("fieldset", { class: "limit", "data-column": limit.column });
  limit.least = Infinity;
  limit.most = -Infinity;
  for (const s of samples) {
    const values = s.get(limit.column) || [];
    for (let i = 0; i < values.length; i++) {
      if (s.border[i] || !Number.isFinite(values[i])) continue;
      limit.least = Math.min(limit.least, values[i]);
      limit.most = Math.max(limit.most, values[i]);
    }
  }
  if (!(limit.least <= limit.most)) return null;
  limit.isLog = limit.column.startsWith("area_") && limit.least > 0;
  const inputs = {};
  const set = (side, value) => {
    limit[side] = value;
    const open = value === -Infinity || value === Infinity;
    const end = side === "low" ? limit.least : limit.most;
    inputs[side].range.value = open ? (side === "low" ? 0 : STEPS) : toStep(limit, value);
    inputs[side].number.value = open ? "" : Number(value.toPrecision(4));
    inputs[side].number.placeholder = Number(end.toPrecision(4));
    box.style.setProperty(`--${side}`, inputs[side].range.value / STEPS);
    box.classList.toggle("set", limit.low > -Infinity || limit.high < Infinity);
    update();
  };
  for (const side of ["low", "high"]) {
    const open = side === "low" ? -Infinity : Infinity;
    const label = `${side === "low" ? "least" : "greatest"} ${limit.name}`;
    const range = element("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": label });
    const number = element("input", { type: "number", step: "any", "aria-label": label });
    inputs[side] = { range, number };
    range.addEventListener("input", () => {
      const other = Number(inputs[side === "low" ? "high" : "low"].range.value);
      const clip = side === "low" ? Math.min : Math.max;
      const step = clip(Number(range.value), other);
      const isEnd = step === (side === "low" ? 0 : STEPS);
      set(side, isEnd ? open : Number(fromStep(limit, step).toPrecision(4)));
    });
    number.addEventListener("change", () => {
      set(side, number.value === "" ? open : Number(number.value));
    });
  }
  const name = limit.name + (limit.unit === "1" ? "" : ` (${limit.unit})`);
  const track = element("div", { class: "track" }, inputs.low.range);
  track.append(inputs.high.range);
  const ends = element("div", { class: "ends" }, inputs.low.number);
  ends.append(inputs.high.number);
  box.append(element("legend", {}, name), track, ends);
  limit.reset = () => ["low", "high"].forEach((s) => set(s, s === "low" ? -Infinity : Infinity));
  limit.set = set;
  return box;
}

// ---- the picture and its particles ---------------------------------------------------------

const view = new View($("#view"), {
  stateOf: (i) => stateOf(current, i), onSelect: showParticle, colors: colors.states,
});

function showImage(sample, number) {
  [current, place] = [sample, number];
  const image = sample.images[number];
  $("#images").value = `${sample.number} ${number}`;
  $("#picture-note").textContent = image.note;
  view.show(image);
  showParticle();
}

function stepImage(step) {
  const options = [...$("#images").options];
  const next = ($("#images").selectedIndex + step + options.length) % options.length;
  showImage(...readOption(options[next].value));
}
const readOption = (value) => {
  const [sample, number] = value.split(" ").map(Number);
  return [samples[sample], number];
};

function showParticle() {
  const i = view.selected;
  const box = $("#particle");
  if (i < 0) {
    box.replaceChildren(element("p", { class: "quiet" }, "Click on a particle to see its values."));
    return;
  }
  const s = current;
  const words = {
    shown: "Measured and shown", hidden: "Measured, but outside the limits set",
    dropped: "Dropped by hand", out: `Left out: ${cell(s.columns.reason || { kind: "text", texts: [""], values: { [i]: 0 } }, i) || "not kept"}`,
  };
  const list = element("dl", { class: "values" });
  for (const { column, name, unit: u } of data.values) {
    if (!s.columns[column]) continue;
    const text = format(s.columns[column].values[i]) + (u === "1" ? "" : ` ${u}`);
    const pair = element("div", {}, element("dt", {}, name));
    pair.append(element("dd", {}, text));
    list.append(pair);
  }
  const title = `Particle ${s.columns.label.values[i]} of ${s.images[place].name}`;
  const state = stateOf(s, i);
  const button = element("button", { type: "button", id: "toggle" });
  button.textContent = s.measured[i] ? "Drop this particle" : "Keep this particle";
  button.disabled = Boolean(s.border[i]);
  button.addEventListener("click", () => toggle(s, i));
  const head = element("div", { class: "head" }, element("h4", {}, title));
  head.append(button);
  const note = s.border[i] ? ": its sizes are lower bounds, so it cannot be kept" : "";
  const verdict = element("p", { class: `state ${state}` }, words[state] + note);
  box.replaceChildren(head, verdict, list);
}

function toggle(s, i) {
  if (s.border[i]) return;
  const wanted = s.measured[i] ? -1 : 1;
  // What it is without a hand's doing; the second change takes the first one back.
  const own = s.get("kept")[i] || (withLeftOut && !s.border[i]) ? 1 : -1;
  s.hand[i] = own === wanted ? 0 : wanted;
  remember();
}

function listEdits() {
  const found = [];
  for (const s of samples) {
    for (let i = 0; i < s.n; i++) {
      if (!s.hand[i]) continue;
      const image = cell(s.columns.image, i);
      found.push({ sample: s.name, image, label: s.columns.label.values[i], keep: s.hand[i] > 0 });
    }
  }
  return found;
}

function takeEdits(edits) {
  for (const s of samples) s.hand.fill(0);
  const rows = new Map();
  for (const s of samples) {
    for (let i = 0; i < s.n; i++) {
      rows.set(`${s.name}\n${s.columns.label.values[i]}\n${cell(s.columns.image, i)}`, [s, i]);
    }
  }
  for (const { sample, image, label, keep } of edits) {
    const [s, i] = rows.get(`${sample}\n${label}\n${image}`) || [];
    if (s) s.hand[i] = keep ? 1 : -1;
  }
}

function remember() {
  try {
    localStorage.setItem(`semjax report/${data.id}`, JSON.stringify(listEdits()));
  } catch {
    keeps = false;
  }
  $("#edited").hidden = !listEdits().length;
  $("#kept-here").textContent = keeps ? "" : "This browser does not keep them: download them.";
  update();
}
