"use strict";
// Columns of particles.csv, statistics and bins: the same numbers as in Python.

// A column from base64: little-endian numbers, or texts as numbers into a list.
function decode({ kind, data, texts }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const Kind = { float: Float64Array, int: Int32Array, bool: Uint8Array, text: Int32Array }[kind];
  return { kind, texts, values: new Kind(bytes.buffer) };
}

// A cell as pandas writes it; nothing for NaN.
function cell({ kind, texts, values }, i) {
  if (kind === "text") return texts[values[i]];
  if (kind === "bool") return values[i] ? "True" : "False";
  return Number.isNaN(values[i]) ? "" : String(values[i]);
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function percentile(sorted, share) {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

// As semjax.analysis.distribution.summarize; values above 0, weights null or one for each value.
function summarize(values, weights, limit) {
  const n = values.length;
  const names = "mean median sd d10 d90 geometric_mean geometric_sd share_below".split(" ");
  if (!n) return { n, ...Object.fromEntries(names.map((name) => [name, null])) };
  let order = null;
  if (weights) {
    order = Array.from(values.keys());
    order.sort((i, j) => values[i] - values[j] || weights[i] - weights[j]);
  }
  const x = order ? Float64Array.from(order, (i) => values[i]) : Float64Array.from(values).sort();
  const w = order ? Float64Array.from(order, (i) => weights[i]) : null;
  let [total, squares, sum, logs, below] = [0, 0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const weight = w ? w[i] : 1;
    total += weight;
    squares += weight * weight;
    sum += weight * x[i];
    logs += weight * Math.log(x[i]);
    if (x[i] < limit) below += weight;
  }
  const [mean, log] = [sum / total, logs / total];
  let [spread, logSpread] = [0, 0];
  for (let i = 0; i < n; i++) {
    const weight = w ? w[i] : 1;
    spread += weight * (x[i] - mean) ** 2;
    logSpread += weight * (Math.log(x[i]) - log) ** 2;
  }
  const free = total - squares / total;
  const quantile = w ? weightedQuantile(x, w) : (share) => percentile(x, share);
  return {
    n, mean, median: quantile(0.5), d10: quantile(0.1), d90: quantile(0.9),
    sd: n > 1 ? Math.sqrt(spread / free) : null,
    geometric_mean: Math.exp(log),
    geometric_sd: n > 1 ? Math.exp(Math.sqrt(logSpread / free)) : null,
    share_below: below / total,
  };
}

// Stretches as long as the weights side by side; a value's place is the middle of its stretch.
function weightedQuantile(x, w) {
  const places = new Float64Array(x.length);
  let run = 0;
  for (let i = 0; i < x.length; i++) {
    run += w[i];
    places[i] = run - w[i] / 2;
  }
  const [first, last] = [places[0], places[x.length - 1]];
  return (share) => {
    const place = first + share * (last - first);
    let i = 1;
    while (i < x.length - 1 && places[i] < place) i++;
    if (x.length === 1) return x[0];
    return x[i - 1] + ((place - places[i - 1]) / (places[i] - places[i - 1])) * (x[i] - x[i - 1]);
  };
}

// As semjax.report.figures.round_edges: from 0 on, a round number wide; at most 80 bins.
function binWidth(values) {
  const sorted = Float64Array.from(values).sort();
  const most = sorted[sorted.length - 1];
  const spread = percentile(sorted, 0.75) - percentile(sorted, 0.25);
  const least = Math.max((2 * spread) / Math.cbrt(sorted.length), most / 80);
  const power = 10 ** Math.floor(Math.log10(least));
  const width = power * [1, 2, 2.5, 5, 10].find((step) => step * power >= least * 0.999);
  return { width, bins: Math.floor(most / width) + 1 };
}

function countBins(values, weights, { width, bins }) {
  const counts = new Float64Array(bins);
  for (let i = 0; i < values.length; i++) {
    let bin = Math.min(Math.floor(values[i] / width), bins - 1);
    // A quotient may be rounded over an edge.
    if (bin < bins - 1 && values[i] >= width * (bin + 1)) bin++;
    if (bin > 0 && values[i] < width * bin) bin--;
    counts[bin] += weights ? weights[i] : 1;
  }
  return counts;
}

// Three digits that count, as semjax.report.figures.format_number.
function format(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const group = (text) => text.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
  if (Number.isInteger(value)) return group(String(value));
  const size = Math.abs(value);
  if (size >= 100) return group(value.toFixed(0));
  if (size < 1e-3) return value.toPrecision(3);
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
}

function saveFile(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
