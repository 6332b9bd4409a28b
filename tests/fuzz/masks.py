"""Masks, label images and class masks."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from semjax import truth
from semjax.analysis import regions, scores
from semjax.data import images, outlines
from tests.fuzz import damage, pictures

ENTRIES = (0, 1, 2, 3, 100, 255, 256, 40_000, 65_535, 2**20, 2**31 - 1, 2**31, 2**32 - 1, -1, 0.5)


def draw(rng: np.random.Generator) -> np.ndarray:
    """Rectangles of few or many values, on the ground or all over."""
    shape = damage.pick(rng, ((64, 64), (40, 90), (1, 1), (2, 2), (1, 50), (200, 200)))
    dtype = np.dtype(damage.pick(rng, "bool u1 u1 u2 u4 i2 i4 f4 f8".split()))
    picture = np.zeros(shape)
    for number in range(int(rng.integers(0, 30))):
        row, col = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        h, w = rng.integers(1, 20, 2)
        entry = number + 1 if rng.random() < 0.7 else damage.pick(rng, ENTRIES)
        picture[row : row + h, col : col + w] = entry
    if dtype.kind in "ui":
        picture = picture.clip(np.iinfo(dtype).min, np.iinfo(dtype).max)
    if rng.random() < 0.2:
        picture = picture > 0
    return picture.astype(dtype)


def make(rng: np.random.Generator, folder: Path) -> None:
    """One to three masks; a fifth are anything else that is a picture or not."""
    for number in range(int(rng.integers(1, 4))):
        path = folder / f"mask{number}{damage.pick(rng, images.SUFFIXES)}"
        if rng.random() < 0.2:
            pictures.write_tiff(rng, path, pictures.draw(rng))
            continue
        picture = draw(rng)
        if path.suffix in (".tif", ".tiff"):
            tifffile.imwrite(path, picture, compression=damage.pick(rng, (None, "zlib")))
        else:
            Image.fromarray(picture.astype(np.uint8) * damage.pick(rng, (1, 255))).save(path)
        if rng.random() < 0.2:
            damage.spoil_file(rng, path)


def read_outlines(folder: Path) -> None:
    """As the stage `shapes` reads them."""
    found = outlines.read_outlines(folder)
    assert found.dtype == np.uint8 and found.ndim == 3 and found.max() == 1


def read_truth(folder: Path) -> None:
    """As `score` and `semjax.score` read the truth; what comes must be measurable."""
    for path in images.list_images(folder):
        labels = truth.read_labels(path, (1, 1))
        labels = truth.read_labels(path, images.read_image(path).shape)
        assert labels.dtype == np.int32 and labels.min() >= 0
        table = regions.measure(labels)
        assert np.isfinite(table.to_numpy(float)).all()
        scores.score(scores.drop_specks(labels), scores.drop_specks(labels))


READERS = (read_outlines, read_truth)
