"""`semjax segment` of images with nothing, one, tiny or very many particles; its report, too."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from semjax import main


def picture(*boxes, shape=(96, 128)):
    """Grey ground with bright boxes of (row, col, height, width)."""
    found = np.full(shape, 60, np.uint8)
    for row, col, h, w in boxes:
        found[row : row + h, col : col + w] = 220
    return found


IMAGES = {
    "constant": picture(),
    "one": picture((30, 40, 20, 25)),
    "specks": picture(*((9 * i + 5, 12 * i + 6, 1, 1) for i in range(9))),
    "whole": picture((0, 0, 96, 128)),
    "pixel": picture(shape=(1, 1)),
    "line": picture((0, 100, 1, 30), shape=(1, 300)),
}


def segment(model, folder, pictures, *flags):
    for name, pixels in pictures.items():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "images" / f"{name}.tif", pixels, photometric="minisblack")
    argv = ["segment", str(model), str(folder / "images"), f"--out={folder / 'out'}", *flags]
    assert main.console(argv) == 0
    return pd.read_csv(folder / "out" / "images.csv").set_index("image")


def contents(folder):
    found = {p.relative_to(folder): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if name.name not in ("log.txt", ".lock", "report.html", "measured.json")
    }


@pytest.mark.parametrize("flags", [(), ("--pixel_size_nm=2.5", "--border=weights")])
def test_nothing_one_and_specks(bright, tmp_path, flags):
    images = segment(bright, tmp_path, IMAGES, *flags)
    assert images["particles"].to_dict() == {
        "constant": 0,
        "one": 1,
        "specks": 0,
        "whole": 0,  # as constant as the first
        "pixel": 0,
        "line": 1,
    }
    assert images.loc["one", "kept"] == 1 and images["kept"].sum() == 1
    out = tmp_path / "out"
    particles = pd.read_csv(out / "particles.csv")
    assert np.isfinite(particles.select_dtypes("number").to_numpy(float)).all()
    assert particles.set_index("image").loc["one", "area_px"] == 20 * 25
    told = json.loads((out / "distribution.json").read_text())["min_feret"]
    assert told["n"] == 1 and told["mean"] == told["median"] > 0 and told["mean_interval"] is None
    assert "A single particle." in (out / "report.html").read_text()


def test_a_folder_without_any_particle(bright, tmp_path):
    images = segment(bright, tmp_path, {"a": IMAGES["constant"], "b": IMAGES["pixel"]})
    assert list(images["particles"]) == [0, 0] and images["mean_min_feret_px"].isna().all()
    told = json.loads((tmp_path / "out" / "distribution.json").read_text())["min_feret"]
    assert told["n"] == 0 and told["mean"] is None
    assert "No particles." in (tmp_path / "out" / "report.html").read_text()


def test_the_same_command_gives_the_same_bytes_and_says_its_seed(bright, tmp_path):
    some = {name: IMAGES[name] for name in ("one", "specks")}
    for folder in ("a", "b"):
        segment(bright, tmp_path / folder, some)
    a, b = (contents(tmp_path / folder / "out") for folder in ("a", "b"))
    assert a.keys() == b.keys() and len(a) > 10
    assert {str(n) for n in a if a[n] != b[n]} <= {"done/one.json", "done/specks.json"}  # paths
    for name in ("one", "specks"):
        rows = [
            json.loads((tmp_path / folder / "out" / "done" / f"{name}.json").read_text())
            for folder in ("a", "b")
        ]
        for row in rows:
            row.pop("path")
        assert rows[0] == rows[1]
    measured = json.loads((tmp_path / "a" / "out" / "measured.json").read_text())
    assert measured["seed"] == 0


@pytest.mark.slow
def test_ten_thousand_particles(bright, tmp_path):
    places = [(12 * row + 4, 12 * col + 4) for row, col in np.ndindex(100, 100)]
    boxes = [(row, col, 4 + n % 4, 5) for n, (row, col) in enumerate(places)]
    images = segment(bright, tmp_path, {"many": picture(*boxes, shape=(1210, 1210))})
    assert images.loc["many", "particles"] == 10_000
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    assert particles["area_px"].sum() == sum(h * w for _, _, h, w in boxes)
    assert (tmp_path / "out" / "report.html").stat().st_size < 25e6
