"""The size report in a real browser: limits, pictures, edits, downloads, and printing."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import distribution
from semjax.report import figures, sample

pytestmark = pytest.mark.browser

# What the scripts of the tests have at hand.
TOOLS = """
Object.assign(window, {
  rest: () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  number: (key) => {
    const text = document.querySelector(`[data-key=${key}] b`).textContent;
    return Number(text.replaceAll(",", ""));
  },
  type: (input, value, kind) => {
    input.value = value;
    input.dispatchEvent(new Event(kind, { bubbles: true }));
  },
  inputs: (column) => [...document.querySelectorAll(`[data-column=${column}] input`)],
  bars: () => document.querySelector("#histogram").innerHTML,
  saved: [],
  download: async (id) => {
    saved.length = 0;
    document.querySelector(id).click();
    while (!saved.length) await new Promise((done) => setTimeout(done, 10));
    return saved[0].text ? saved[0].text() : saved[0];
  },
  // Where a place of the picture, in its pixels, is in the window.
  spot: (x, y) => {
    document.querySelector("#view").scrollIntoView({ block: "center" });
    const box = document.querySelector("#view").getBoundingClientRect();
    return [box.left + view.x + x * view.scale, box.top + view.y + y * view.scale];
  },
});
saveFile = (name, content) => saved.push(content);
await rest();
"""


@pytest.fixture
def folder(tmp_path, make_folder):
    return make_folder(tmp_path / "beads")


@pytest.fixture
def show(browser, tmp_path):
    """Writes the report of folders and opens it."""

    def write(*folders, width=1300, **options):
        path = sample.write(list(folders), tmp_path / "r.html", **options)
        page = browser.open(path, width=width)
        page.run(TOOLS)
        return page

    return write


def table_of(folder):
    return pd.read_csv(folder / "particles.csv", keep_default_na=False)


def read_csv(text):
    return pd.read_csv(io.StringIO(text), keep_default_na=False)


def rounded(*values):
    return [float(figures.format_number(value).replace(",", "")) for value in values]


def test_a_slider_moves_histogram_number_and_table(show, folder):
    page = show(folder)
    before = page.run('return [number("n"), bars()];')
    told = page.run(
        """
        type(inputs("min_feret_nm")[0], 400, "input");
        await rest();
        const told = { after: [number("n"), bars()], mean: number("mean") };
        told.limit = limits.find((l) => l.column === "min_feret_nm").low;
        told.words = document.querySelector("#active").textContent;
        return told;
        """
    )
    kept = table_of(folder).query("kept")
    shown = kept[kept["min_feret_nm"] >= told["limit"]]
    assert before[0] == len(kept) and 0 < told["after"][0] == len(shown) < len(kept)
    assert before[1] != told["after"][1]
    assert [told["mean"]] == rounded(shown["min_feret_nm"].mean())
    assert f"{len(shown)} of {len(kept)} particles shown: minimum Feret from" in told["words"]
    # The table saved is what is shown, to the last digit.
    saved = read_csv(page.run('return download("#save-csv");'))
    shown = shown.reset_index(drop=True)
    pd.testing.assert_frame_equal(saved, shown, check_dtype=False, rtol=0, atol=0)
    none = page.run(
        """
        type(inputs("solidity")[3], "0.2", "change");
        await rest();
        return [number("n"), bars().includes("no particles")];
        """
    )
    assert none == [0, True]
    again = page.run(
        'document.querySelector("#reset").click(); await rest(); return [number("n"), bars()];'
    )
    assert again == before


def test_a_slider_follows_the_hand(show, folder):
    page = show(folder)
    ends = page.run(
        """
        const box = document.querySelector("[data-column=solidity] .track").getBoundingClientRect();
        const y = box.top + box.height / 2;
        return [[box.right - 8, y], [box.left + box.width / 2, y]];
        """
    )
    before = page.run('return number("n");')
    page.drag(*ends)
    told = page.run(
        """
        await rest();
        const { low, high } = limits.find((l) => l.column === "solidity");
        return [number("n"), low === null || low === -Infinity, high];
        """
    )
    kept = table_of(folder).query("kept")
    assert told[1] and kept["solidity"].min() < told[2] < kept["solidity"].max()
    assert told[0] == (kept["solidity"] <= told[2]).sum() < before


def test_dropping_a_particle_in_the_picture_changes_the_mean(show, folder, tmp_path):
    table = table_of(folder)
    own = table[(table["image"] == table["image"].iloc[0]) & table["kept"]]
    largest = own.loc[own["min_feret_nm"].idxmax()]
    middle = f"return spot({largest['col'] + 0.5}, {largest['row'] + 0.5});"
    page = show(folder)
    before = page.run('return number("mean");')
    page.click(*page.run(middle))
    chosen = page.run('await rest(); return document.querySelector("#particle").textContent;')
    name = f"Particle {largest['label']} of {largest['image']}"
    assert name in chosen and "Measured and shown" in chosen
    assert figures.format_number(largest["min_feret_nm"]) in chosen
    told = page.run(
        """
        document.querySelector("#toggle").click();
        await rest();
        const state = document.querySelector("#particle .state").textContent;
        return [number("n"), number("mean"), number("median"), state];
        """
    )
    left = table[table["kept"]].drop(largest.name)["min_feret_nm"]
    assert told == [len(left), *rounded(left.mean(), left.median()), "Dropped by hand"]
    assert told[1] < before
    rows = list(csv.DictReader(io.StringIO(page.run('return download("#save-csv");'))))
    marked = [row for row in rows if row["reason"]]
    assert len(rows) == len(left) + 1 and len(marked) == 1
    assert marked[0]["label"] == str(largest["label"])
    assert [marked[0]["kept"], marked[0]["reason"]] == ["False", "dropped by hand"]
    # Zoomed in and moved, the same particle is under the same place of the picture.
    page.run(
        f"""
        view.select(-1);
        view.zoom(4);
        const [x, y] = [{largest["col"] + 0.5}, {largest["row"] + 0.5}];
        const {{ clientWidth, clientHeight }} = view.canvas;
        const k = view.scale;
        view.pan(clientWidth / 2 - view.x - k * x, clientHeight / 2 - view.y - k * y);
        """
    )
    page.click(*page.run(middle))
    assert page.run('return document.querySelector("#particle h4").textContent;') == name
    # What is saved makes the report of what was seen.
    edits = json.loads(page.run('return download("#save-edits");'))
    edit = {"image": largest["image"], "label": int(largest["label"]), "keep": False}
    assert edits["edits"] == [{"sample": "beads", **edit}]
    # The browser keeps them, and takes them back if told.
    page.go(tmp_path / "r.html")
    page.run(TOOLS)
    assert page.run('return [number("n"), number("mean")];') == told[:2]
    undone = page.run(
        'document.querySelector("#undo-edits").click(); await rest(); return number("mean");'
    )
    assert undone == before
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(edits), encoding="utf-8")
    edited = show(folder, edits=path)
    assert edited.run('return [number("n"), number("mean")];') == told[:2]


def test_border_particles_stay_out_and_others_come_in(show, folder):
    table = table_of(folder)
    first = table[table["image"] == table["image"].iloc[0]]
    cut = first[first["border"]].iloc[0]
    low = table[~table["kept"] & ~table["border"]]
    page = show(folder)
    page.click(*page.run(f"return spot({cut['col'] + 0.5}, {cut['row'] + 0.5});"))
    told = page.run(
        f"""
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
        """
    )
    assert told["disabled"] and "touches the border" in told["words"]
    n = int(table["kept"].sum()) + len(low)
    assert told["n"] == n and told["less"] == [n - 1, "dropped"]


def test_zoom_pan_and_keys(show, folder):
    told = show(folder).run(
        """
        const canvas = view.canvas;
        const at = () => [view.scale / view.least, view.x, view.y];
        const under = (x, y) => [(x - view.x) / view.scale, (y - view.y) / view.scale];
        const box = canvas.getBoundingClientRect();
        const wheel = (more) => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -60,
          clientX: box.left + 200, clientY: box.top + 150, cancelable: true, ...more }));
        const press = (key) =>
          canvas.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
        const told = { fit: at(), under: under(200, 150), passes: wheel({}), unmoved: at() };
        told.taken = !wheel({ ctrlKey: true });
        Object.assign(told, { zoomed: at(), still: under(200, 150) });
        document.querySelector("#closer").click();
        told.closer = at()[0];
        const x = view.x;
        press("ArrowRight");
        told.moved = view.x - x;
        for (let k = 0; k < 40; k++) press("+");
        told.most = view.scale;
        press("0");
        told.back = at();
        await rest();
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        told.green = 0;
        for (let i = 0; i < data.length; i += 4) told.green += data[i + 1] > 180 && data[i] < 60;
        return told;
        """
    )
    assert told["passes"] and told["unmoved"] == told["fit"], "the wheel scrolls the page"
    assert told["taken"] and told["zoomed"][0] > 1.2
    assert np.allclose(told["still"], told["under"], atol=0.1)
    assert told["closer"] > told["zoomed"][0] and told["moved"] < 0
    assert told["most"] == 32 and np.allclose(told["back"], told["fit"])
    assert told["green"] > 500, "outlines are drawn"


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_and_bins_are_those_of_python(show, folder, weighted):
    rng = np.random.default_rng(5)
    drawn = ((1, 0.3), (2, 0.3), (37, 0.4), (900, 0.2), (60, 2.0))
    cases = [rng.lognormal(4, spread, n) for n, spread in drawn]
    cases.append(np.array([50.0, 100, 100, 150, 150, 150, 200]))
    weights = [rng.uniform(1, 1.5, case.size) if weighted else None for case in cases]
    pairs = list(zip(cases, weights, strict=True))
    given = [[c.tolist(), None if w is None else w.tolist()] for c, w in pairs]
    told = show(folder).run(
        f"""
        return {json.dumps(given)}.map(([values, weights]) => {{
          const bins = binWidth(values);
          return [summarize(values, weights, 60), bins, [...countBins(values, weights, bins)]];
        }});
        """
    )
    for (values, w), (summary, bins, counts) in zip(pairs, told, strict=True):
        expected = distribution.summarize(values, w, bootstrap=0, seed=0, nano_nm=60)
        expected["share_below"] = expected["share_below_nano"]
        for name, value in summary.items():
            known = expected[name] is not None
            assert value == (pytest.approx(expected[name], rel=1e-10) if known else None), name
        edges = figures.round_edges(values)
        assert bins["bins"] == len(edges) - 1
        assert bins["width"] == pytest.approx(edges[1], rel=1e-12)
        np.testing.assert_allclose(counts, np.histogram(values, edges, weights=w)[0], rtol=1e-12)


def test_numbers_are_written_as_in_python(show, folder):
    values = [0, 1, 12345, 0.0312, 4.57, 83.16, 999.6, 12345.6, -3.21, 1e7, 99.96, 0.00123]
    told = show(folder).run(f"return {json.dumps(values)}.map(format);")
    assert told == [figures.format_number(value) for value in values]


def test_two_samples_and_their_weights(show, tmp_path, make_folder):
    folders = [make_folder(tmp_path / n, seed=len(n), border="weights") for n in ("one", "three")]
    page = show(*folders)
    told = page.run(
        """
        const told = { means: samples.map((s) => s.summary.mean) };
        told.paths = document.querySelectorAll("#histogram path.bar").length;
        const options = [...document.querySelectorAll("#images option")];
        for (const step of options) { stepImage(1); await rest(); }
        told.images = options.length;
        told.at = document.querySelector("#images").selectedIndex;
        told.figures = document.querySelectorAll("figure[data-name] .save").length;
        const names = [...document.querySelectorAll("figure")].map((f) => f.dataset.name);
        told.names = new Set(names).size;
        return told;
        """
    )
    for mean, folder in zip(told["means"], folders, strict=True):
        kept = table_of(folder).query("kept")
        expected = np.average(kept["min_feret_nm"], weights=kept["border_weight"])
        assert mean == pytest.approx(expected, rel=1e-12)
    assert told["paths"] == 2 and told["images"] == 4 and told["at"] == 0
    assert told["figures"] == told["names"] == 8
    saved = read_csv(page.run('return download("#save-csv");'))
    kept = [int(table_of(folder)["kept"].sum()) for folder in folders]
    assert saved["sample"].value_counts().to_dict() == {"one": kept[0], "three": kept[1]}


def test_figures_are_saved_as_drawings_and_pictures(show, folder):
    told = show(folder).run(
        """
        const told = { drawings: 0, broken: 0, pictures: 0 };
        for (const figure of document.querySelectorAll("figure[data-name]")) {
          figure.querySelectorAll(".save button").forEach((b, i) => { b.id = i ? "png" : "svg"; });
          const drawing = await download("#svg");
          const read = new DOMParser().parseFromString(drawing, "image/svg+xml");
          told.drawings += read.documentElement.tagName === "svg";
          told.broken += read.querySelectorAll("parsererror").length;
          await download("#png");
          told.pictures += saved[0].type === "image/png" && saved[0].size > 2000;
          figure.querySelectorAll(".save button").forEach((b) => { b.id = ""; });
        }
        await download("#save-view");
        told.view = saved[0].size;
        told.json = JSON.parse(await download("#save-json"));
        return told;
        """
    )
    assert told["drawings"] == told["pictures"] == 4 and told["broken"] == 0
    assert told["view"] > 5000
    assert told["json"]["beads"]["measurands"]["min_feret"]["n"] > 10


def test_paper_shows_no_controls(show, folder):
    page = show(folder)
    seen = """
    const seen = (selector) =>
      [...document.querySelectorAll(selector)].filter((e) => e.getClientRects().length).length;
    await rest();
    return [seen("button, select, input, nav, .track"), seen("h2"), seen("#histogram svg, #view")];
    """
    controls, *texts = page.run(seen)
    assert controls > 30
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run(seen) == [0, *texts]
    printed = page.print()
    assert printed.startswith(b"%PDF") and len(printed) > 50_000


@pytest.mark.parametrize("width", [360, 800, 1920])
def test_nothing_is_wider_than_the_screen(show, tmp_path, make_folder, width):
    folders = [make_folder(tmp_path / n, seed=len(n), shape=(90, 90)) for n in ("a", "long " * 6)]
    page = show(*folders, width=width)
    told = page.run(
        """
        document.querySelectorAll("details").forEach((d) => { d.open = true; });
        await rest();
        const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth - clientWidth, innerWidth];
        """
    )
    assert told == [0, width]
