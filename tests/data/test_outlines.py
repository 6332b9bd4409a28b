"""Tests of reading outlines."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.draw import disk

from semjax.data import outlines


def draw(shape, *discs, value=255):
    picture = np.zeros(shape, np.uint8)
    for row, col, radius in discs:
        picture[disk((row, col), radius, shape=shape)] = value
    return picture


def test_centres_and_sorts(tmp_path):
    tifffile.imwrite(tmp_path / "p10.tif", draw((64, 64), (20, 40, 12)))
    tifffile.imwrite(tmp_path / "p2.tif", draw((40, 50), (30, 12, 6)))
    found = outlines.read_outlines(tmp_path)
    assert found.shape == (2, 32, 32)  # 23 px rounded up
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 1}
    assert found[0].sum() < found[1].sum()
    for outline in found:
        rows, cols = np.nonzero(outline)
        assert abs(rows.min() + rows.max() - 31) <= 1
        assert abs(cols.min() + cols.max() - 31) <= 1


def test_any_values_thresholded_in_the_middle(tmp_path):
    blurred = np.clip(12 - np.hypot(*np.mgrid[-20:20, -20:20]), 0, 4) * 1000 + 500
    tifffile.imwrite(tmp_path / "a.tif", blurred.astype(np.float32))
    found = outlines.read_outlines(tmp_path)[0]
    assert found.sum() == (blurred > 2500).sum()


def test_holes_filled_specks_dropped(tmp_path):
    picture = draw((48, 48), (24, 24, 15))
    whole = picture.astype(bool).sum()
    picture[20:25, 20:25] = 0
    picture[1, 1] = picture[46, 3] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert outlines.read_outlines(tmp_path).sum() == whole


def test_touching_the_border_is_kept(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", draw((32, 32), (0, 16, 10)))
    assert outlines.read_outlines(tmp_path, outline_px=64).shape == (1, 64, 64)


def test_box_of_the_largest_rounded_up(tmp_path):
    picture = np.zeros((64, 64), np.uint8)
    picture[5:59, 20:30] = 1
    tifffile.imwrite(tmp_path / "a.tif", picture)
    assert outlines.read_outlines(tmp_path).shape == (1, 64, 64)


@pytest.mark.parametrize(
    "picture, message",
    [
        (np.zeros((32, 32), np.uint8), "a.tif is empty"),
        (np.full((32, 32), 255, np.uint8), "a.tif is empty"),
        (draw((64, 64), (15, 15, 8), (45, 45, 8)), "a.tif shows 2 particles"),
        (255 - draw((64, 64), (32, 32, 8)), "invert"),
        (draw((64, 64), (32, 32, 20)), "larger than outline_px=32"),
    ],
)
def test_unusable_pictures(tmp_path, picture, message):
    tifffile.imwrite(tmp_path / "a.tif", picture)
    with pytest.raises(ValueError, match=message):
        outlines.read_outlines(tmp_path, outline_px=32)


def test_unusable_folder_and_size(tmp_path):
    with pytest.raises(ValueError, match="no images in"):
        outlines.read_outlines(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        outlines.read_outlines(tmp_path / "missing")
    with pytest.raises(ValueError, match="multiple of 16"):
        outlines.read_outlines(tmp_path, outline_px=40)
