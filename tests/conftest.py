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
