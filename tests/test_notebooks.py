import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from semjax.report import figures

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def make_work(work: Path) -> None:
    """A few artifacts of some stages, as they lie in a work folder."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 9, (5, 32, 48), dtype=np.uint16)
    images = random.integers(0, 256, (5, 32, 48), dtype=np.uint8)
    for stage in ("1_shapes", "2_masks", "3_translate", "7_measure/overlays"):
        (work / stage).mkdir(parents=True)
    np.savez(work / "1_shapes" / "outlines.npz", outlines=(labels[:, :, :32] > 4).astype(np.uint8))
    metrics = [{"step": step, "loss": 1 / step} for step in (10, 20, 30)]
    (work / "1_shapes" / "metrics.jsonl").write_text("\n".join(map(json.dumps, metrics)))
    for path, stack in [
        ("2_masks/labels.tif", labels),
        ("2_masks/masks.tif", images),
        ("3_translate/fakes.tif", images),
    ]:
        tifffile.imwrite(work / path, stack, compression="zlib", photometric="minisblack")
    figures.write_png(work / "7_measure" / "overlays" / "a.png", images[0])
    (work / "7_measure" / "particles.csv").write_text("image,min_feret_nm\na,81.5\n")


def execute(path: Path, work: Path, monkeypatch) -> list[str]:
    """Runs a notebook on a work folder; returns the kinds of all that it displayed."""
    monkeypatch.setenv("SEMJAX_WORK", str(work))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    options = {"resources": {"metadata": {"path": str(path.parent)}}, "kernel_name": "python3"}
    nbclient.NotebookClient(notebook, timeout=120, **options).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return [kind for output in outputs for kind in output.get("data", {})]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_what_is_there(path, tmp_path, monkeypatch):
    make_work(tmp_path)
    kinds = execute(path, tmp_path, monkeypatch)
    assert kinds.count("image/png") == 5
    assert "text/html" in kinds, "the table of particles"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_on_an_empty_folder(path, tmp_path, monkeypatch):
    assert "image/png" not in execute(path, tmp_path, monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_equals_its_script(path):
    jupytext = pytest.importorskip("jupytext")
    notebook, script = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    assert path.stat().st_size < 100_000, "commit notebooks without their outputs"
    for ours, theirs in zip(notebook.cells, script.cells, strict=True):
        assert (ours.cell_type, ours.source) == (theirs.cell_type, theirs.source), (
            f"{path.name} and its .py differ; run: jupytext --sync {path.name}"
        )


def test_there_are_notebooks():
    assert NOTEBOOKS
