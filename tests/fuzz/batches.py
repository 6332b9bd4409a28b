"""The command line: folders in which good files lie among bad ones."""

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from semjax import batch, main
from tests.fuzz import models, pictures


def make(rng: np.random.Generator, folder: Path) -> None:
    """A model, and images of which two are good."""
    models.write(folder / "model")
    images = folder / "images"
    images.mkdir()
    for number in range(int(rng.integers(1, 6))):
        place = folder / "one"
        place.mkdir()
        pictures.make(rng, place)
        for path in place.iterdir():
            path.rename(images / f"bad{number}{path.suffix}")
        place.rmdir()
    picture = np.full((48, 64), 40, np.uint8)
    picture[10:30, 12:40] = 200
    for name in ("good1", "good2"):
        tifffile.imwrite(images / f"{name}.tif", picture, photometric="minisblack")


def run(argv: list[str]) -> tuple[int, str]:
    """Exit code and all that is said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main.console(argv)
    assert code in (0, 1) and "Traceback" not in said.getvalue(), (code, said.getvalue())
    return code, said.getvalue()


def segment(folder: Path) -> None:
    """The good images are measured, whatever lies beside them."""
    real = batch.sample.write
    batch.sample.write = lambda given, path: path  # the report takes seconds, and has its own kind
    out = folder / "out"
    try:
        argv = ["segment", str(folder / "model"), str(folder / "images"), f"--out={out}"]
        code, said = run([*argv, "--pixel_size_nm=2"])
    finally:
        batch.sample.write = real
    images = pd.read_csv(out / "images.csv", dtype={"image": str}).set_index("image")
    assert set(images.index) >= {"good1", "good2"}, said
    assert (images.loc[["good1", "good2"], "particles"] == 1).all(), said
    given = batch.images.list_images(folder / "images")
    assert code == int(len(images) < len(given)), said


def inspect(folder: Path) -> None:
    """What can be read is looked at."""
    shutil.rmtree(folder / "seen", ignore_errors=True)
    code, said = run(["inspect", str(folder / "images"), f"--out={folder / 'seen'}"])
    assert "good1" in said, said


READERS = (segment, inspect)
