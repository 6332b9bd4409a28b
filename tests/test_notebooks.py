"""The notebooks run on work folders in any state, and hold nothing but calls and pictures."""

import ast
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from semjax import notebook, phantom, settings, stacks
from semjax.analysis import regions
from semjax.report import figures, finding, making, panels
from semjax.synth import outlines
from semjax.workdir import Work, write_json

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LOOKING = [path for path in NOTEBOOKS if not path.stem.startswith("6")]
TILE = (64, 64)


def make_work(folder: Path, *, finished: bool) -> Work:
    """A work folder after `masks`, or after all stages; nothing is learnt, so that it is quick."""
    work = Work(folder)
    config = settings.get_config()
    config.data.source = "phantom"
    config.masks.tile_px = config.translate.tile_px = config.segment.tile_px = TILE
    config.translate.foreground_range = (0.0, 1.0)
    config.measure.tile_px = (160, 160)
    phantom.write_inputs(
        work.inputs, seed=0, n_images=2, n_outlines=6, image_px=(160, 160), pixel_size_nm=5.0
    )
    work.config.write_text(config.to_json_best_effort())

    def finish(stage):
        write_json(work.stage(stage) / "done.json", {"seconds": 1.0, "summary": {"number": 3}})

    def train(stage, tiles, columns, *names):
        figures.write_png(
            work.stage(stage) / "samples" / f"000010{names[0] if names else ''}.png",
            figures.sheet(tiles, columns=columns),
        )
        rows = [{"step": step, "loss": 1 / step} for step in (10, 20, 30)]
        (work.stage(stage) / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))

    drawn = outlines.random_polygons(20, seed=0, outline_px=64, areas=np.array([300, 700]))
    work.shapes.mkdir()
    np.savez(work.outlines, outlines=drawn)
    train("shapes", list(drawn * 255), 10)
    images = [tifffile.imread(path) for path in sorted((work.inputs / "images").glob("*.tif"))]
    truths = [tifffile.imread(path) for path in sorted((work.inputs / "truth").glob("*.tif"))]
    labels = np.stack(
        [
            truth[i : i + 64, j : j + 64]
            for truth in truths
            for i in (0, 60, 96)
            for j in (0, 60, 96)
        ]
    )
    fakes = np.stack(
        [
            image[i : i + 64, j : j + 64]
            for image in images
            for i in (0, 60, 96)
            for j in (0, 60, 96)
        ]
    )
    fakes[0] = 40  # of whose particles nothing is to be seen
    fakes[0, 0] = 255
    work.masks.mkdir()
    stacks.write(work.masks / "labels.tif", labels)
    for name in ("masks.tif", "reliefs.tif"):
        stacks.write(work.masks / name, (labels > 0) * np.uint8(255))
    seen = pd.DataFrame({"whole_area_px": [9, 8], "visible_area_px": [9, 4]})
    seen.to_csv(work.masks / "particles.csv", index=False)
    finish("shapes")
    finish("masks")
    if not finished:
        return work

    train("translate", [tile for _ in range(6) for tile in fakes[:6]], 6)
    stacks.write(work.translate / "fakes.tif", fakes)
    work.filter.mkdir()
    stacks.write(work.filter / "labels.tif", labels)
    train("segment", [np.zeros((128, 128), np.uint8)] * 4, 4, "_real")
    tried = [dict(threshold=t, image_iou=t, pq=t, edge_offset_px=0.5 - t) for t in (0.3, 0.5)]
    write_json(work.segment / "threshold.json", {"threshold": 0.5, "tried": tried})
    (work.measure / "labels").mkdir(parents=True)
    tables = []
    for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
        table = regions.measure(truth.astype(np.int32), image, pixel_size_nm=5.0)
        table.insert(0, "image", f"phantom_{i:03d}")
        tables.append(table.assign(class_score=0.6, kept=~table["border"], reason=""))
        tifffile.imwrite(work.measure / "labels" / f"phantom_{i:03d}.tif", truth)
    pd.concat(tables).to_csv(work.measure / "particles.csv", index=False)
    columns = ("image", "pixel_size_nm", "pixel_size_from", "info_bar_px", "agreement")
    pd.DataFrame([["a", 5.0, "tag", 0, 0.9]], columns=columns).to_csv(
        work.measure / "images.csv", index=False
    )
    spread = {"n": 5, "mean": 90.0, "mean_interval": [80.0, 95.0], "median": None}
    write_json(work.measure / "distribution.json", {"unit": "nm", "min_feret": spread})
    kinds = {name: 0.5 for name in ("image_iou", "f1_50", "f1_75", "pq")}
    write_json(work.score / "scores.json", {"semjax": kinds})
    for stage in ("translate", "filter", "segment", "measure", "score"):
        finish(stage)
    return work


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("begun"), finished=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("finished"), finished=True)


