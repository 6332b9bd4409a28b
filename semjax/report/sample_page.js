"use strict";
// The histogram as a drawing of its own, downloads, and the start of the page.

const INK = "#22303c";
const QUIET = "#6b7885";

function element(tag, attributes, content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (content !== undefined) made.append(content);
  return made;
}

// Round numbers from 0 to `most`, about `n` of them.
function ticks(most, n) {
  const power = 10 ** Math.floor(Math.log10(most / n));
  const step = power * [1, 2, 2.5, 5, 10].find((k) => (k * power * n) >= most * 0.999);
  const found = [];
  for (let k = 0; k * step <= most * 1.0001; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

// Bars of one sample; steps of several, as shares, since samples differ in their numbers.
function histogramSvg(all, { column, name, unit: u }, { nano: limit, unit: lengths }) {
  const [width, height, left, right, top, bottom] = [640, 320, 52, 12, 14, 44];
  const part = [`<rect width="${width}" height="${height}" fill="#ffffff"/>`];
  const text = (x, y, words, more = "") =>
    part.push(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${words}</text>`);
  const end = (body) =>
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `font-family="system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif" font-size="12" ` +
    `fill="${INK}">${body.join("")}</svg>`;
  const values = Float64Array.from(all.flatMap((s) => [...s.found.values]));
  if (!values.length) {
    text(width / 2, height / 2, "no particles", `text-anchor="middle" fill="${QUIET}"`);
    return end(part);
  }
  const bins = binWidth(values);
  // The axis stays while limits move.
  const most = Math.max(bins.width * bins.bins, ...all.map((s) => s.reach[column]));
  const several = all.length > 1;
  const heights = all.map(({ found }) => {
    const counts = countBins(found.values, found.weights, bins);
    const total = several ? counts.reduce((a, b) => a + b, 0) || 1 : 100;
    return counts.map((count) => (count / total) * 100);
  });
  const tallest = 1.12 * Math.max(...heights.map((h) => Math.max(...h)));
  const x = (value) => left + (value / most) * (width - left - right);
  const y = (value) => height - bottom - (value / tallest) * (height - top - bottom);
  for (const tick of ticks(tallest, 5)) {
    part.push(`<path d="M${left} ${y(tick)}H${width - right}" stroke="#e3e8ec"/>`);
    text(left - 7, y(tick) + 4, format(tick), 'text-anchor="end"');
  }
  all.forEach((s, k) => {
    const fill = several ? "none" : "#9db8cc";
    let path = `M${x(0).toFixed(1)} ${y(0).toFixed(1)}`;
    heights[k].forEach((h, bin) => {
      if (!several) {
        const [from, to] = [x(bin * bins.width), x((bin + 1) * bins.width)];
        const size = `width="${(to - from - 0.8).toFixed(2)}" height="${(y(0) - y(h)).toFixed(2)}"`;
        part.push(`<rect class="bar" x="${from.toFixed(2)}" y="${y(h).toFixed(2)}" ${size} fill="${fill}"/>`);
      }
      path += `V${y(h).toFixed(1)}H${x((bin + 1) * bins.width).toFixed(1)}`;
    });
    if (several) {
      part.push(`<path class="bar" d="${path}V${y(0)}" fill="${s.color}" fill-opacity="0.08" ` +
        `stroke="${s.color}" stroke-width="1.8"/>`);
    }
    if (!several && (u === "nm" || u === "px")) part.push(logNormal(s, bins.width, { x, y, most }));
  });
  if (lengths === "nm" && u === "nm" && limit < most) {
    part.push(`<path d="M${x(limit)} ${y(0)}V${top}" stroke="${QUIET}" stroke-dasharray="3 4"/>`);
    text(x(limit) + 4, top + 9, `${format(limit)} nm`, `fill="${QUIET}" font-size="11"`);
  }
  part.push(`<path d="M${left} ${y(0)}H${width - right}" stroke="${QUIET}"/>`);
  for (const tick of ticks(most, 8)) {
    part.push(`<path d="M${x(tick)} ${y(0)}v5" stroke="${QUIET}"/>`);
    text(x(tick), y(0) + 18, format(tick), 'text-anchor="middle"');
  }
  const title = name[0].toUpperCase() + name.slice(1) + (u === "1" ? "" : ` (${u})`);
  text((left + width - right) / 2, height - 6, title, 'text-anchor="middle"');
  const axis = several ? "particles (%)" : `particles${all[0].weight ? ", weighted" : ""}`;
  text(0, 0, axis, `text-anchor="middle" transform="translate(13 ${(height - bottom + top) / 2}) rotate(-90)"`);
  return end(part);
}

// The log-normal law with the sizes' geometric mean and SD, as in the figures of Python.
function logNormal({ summary, found }, width, { x, y, most }) {
  const [mu, sigma] = [Math.log(summary.geometric_mean), Math.log(summary.geometric_sd)];
  if (!(sigma > 0)) return "";
  const total = found.weights ? found.weights.reduce((a, b) => a + b, 0) : summary.n;
  let path = "";
  for (let k = 1; k <= 300; k++) {
    const size = (most * k) / 300;
    const density = Math.exp(-((Math.log(size) - mu) ** 2) / (2 * sigma ** 2)) /
      (size * sigma * Math.sqrt(2 * Math.PI));
    path += `${path ? "L" : "M"}${x(size).toFixed(1)} ${y(total * width * density).toFixed(1)}`;
  }
  return `<path d="${path}" fill="none" stroke="#b3420e" stroke-width="1.8"/>`;
}

// ---- downloads -----------------------------------------------------------------------------

// The rows shown, and those dropped by hand, marked; columns as in particles.csv.
function shownCsv() {
  const several = samples.length > 1;
  const names = [...new Set(samples.flatMap((s) => Object.keys(s.columns)))];
  if (!names.includes("reason")) names.push("reason");
  const lines = [[...(several ? ["sample"] : []), ...names]];
  for (const s of samples) {
    for (let i = 0; i < s.n; i++) {
      if (!s.shown[i] && s.hand[i] >= 0) continue;
      const own = { kept: s.shown[i] ? "True" : "False" };
      own.reason = s.hand[i] > 0 ? "kept by hand" : s.hand[i] < 0 ? "dropped by hand" : "";
      const cells = names.map((name) => own[name] ?? (s.columns[name] ? cell(s.columns[name], i) : ""));
      lines.push([...(several ? [s.name] : []), ...cells]);
    }
  }
  return lines.map((cells) => cells.map(quoted).join(",") + "\n").join("");
}

function editsJson() {
  const hashes = Object.fromEntries(samples.map((s) => [s.name, s.sha256]));
  return JSON.stringify({ format: 1, samples: hashes, edits: listEdits() }, null, 1) + "\n";
}

async function savePng(svgUrl, width, name) {
  const picture = new Image();
  picture.src = svgUrl;
  await picture.decode();
  const canvas = element("canvas", {});
  canvas.width = width;
  canvas.height = Math.round((width * picture.naturalHeight) / picture.naturalWidth);
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => saveFile(name, blob, "image/png"), "image/png");
}

// Buttons below each drawing; the histogram's are found by its id.
function offerDrawing(figure) {
  const name = `${data.file}_${figure.dataset.name}`;
  const read = () => {
    const live = figure.querySelector("svg");
    if (live) return live.outerHTML.replace("<svg ", '<svg width="640" height="320" ');
    const source = figure.querySelector("img").src;
    return new TextDecoder().decode(Uint8Array.from(atob(source.split(",")[1]), (c) => c.charCodeAt(0)));
  };
  const buttons = element("span", { class: "save" });
  for (const kind of ["SVG", "PNG"]) {
    const button = element("button", { type: "button", title: `Download as ${kind}` }, kind);
    button.addEventListener("click", () => {
      if (kind === "SVG") return saveFile(`${name}.svg`, read(), "image/svg+xml");
      const url = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(read())}`;
      return savePng(url, 1920, `${name}.png`);
    });
    buttons.append(button);
  }
  figure.querySelector("figcaption").append(" ", buttons);
}

