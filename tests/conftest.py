"""Set-up and pictures that many tests share."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Before any test imports pyplot, which would look for a display.
os.environ.setdefault("MPLBACKEND", "agg")
# No test reads or fills the user's folder of compiled programs.
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""

import jax
import numpy as np
import pytest
import tifffile

from semjax import models, networks
from tests import bright as bright_model

# Most programs run once or a few times here: compiling them well takes longer than it saves. Tests
# that start a process of their own run what users run.
jax.config.update("jax_disable_most_optimizations", True)
# A forgotten axis must not be repaired in silence.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    """A JAX key, the same in every test."""
    return jax.random.key(0)


@pytest.fixture
def discs():
    """A picture of six discs, one at the border: float32 (96, 128) in [-1, 1], and its labels."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:96, :128]
    labels = np.zeros((96, 128), np.int32)
    centres = [(20, 20, 9), (22, 64, 12), (30, 100, 10), (70, 30, 14), (72, 80, 8), (95, 110, 9)]
    for label, (row, col, radius) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = label
    image = np.where(labels > 0, 0.5, -0.6) + rng.normal(0, 0.05, labels.shape)
    return image.clip(-1, 1).astype(np.float32), labels


@pytest.fixture
def bright(tmp_path, monkeypatch):
    """A model folder, trained on pixels of 5 nm: bright particles of 10 to 40 px are found."""
    monkeypatch.setitem(networks.SEGMENTERS, "bright", bright_model.Bright)
    bright_model.write_parts(tmp_path / "trained")
    files = {part: tmp_path / "trained" / part for part in bright_model.PARTS}
    parts = {part: models.predict.load(folder) for part, folder in files.items()}
    recipe, trained = bright_model.RECIPE, bright_model.TRAINED
    made = models.Model(tmp_path, recipe, trained, {}, files, **parts, hash="")
    models.bundle(made, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def write_image():
    """Writes a picture in [-1, 1] as TIFF of 8 bits, with ImageJ's tags if it has a pixel size."""

    def write(path, image, pixel_size_nm=5.0):
        path.parent.mkdir(parents=True, exist_ok=True)
        tags = {}
        if pixel_size_nm is not None:
            tags = {"imagej": True, "metadata": {"unit": "nm"}}
            tags["resolution"] = (1 / pixel_size_nm, 1 / pixel_size_nm)
        tifffile.imwrite(path, np.rint((image + 1) * 127.5).astype(np.uint8), **tags)
        return path

    return write