# What each notebook draws, by the function's name; `outputs` needs a model that has learnt.
MAKING = [
    ("table_of_images",),
    ("images_with_scale",),
    ("foreground_and_tiles",),
    ("densities",),
    ("outlines_given_and_drawn",),
    ("outline_shapes",),
    ("outlines_over_training",),
    ("curves", "shapes"),
    ("masks",),
    ("mask_statistics",),
    ("summary", "masks"),
]
TRANSLATION = [
    ("translation_over_training",),
    ("back_and_forth",),
    ("fakes_with_outlines",),
    ("ghosts",),
    ("real_and_fake",),
    ("summary", "filter"),
]
FINDING = [
    ("segmentation_over_training",),
    ("thresholds",),
    ("splitting",),
    ("kept_and_left_out",),
    ("overlays",),
    ("reasons",),
    ("scores",),
    ("histogram",),
    ("statistics",),
    ("cumulative",),
    ("how_many",),
    ("shapes",),
    ("by_image",),
]
ALL = [(making, *call) for call in MAKING + TRANSLATION] + [(finding, *call) for call in FINDING]
NAMES = ["-".join(call[1:]) for call in ALL]


def draw(work, module, name, *args):
    made = getattr(module, name)(work, *args)
    assert isinstance(made, pd.DataFrame) or made.startswith(b"\x89PNG")
    return made


@pytest.mark.parametrize("call", ALL, ids=NAMES)
def test_every_figure_of_a_finished_folder_can_be_drawn(call, finished):
    draw(finished, *call)


@pytest.mark.parametrize("call", ALL, ids=NAMES)
def test_what_is_not_there_yet_is_said_in_a_sentence(call, begun):
    if call[1:] in MAKING:
        draw(begun, *call)
        return
    with pytest.raises(FileNotFoundError, match=r"^Nothing to show yet: .*\.$") as error:
        draw(begun, *call)
    assert str(begun.path) not in str(error.value)


@pytest.mark.parametrize("call", ALL, ids=NAMES)
def test_an_empty_folder_is_told(call, tmp_path):
    with pytest.raises(FileNotFoundError, match="Nothing to show"):
        draw(Work(tmp_path), *call)


def test_a_stage_that_was_interrupted_is_not_finished(finished):
    with pytest.raises(FileNotFoundError, match="the stage measure is not finished"):
        panels.need(finished, finished.measure / "other.csv")


