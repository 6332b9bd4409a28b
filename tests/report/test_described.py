"""What the size report computes of label images and probabilities."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from semjax.report import described, measured

THRESHOLD = {"settings": {"thresholds": {"segmenter": 0.5}}}


def add_probabilities(folder, sigma):
    (folder / "probability").mkdir(exist_ok=True)
    for path in (folder / "labels").iterdir():
        soft = ndimage.gaussian_filter((tifffile.imread(path) > 0).astype(float), sigma)
        tifffile.imwrite(folder / "probability" / path.name, np.rint(255 * soft).astype(np.uint8))


def segmentation(folder):
    found = described.describe(measured.read(folder, "a")).described["uncertainty"]
    return next(row for row in found["rows"] if "segmentation" in row["source"])


def test_the_threshold_counts_the_more_the_softer_the_edges(make_folder, tmp_path):
    folder = make_folder(tmp_path / "m", **THRESHOLD)
    assumed = segmentation(folder)
    found = []
    for sigma in (0.7, 1.5):
        add_probabilities(folder, sigma)
        found.append(segmentation(folder))
    sharp, soft = (row["relative_standard_uncertainty"] for row in found)
    assert 0 < sharp < soft
    assert assumed["how"] != found[0]["how"] == found[1]["how"]


def test_probabilities_of_some_images_or_without_a_threshold_are_left_alone(make_folder, tmp_path):
    assumed = segmentation(make_folder(tmp_path / "bare"))["how"]
    known = make_folder(tmp_path / "known", **THRESHOLD)
    add_probabilities(known, 1.0)
    next((known / "probability").iterdir()).unlink()
    unknown = make_folder(tmp_path / "unknown")
    add_probabilities(unknown, 1.0)
    assert segmentation(known)["how"] == segmentation(unknown)["how"] == assumed


def test_a_damaged_probability_is_named(make_folder, tmp_path):
    folder = make_folder(tmp_path / "m", **THRESHOLD)
    add_probabilities(folder, 1.0)
    path = next((folder / "probability").iterdir())
    path.write_bytes(b"no TIFF")
    with pytest.raises(ValueError, match="cannot read image .*probability"):
        described.describe(measured.read(folder, "a"))
