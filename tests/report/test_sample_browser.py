"""The size report in a real browser: limits, pictures, edits, downloads, and printing."""

import csv
import io
import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import distribution
from semjax.report import figures, sample

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET += ("--disable-background-networking", "--disable-component-update", "--disable-sync")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

# What the probes have at hand; their last value becomes the page's title.
TOOLS = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
const rest = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const number = (key) => Number(document.querySelector(`[data-key=${key}] b`).textContent.replaceAll(",", ""));
const type = (input, value, kind) => { input.value = value; input.dispatchEvent(new Event(kind, { bubbles: true })); };
const sliders = (column) => [...document.querySelectorAll(`[data-column=${column}] input`)];
const bars = () => document.querySelector("#histogram").innerHTML;
let saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "#"; };
HTMLAnchorElement.prototype.click = () => {};
const download = async (id) => { saved = []; document.querySelector(id).click(); return saved[0].text(); };
// A click at a place of the picture, in its pixels.
const click = (x, y) => {
  const canvas = document.querySelector("#view");
  canvas.scrollIntoView();
  const box = canvas.getBoundingClientRect();
  const at = { clientX: box.left + view.x + x * view.scale, clientY: box.top + view.y + y * view.scale };
  for (const kind of ["pointerdown", "pointerup"]) {
    canvas.dispatchEvent(new PointerEvent(kind, { ...at, pointerId: 1, bubbles: true }));
  }
};
const probe = async () => { PROBE };
localStorage.clear();
probe().then((told) => { document.title = JSON.stringify({ ...told, errors }); },
  (error) => { document.title = JSON.stringify({ errors: [String(error), error.stack] }); });