def test_a_sheet_is_cut_where_it_was_laid_out():
    tiles = [np.full((24, 40), i, np.uint8) for i in range(6)]
    sheet = figures.sheet(tiles, columns=3)
    path = Path("sheet.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels.gallery, "read_picture", lambda _: sheet)
        rows = panels.cut_sheet(path, (24, 40))
    assert [[tile[0, 0, 0] for tile in row] for row in rows] == [[0, 1, 2], [3, 4, 5]]
    assert all(tile.shape == (24, 40, 3) for row in rows for tile in row)


def test_ghosts_are_those_that_the_filter_takes(finished):
    labels = tifffile.imread(finished.masks / "labels.tif")
    assert (labels[0] > 0).any(), "else nothing is tested"
    assert making.ghosts(finished)


@pytest.mark.parametrize("left", ["no particle", "cut ones"])
def test_a_run_that_found_nothing_is_told(left, finished, tmp_path):
    work = Work(tmp_path / "copy")
    shutil.copytree(finished.path, work.path)
    table = finding.particles(work)
    table = table[table["border"]].assign(kept=False) if left == "cut ones" else table.head(0)
    table.to_csv(work.measure / "particles.csv", index=False)
    for name in ("kept_and_left_out", "histogram", "cumulative", "how_many"):
        with pytest.raises(FileNotFoundError, match="Nothing to show: "):
            draw(work, finding, name)


def test_a_window_stays_in_its_picture():
    mask = np.zeros((100, 80), bool)
    mask[98:, 0] = True
    rows, cols = making.around(mask, 64)
    assert (rows, cols) == (slice(36, 100), slice(0, 64))


@pytest.mark.parametrize("pixel_size_nm", [0.7, 5.0, 130.0])
def test_a_scale_bar_is_a_round_number_of_nanometres(pixel_size_nm):
    figure, (axes,) = panels.start(1, columns=1, height=2)
    panels.scale_bar(axes, (100, 200), pixel_size_nm)
    (bar,) = axes.patches
    (text,) = axes.texts
    number, unit = text.get_text().split()
    length = float(number) * (1000 if unit == "µm" else 1)
    assert bar.get_width() * pixel_size_nm == pytest.approx(length)
    assert number.rstrip("0")[0] in "125" and 20 * pixel_size_nm <= length <= 40 * pixel_size_nm
    panels.scale_bar(axes, (100, 200), None)
    assert len(axes.patches) == 1


def test_the_work_folder_is_the_one_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMJAX_WORK", str(tmp_path / "mine"))
    assert notebook.open_work().path == tmp_path / "mine"
    monkeypatch.delenv("SEMJAX_WORK")
    ran = []
    monkeypatch.setattr(notebook.main, "main", lambda argv: ran.append(argv) or 0)
    assert notebook.open_work().path.name == "small" and len(ran) == 1
    monkeypatch.setattr(notebook.main, "main", lambda argv: 1)
    with pytest.raises(RuntimeError, match="could not be run"):
        notebook.open_work()
    monkeypatch.setattr(notebook, "FOUND", tmp_path)
    assert notebook.open_work().path == tmp_path


def test_stages_say_what_has_run(begun):
    table = notebook.stages(begun)
    assert table.loc["masks", "state"] == "done" and table.loc["score", "state"] == "not yet"


def execute(path: Path, folder: Path, monkeypatch, *, work: str | None = None, quick=False):
    """Runs a notebook in a folder; returns its cells."""
    if work is not None:
        monkeypatch.setenv("SEMJAX_WORK", work)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    read = nbformat.read(path, as_version=4)
    for cell in read.cells if quick else []:
        cell.source = re.sub(r"\.(steps|n_masks) = \d+", r".\1 = 8", cell.source)
    options = {"resources": {"metadata": {"path": str(folder)}}, "kernel_name": "python3"}
    nbclient.NotebookClient(read, timeout=900, **options).execute()
    return [cell for cell in read.cells if cell.cell_type == "code"]


def kinds(cells):
    return [kind for cell in cells for output in cell.outputs for kind in output.get("data", {})]


@pytest.mark.slow
@pytest.mark.parametrize("path", LOOKING, ids=lambda path: path.stem)
def test_a_notebook_shows_what_is_there_and_says_what_is_not(path, begun, tmp_path, monkeypatch):
    cells = execute(path, tmp_path, monkeypatch, work=str(begun.path))
    shown = [cell for cell in cells if cell.source.startswith("show(")]
    for cell in shown:
        assert kinds([cell]), "something is shown, be it a sentence"
    if int(path.stem[0]) <= 2:
        assert any(kind.startswith("image/") for kind in kinds(cells))
    else:
        assert "text/markdown" in kinds(cells)


@pytest.mark.slow
def test_a_new_material_is_measured_from_its_files(tmp_path, monkeypatch):
    (path,) = set(NOTEBOOKS) - set(LOOKING)
    (tmp_path / "notebooks").mkdir()
    execute(path, tmp_path / "notebooks", monkeypatch, quick=True)
    assert (tmp_path / "runs/new_material/7_measure/particles.csv").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_equals_its_script(path):
    jupytext = pytest.importorskip("jupytext")
    read, script = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    assert path.stat().st_size < 1_000_000, "keep pictures small"
    for ours, theirs in zip(read.cells, script.cells, strict=True):
        assert (ours.cell_type, ours.source) == (theirs.cell_type, theirs.source), (
            f"{path.name} and its .py differ; run: jupytext --sync {path.name}"
        )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_outputs_are_pictures_of_the_phantom(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            assert output.output_type in ("display_data", "execute_result"), "no logs, no errors"
            text = " ".join(str(v) for k, v in output.data.items() if k.startswith("text/"))
            assert not re.search(r"/(home|work|tmp|Users)/", text)
            assert "Nothing to show" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_logic_of_its_own(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.With, ast.If, ast.For)
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                assert isinstance(node, allowed), cell.source


def test_every_figure_that_is_tested_is_shown():
    text = "".join(path.with_suffix(".py").read_text(encoding="utf-8") for path in NOTEBOOKS)
    for module, name, *_ in [*ALL, (finding, "outputs")]:
        assert f"{module.__name__.rsplit('.', 1)[1]}.{name}" in text


def test_there_are_six_notebooks():
    assert [path.stem[0] for path in NOTEBOOKS] == list("123456")
