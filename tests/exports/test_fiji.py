"""Tests of the exports for ImageJ: areas exact, names right, files replaced."""

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile

from semjax.analysis import contours, regions
from semjax.data import images, metadata
from semjax.exports import fiji

RANDOM = range(40)


def random_labels(seed):
    """Small label images with pieces, holes, single pixels, borders touched, numbers missing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, rng.integers(2, 7), rng.integers(1, 14, 2))
    coarse = np.kron(labels, np.ones(rng.integers(1, 4, 2), int))
    coarse[rng.random(coarse.shape) < 0.1] = 0
    return 3 * coarse.astype(np.int32)


def signed_area(path):
    """Positive for paths (x, y) that run clockwise as seen in the image (y down)."""
    x, y = path.astype(float).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def roi_paths(roi):
    paths = roi.coordinates(multi=True)
    return [path[:-1] if (path[0] == path[-1]).all() else path for path in paths]


@pytest.mark.parametrize("seed", RANDOM)
def test_rois_have_the_labels_area_and_name(tmp_path, seed):
    labels = random_labels(seed)
    path = tmp_path / "RoiSet.zip"
    numbers = np.setdiff1d(labels, 0)
    assert fiji.write_rois(path, labels) == numbers.size
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == [str(n) for n in numbers]
    for roi, number in zip(rois, numbers, strict=True):
        paths = roi_paths(roi)
        area = np.count_nonzero(labels == number)
        assert sum(signed_area(p) for p in paths) == area
        rows, cols = np.nonzero(labels == number)
        corners = np.concatenate(paths)
        assert (corners.min(axis=0) == (cols.min(), rows.min())).all()
        assert (corners.max(axis=0) == (cols.max() + 1, rows.max() + 1)).all()
        assert roi.composite == (len(paths) > 1)


@pytest.mark.parametrize("seed", RANDOM)
def test_paths_list_corners_only_and_run_along_pixel_sides(seed):
    labels = random_labels(seed)
    for paths in contours.trace(labels).values():
        for path in paths:
            step = np.roll(path, -1, axis=0) - path
            assert ((step != 0).sum(axis=1) == 1).all()  # along rows or columns
            assert ((step != 0) != (np.roll(step, 1, axis=0) != 0)).all()  # and turns every time


def test_pieces_and_holes():
    ring = np.ones((5, 5), np.uint8)
    ring[2, 2] = 0
    outer, hole = contours.trace(ring)[1]
    assert signed_area(outer[:, ::-1]) == 25
    assert signed_area(hole[:, ::-1]) == -1
    assert len(contours.trace(np.eye(3, dtype=np.int64))[1]) == 1  # corner to corner: one piece
    assert len(contours.trace(np.array([[7, 0, 7]]))[7]) == 2
    assert contours.trace(np.array([[0, 4]]))[4][0].tolist() == [[0, 1], [0, 2], [1, 2], [1, 1]]


def test_zip_is_replaced(tmp_path, discs):
    path = tmp_path / "rois" / "a.zip"
    path.parent.mkdir()
    assert fiji.write_rois(path, discs[1]) == 6
    assert fiji.write_rois(path, (discs[1] == 3).astype(np.int32)) == 1
    assert [roi.name for roi in roifile.roiread(path)] == ["1"]
    assert fiji.write_rois(path, np.zeros((4, 4), np.int32)) == 0
    assert roifile.roiread(path) == []
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2)), np.zeros((2, 2, 2), int), np.full((2, 2), -1)], ids=str
)
def test_no_labels(tmp_path, labels):
    with pytest.raises(ValueError, match="whole numbers from 0"):
        fiji.write_rois(tmp_path / "a.zip", labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "pixels, stored",
    [
        (np.eye(3, dtype=bool), np.uint8),
        (np.eye(3, dtype=np.uint8), np.uint8),
        (np.array([[0, 65535]], np.int32), np.uint16),
        (np.array([[0, 65536]], np.int32), np.float32),
        (np.array([[-1, 2]], np.int64), np.float32),
        (np.array([[0.5, 2.0]]), np.float32),
    ],
)
def test_tiff_keeps_values_and_pixel_size(tmp_path, pixels, stored):
    path = tmp_path / "a.tif"
    for size in (2.4801, None, 117.3):  # replaced each time
        fiji.write_tiff(path, pixels, pixel_size_nm=size)
        found = images.read_image(path)
        assert found.dtype == stored
        np.testing.assert_array_equal(found, pixels * (255 if pixels.dtype == bool else 1))
        if size is None:
            assert metadata.pixel_size_nm(path) is None
        else:
            assert metadata.pixel_size_nm(path) == (pytest.approx(size, rel=1e-6), "ImageJ tag")
        with tifffile.TiffFile(path) as file:
            assert file.is_imagej
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    "pixels, size, message",
    [
        (np.zeros((2, 2, 3)), 1.0, "rows and columns"),
        (np.zeros((2, 2)), 0.0, "positive"),
        (np.array([[2**24 + 1]]), 1.0, "do not fit"),
    ],
)
def test_unusable_tiff(tmp_path, pixels, size, message):
    with pytest.raises(ValueError, match=message):
        fiji.write_tiff(tmp_path / "a.tif", pixels, pixel_size_nm=size)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size, unit", [(2.5, "nm"), (None, "px")])
def test_results_table(discs, size, unit):
    image, labels = discs
    particles = regions.measure(labels, image, pixel_size_nm=size)
    table = fiji.results_table(particles, unit=unit)
    scale = size or 1.0
    assert table["Label"].tolist() == list("123456")
    np.testing.assert_allclose(table["Area"], scale**2 * particles["area_px"])
    np.testing.assert_allclose(table["X"][0], scale * 20.5)  # a pixel's centre is at a half
    np.testing.assert_allclose(table["Major"] * table["Minor"] * np.pi / 4, table["Area"])
    assert (table["Circ."] <= 1).all()
    assert (table["MinFeret"] <= table["Feret"]).all()
    particles.insert(0, "image", "field 1")
    assert fiji.results_table(particles, unit=unit)["Label"][2] == "field 1:3"


def test_results_table_without_brightness_or_rows():
    empty = regions.measure(np.zeros((4, 4), np.int32))
    table = fiji.results_table(empty, unit="px")
    assert isinstance(table, pd.DataFrame)
    assert len(table) == 0
    assert "Mean" not in table
    with pytest.raises(ValueError, match="'nm' or 'px'"):
        fiji.results_table(empty, unit="um")