function saveView() {
  try {
    $("#view").toBlob((blob) => saveFile(`${data.file}_${samples[0].images.length ? current.images[place].name : ""}.png`, blob, "image/png"));
  } catch {
    $("#picture-note").textContent =
      "The browser does not hand out pictures of other files; take a screenshot, or the file in pictures/.";
  }
}

// ---- start ---------------------------------------------------------------------------------

function start() {
  pass();
  for (const s of samples) {
    // The numbers of the report: all particles measured, with the edits that it was made with.
    s.reach = {};
    s.all = {};
  }
  takeEdits(data.edits);
  pass();
  for (const s of samples) {
    for (const q of data.quantities) {
      const { values, weights } = collect(s, s.measured, q);
      s.all[q.column] = summarize(values, weights, nano);
      s.reach[q.column] = values.length ? binWidth(values).width * binWidth(values).bins : 0;
    }
  }
  for (const limit of limits) Object.assign(limit, { low: -Infinity, high: Infinity });
  $("#limits").append(...limits.map(makeLimit).filter(Boolean));
  limits.forEach((limit) => limit.reset?.());
  try {
    const stored = localStorage.getItem(`semjax report/${data.id}`);
    if (stored) takeEdits(JSON.parse(stored));
  } catch {
    keeps = false;
  }
  $("#quantity").append(...data.quantities.map((q, k) => element("option", { value: k }, q.name)));
  $("#quantity").addEventListener("change", (event) => {
    quantity = data.quantities[event.target.value];
    update();
  });
  const head = [element("th", { scope: "col" }, "")];
  for (const s of samples) {
    const key = element("span", { class: "key", style: `background:${s.color}` });
    const th = element("th", { scope: "col" }, samples.length > 1 ? key : "");
    th.append(samples.length > 1 ? s.name : "shown", element("small", {}, "all"));
    head.push(th);
  }
  $("#numbers thead tr").replaceChildren(...head);
  for (const s of samples) {
    const group = element("optgroup", { label: s.name });
    group.append(...s.images.map((image, k) =>
      element("option", { value: `${s.number} ${k}` }, `${image.name} (${image.particles.length})`)));
    $("#images").append(group);
  }
  $("#images").addEventListener("change", (event) => showImage(...readOption(event.target.value)));
  $("#view").addEventListener("nopicture", () => {
    $("#picture-note").textContent =
      "This picture is not in the report's file, and not beside it where it was made; outlines only.";
  });
  $("#view").addEventListener("keydown", (event) => {
    if (event.key === "d" && view.selected >= 0) toggle(current, view.selected);
  });
  const actions = {
    previous: () => stepImage(-1), next: () => stepImage(1), whole: () => view.fit(),
    closer: () => view.zoom(1.5), farther: () => view.zoom(1 / 1.5), "save-view": saveView,
    reset: () => limits.forEach((limit) => limit.reset?.()),
    "save-csv": () => saveFile(`${data.file}_shown.csv`, shownCsv(), "text/csv"),
    "save-edits": () => saveFile(`${data.file}_edits.json`, editsJson(), "application/json"),
    "save-json": () => saveFile(`${data.file}.json`, $("#described").textContent, "application/json"),
    "undo-edits": () => {
      for (const s of samples) s.hand.fill(0);
      remember();
    },
  };
  for (const [id, action] of Object.entries(actions)) $(`#${id}`)?.addEventListener("click", action);
  $("#left-out").addEventListener("change", (event) => {
    withLeftOut = event.target.checked;
    update();
  });
  document.querySelectorAll("figure[data-name]").forEach(offerDrawing);
  document.body.classList.add("live");
  const first = samples.find((s) => s.images.length);
  if (first) showImage(first, 0);
  remember();
}
start();