</script>"""


@pytest.fixture
def ask(tmp_path):
    """Runs a probe in a page and gives what it returned; no script may have failed."""

    def run(page, probe, *options):
        text = page.read_text(encoding="utf-8")
        probed = page.with_name("probed.html")
        tools = TOOLS.replace("PROBE", probe)
        probed.write_text(text.replace("</body>", f"{tools}</body>"), encoding="utf-8")
        command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--dump-dom", "--virtual-time-budget=10000", "--window-size=1300,900"]
        done = subprocess.run(
            [*command, *options, probed.as_uri()],
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        title = re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)
        told = json.loads(unescape(title[1]))
        assert told.pop("errors") == []
        return told

    return run


@pytest.fixture
def folder(tmp_path, make_folder):
    return make_folder(tmp_path / "beads")


@pytest.fixture
def report(tmp_path, folder):
    return sample.write([folder], tmp_path / "r.html")


def table_of(folder):
    return pd.read_csv(folder / "particles.csv", keep_default_na=False)


def test_a_slider_moves_histogram_number_and_table(ask, report, folder):
    told = ask(
        report,
        """
        await rest();
        const told = { before: [number("n"), bars()] };
        const [low] = sliders("min_feret_nm");
        type(low, 400, "input");
        await rest();
        Object.assign(told, { after: [number("n"), bars()], mean: number("mean") });
        told.limit = limits.find((l) => l.column === "min_feret_nm").low;
        told.words = document.querySelector("#active").textContent;
        told.csv = await download("#save-csv");
        type(sliders("solidity")[3], "0.2", "change");
        await rest();
        told.none = [number("n"), bars().includes("no particles")];
        document.querySelector("#reset").click();
        await rest();
        told.again = [number("n"), bars()];
        return told;
        """,
    )
    kept = table_of(folder).query("kept")
    shown = kept[kept["min_feret_nm"] >= told["limit"]]
    assert told["before"][0] == len(kept) and 0 < told["after"][0] == len(shown) < len(kept)
    assert told["before"][1] != told["after"][1]
    assert told["mean"] == float(figures.format_number(shown["min_feret_nm"].mean()))
    assert f"{len(shown)} of {len(kept)} particles shown: minimum Feret from" in told["words"]
    assert told["none"] == [0, True]
    assert told["again"] == told["before"]
    # The table saved is what was shown, to the last digit.
    saved = pd.read_csv(io.StringIO(told["csv"]), keep_default_na=False)
    pd.testing.assert_frame_equal(
        saved, shown.reset_index(drop=True), check_dtype=False, rtol=0, atol=0
    )


def test_dropping_a_particle_in_the_picture_changes_the_mean(ask, report, folder):
    table = table_of(folder)
    own = table[(table["image"] == table["image"].iloc[0]) & table["kept"]]
    largest = own.loc[own["min_feret_nm"].idxmax()]
    place = f"{largest['col'] + 0.5}, {largest['row'] + 0.5}"
    told = ask(
        report,
        f"""
        await rest();
        const told = {{ before: number("mean") }};
        click({place});
        await rest();
        told.chosen = document.querySelector("#particle").textContent;
        document.querySelector("#toggle").click();
        await rest();
        told.after = [number("n"), number("mean"), number("median")];
        told.state = document.querySelector("#particle .state").textContent;
        told.csv = await download("#save-csv");
        told.edits = JSON.parse(await download("#save-edits"));
        told.stored = Object.values(localStorage).length;
        // Zoomed in and moved, the same particle is under the same place of the picture.
        view.zoom(3, 40, 40);
        view.pan(-50, -30);
        view.select(-1);
        click({place});
        await rest();
        told.again = document.querySelector("#particle h4").textContent;
        document.querySelector("#undo-edits").click();
        await rest();
        told.back = number("mean");
        return told;
        """,
    )
    name = f"Particle {largest['label']} of {largest['image']}"
    assert name in told["chosen"] and "Measured and shown" in told["chosen"]
    left = table[table["kept"]].drop(largest.name)
    mean, median = left["min_feret_nm"].mean(), left["min_feret_nm"].median()
    rounded = [float(figures.format_number(value)) for value in (mean, median)]
    assert told["after"] == [len(left), *rounded]
    assert told["before"] > told["after"][1] and told["back"] == told["before"]
    assert told["state"] == "Dropped by hand" and told["again"] == name
    rows = list(csv.DictReader(io.StringIO(told["csv"])))
    marked = [row for row in rows if row["reason"]]
    assert len(rows) == len(left) + 1 and len(marked) == 1
    assert marked[0]["label"] == str(largest["label"]) and marked[0]["kept"] == "False"
    edit = {"image": largest["image"], "label": int(largest["label"]), "keep": False}
    assert told["edits"]["edits"] == [{"sample": "beads", **edit}]
    assert told["stored"] == 1
    # What was saved makes the report of what was seen.
    path = folder.parent / "edits.json"
    path.write_text(json.dumps(told["edits"]), encoding="utf-8")
    again = sample.write([folder], folder.parent / "edited.html", edits=path)
    seen = ask(again, 'await rest(); return { seen: [number("n"), number("mean")] };')
    assert seen["seen"] == told["after"][:2]


def test_border_particles_stay_out_and_others_come_in(ask, report, folder):
    table = table_of(folder)
    first = table[table["image"] == table["image"].iloc[0]]
    cut = first[first["border"]].iloc[0]
    low = table[~table["kept"] & ~table["border"]]
    told = ask(
        report,
        f"""
        click({cut["col"] + 0.5}, {cut["row"] + 0.5});
        await rest();
        const told = {{ disabled: document.querySelector("#toggle").disabled }};
        told.words = document.querySelector("#particle").textContent;
        document.querySelector("#left-out").click();
        await rest();
        told.n = number("n");
        toggle(samples[0], {int(low.index[0])});
        await rest();
        told.less = [number("n"), stateOf(samples[0], {int(low.index[0])})];
        return told;
        """,
    )
    assert told["disabled"] and "touches the border" in told["words"]
    n = int(table["kept"].sum()) + len(low)
    assert told["n"] == n and told["less"] == [n - 1, "dropped"]


def test_zoom_pan_and_keys(ask, report):
    told = ask(
        report,
        """
        await rest();
        const canvas = document.querySelector("#view");
        const at = () => [view.scale / view.least, view.x, view.y];
        const told = { fit: at() };
        const box = canvas.getBoundingClientRect();
        const under = (x, y) => [(x - view.x) / view.scale, (y - view.y) / view.scale];
        told.under = under(200, 150);
        const wheel = (more) => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -60,
          clientX: box.left + 200, clientY: box.top + 150, cancelable: true, ...more }));
        told.passes = wheel({});
        told.unmoved = at();
        told.taken = !wheel({ ctrlKey: true });
        told.zoomed = at();
        told.still = under(200, 150);
        document.querySelector("#closer").click();
        told.closer = at()[0];
        const x = view.x;
        canvas.focus();
        const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
        press("ArrowRight");
        told.moved = view.x - x;
        for (let k = 0; k < 40; k++) press("+");
        told.most = view.scale;
        press("0");
        told.back = at();
        await rest();
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        told.green = 0;
        for (let i = 0; i < pixels.length; i += 4) {
          if (pixels[i + 1] > 180 && pixels[i] < 60) told.green++;
        }
        return told;
        """,
    )
    assert told["passes"] and told["unmoved"] == told["fit"], "the wheel scrolls the page"
    assert told["taken"] and told["zoomed"][0] > 1.2
    assert np.allclose(told["still"], told["under"])
    assert told["closer"] > told["zoomed"][0] and told["moved"] < 0
    assert told["most"] == 32 and told["back"] == told["fit"]
    assert told["green"] > 500, "outlines are drawn"


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_and_bins_are_those_of_python(ask, report, weighted):
    rng = np.random.default_rng(5)
    cases = [
        rng.lognormal(4, s, n) for n, s in ((1, 0.3), (2, 0.3), (37, 0.4), (900, 0.2), (60, 2))
    ]
    cases.append(np.array([50.0, 100, 100, 150, 150, 150, 200]))
    weights = [rng.uniform(1, 1.5, case.size) if weighted else None for case in cases]
    given = [
        [c.tolist(), None if w is None else w.tolist()] for c, w in zip(cases, weights, strict=True)
    ]
    told = ask(
        report,
        f"""
        const found = {json.dumps(given)}.map(([values, weights]) => {{
          const bins = binWidth(values);
          return [summarize(values, weights, 60), bins, [...countBins(values, weights, bins)]];
        }});
        return {{ found }};
        """,
    )
    for values, w, (summary, bins, counts) in zip(cases, weights, told["found"], strict=True):
        expected = distribution.summarize(values, w, bootstrap=0, seed=0, nano_nm=60)
        expected["share_below"] = expected["share_below_nano"]
        for name, value in summary.items():
            if expected[name] is None:
                assert value is None, name
            else:
                assert value == pytest.approx(expected[name], rel=1e-10), name
        edges = figures.round_edges(values)
        assert bins["bins"] == len(edges) - 1
        assert bins["width"] == pytest.approx(edges[1], rel=1e-12)
        np.testing.assert_allclose(counts, np.histogram(values, edges, weights=w)[0], rtol=1e-12)


def test_numbers_are_written_as_in_python(ask, report):
    values = [0, 1, 12345, 0.0312, 4.57, 83.16, 999.6, 12345.6, 2.5e-05, -3.21, 1e7, 99.96]
    told = ask(report, f"return {{ texts: {json.dumps(values)}.map(format) }};")
    python = [figures.format_number(value) for value in values]
    assert [t for t, v in zip(told["texts"], values, strict=True) if v != 2.5e-05] == [
        t for t, v in zip(python, values, strict=True) if v != 2.5e-05
    ]


def test_two_samples_and_their_weights(ask, tmp_path, make_folder):
    folders = [make_folder(tmp_path / "one"), make_folder(tmp_path / "two", seed=3)]
    for folder in folders:
        facts = json.loads((folder / "measured.json").read_text())
        (folder / "measured.json").write_text(json.dumps(facts | {"border": "weights"}))
    page = sample.write(folders, tmp_path / "r.html")
    told = ask(
        page,
        """
        await rest();
        const told = { means: samples.map((s) => s.summary.mean) };
        told.paths = document.querySelectorAll("#histogram path.bar").length;
        told.csv = await download("#save-csv");
        const options = [...document.querySelectorAll("#images option")];
        for (const step of options) { stepImage(1); await rest(); }
        told.images = options.length;
        told.at = document.querySelector("#images").selectedIndex;
        told.figures = document.querySelectorAll("figure[data-name] .save").length;
        told.names = new Set([...document.querySelectorAll("figure")].map((f) => f.dataset.name)).size;
        return told;
        """,
    )
    for mean, folder in zip(told["means"], folders, strict=True):
        kept = table_of(folder).query("kept")
        expected = np.average(kept["min_feret_nm"], weights=kept["border_weight"])
        assert mean == pytest.approx(expected, rel=1e-12)
    assert told["paths"] == 2 and told["images"] == 4 and told["at"] == 0
    assert told["figures"] == told["names"] == 8
    saved = pd.read_csv(io.StringIO(told["csv"]))
    kept = [table_of(folder)["kept"].sum() for folder in folders]
    assert saved["sample"].value_counts().to_dict() == dict(zip(("one", "two"), kept, strict=True))


def test_figures_are_saved_as_drawings_and_pictures(ask, report):
    told = ask(
        report,
        """
        await rest();
        const told = { drawings: [], kinds: [] };
        for (const figure of document.querySelectorAll("figure[data-name]")) {
          saved = [];
          const [svg, png] = figure.querySelectorAll(".save button");
          svg.click();
          told.drawings.push(await saved[0].text());
          png.click();
          for (let k = 0; k < 100 && saved.length < 2; k++) await new Promise((r) => setTimeout(r, 20));
          told.kinds.push([saved[1].type, saved[1].size > 2000]);
        }
        saved = [];
        document.querySelector("#save-view").click();
        for (let k = 0; k < 100 && !saved.length; k++) await new Promise((r) => setTimeout(r, 20));
        told.view = saved[0].size;
        told.json = JSON.parse(await download("#save-json"));
        const parser = new DOMParser();
        told.broken = told.drawings.filter((text) =>
          parser.parseFromString(text, "image/svg+xml").querySelector("parsererror")).length;
        told.drawings = told.drawings.map((text) => /^(<\\?xml|<svg )/.test(text));
        return told;
        """,
    )
    assert told["drawings"] == [True] * 4 and told["broken"] == 0
    assert told["kinds"] == [["image/png", True]] * 4
    assert told["view"] > 5000
    assert told["json"]["beads"]["measurands"]["min_feret"]["n"] > 10


def test_print_hides_what_cannot_be_used_on_paper(ask, report, tmp_path):
    told = ask(
        report,
        """
        await rest();
        // The rules for print, as if this were paper.
        const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
          .filter((rule) => rule.media && rule.media.mediaText === "print")
          .flatMap((rule) => [...rule.cssRules]).map((rule) => rule.cssText);
        const seen = (selector) => [...document.querySelectorAll(selector)]
          .filter((e) => e.getClientRects().length).length;
        const hidden = "button, select, input, nav, .track";
        const told = { before: seen(hidden), texts: seen("h2") };
        document.head.append(element("style", {}, rules.join("\\n")));
        Object.assign(told, { after: seen(hidden), left: seen("h2"), drawings: seen("#histogram svg") });
        told.view = seen("#view");
        return told;
        """,
    )
    assert told["before"] > 30 and told["after"] == 0
    assert told["left"] == told["texts"] and told["drawings"] == told["view"] == 1
    printed = tmp_path / "r.pdf"
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'other'}"]
    command += [f"--print-to-pdf={printed}", report.as_uri()]
    subprocess.run(command, capture_output=True, timeout=180, check=True)
    assert printed.read_bytes().startswith(b"%PDF") and printed.stat().st_size > 50_000


@pytest.mark.parametrize("width", [360, 800, 1920])
def test_nothing_is_wider_than_the_screen(ask, report, width):
    # Chromium's own windows are at least 500 px wide; a frame can be narrower.
    probe = """
    const frame = document.createElement("iframe");
    frame.style = "width: WIDTHpx; height: 900px";
    frame.srcdoc = new XMLSerializer().serializeToString(document).replace(/<script(?! type)[^]*?<\\/script>/g, "");
    document.body.classList.add("live");
    document.body.append(frame);
    await new Promise((done) => frame.addEventListener("load", done));
    const root = frame.contentDocument.documentElement;
    return { width: root.scrollWidth, room: root.clientWidth };
    """
    told = ask(report, probe.replace("WIDTH", str(width)), "--window-size=2000,900")
    assert told["room"] <= width and told["width"] <= told["room"]
