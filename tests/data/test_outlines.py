"""Tests of reading outlines."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage
from skimage.draw import disk

from semjax.data import images, outlines
from semjax.exports import fiji


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
        (255 - draw((64, 64), (15, 15, 8), (45, 45, 8), (63, 30, 5)), "invert"),
        (draw((64, 64), (0, 15, 8), (45, 63, 8)), "border cuts all outlines, as in .*a.tif"),
        (np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), "a.tif is no mask"),
        (255 - draw((64, 64), (32, 32, 8)), "invert"),
        (draw((64, 64), (32, 32, 20)), "larger than outline_px=32"),
    ],
)
def test_unusable_pictures(tmp_path, picture, message):
    tifffile.imwrite(tmp_path / "a.tif", picture)
    with pytest.raises(ValueError, match=message):
        outlines.read_outlines(tmp_path, outline_px=32)


def test_unusable_folder_and_size(tmp_path):
    with pytest.raises(ValueError, match="no outlines in"):
        outlines.read_outlines(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        outlines.read_outlines(tmp_path / "missing")
    tifffile.imwrite(tmp_path / "a.tif", draw((32, 32), (16, 16, 8)))
    with pytest.raises(ValueError, match="multiple of 16"):
        outlines.read_outlines(tmp_path, outline_px=40)


def micrograph(name, shape, size):
    raw = np.zeros(shape, np.uint8)
    return images.Micrograph(name, Path(name), raw.astype(np.float32), raw, size, "given", 0)


def areas(found):
    return sorted(int(particle.mask.sum()) for particle in found)


MANY = ((15, 15, 8), (20, 50, 10), (45, 20, 6), (45, 45, 12))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_mask_of_many_particles(tmp_path, suffix):
    picture = draw((64, 80), *MANY, (63, 10, 7))  # the last is cut by the border
    picture[20:25, 48:52] = 0  # a hole
    picture[2, 60] = 255  # a speck
    Image.fromarray(picture).save(tmp_path / f"a.{suffix}")
    found = outlines.fit(outlines.read(tmp_path))
    whole = [int(draw((64, 80), disc).astype(bool).sum()) for disc in MANY]
    assert areas(found) == sorted(whole)
    assert outlines.read_outlines(tmp_path).sum() == sum(whole)


def test_particles_that_touch_at_a_corner_are_two(tmp_path):
    picture = np.zeros((20, 20), np.uint8)
    picture[3:8, 3:8] = picture[8:14, 8:14] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert areas(outlines.read(tmp_path / "a.png")) == [25, 36]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_label_image_separates_what_touches(tmp_path, dtype):
    labels = np.zeros((40, 60), dtype)
    labels[5:15, 5:20] = 3
    labels[5:15, 20:30] = 7
    labels[20:30, 10:20] = 250
    labels[30:36, 55:] = 4  # cut by the border
    tifffile.imwrite(tmp_path / "a.tif", labels)
    found = outlines.fit(outlines.read(tmp_path))
    assert areas(found) == [100, 100, 150]


def test_colours_are_labels(tmp_path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[5:15, 5:20] = 255, 0, 0
    picture[5:15, 20:30] = 0, 0, 255
    picture[20:30, 10:20] = 0, 255, 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert areas(outlines.read(tmp_path)) == [100, 100, 150]


def test_soft_and_compressed_masks_are_no_label_images(tmp_path):
    sharp = draw((96, 120), (25, 25, 15), (60, 70, 20), (30, 90, 12))
    soft = ndimage.gaussian_filter(sharp.astype(float), 1.5).astype(np.uint8)
    for name, picture in (("soft.png", soft), ("lossy.jpg", sharp)):
        Image.fromarray(picture).save(tmp_path / name)
        found = outlines.read(tmp_path / name)
        exact = areas(outlines.fit(found))
        assert len(exact) == 3
        np.testing.assert_allclose(exact, [441, 709, 1257], rtol=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_rois_and_label_image_give_the_same_outlines(tmp_path, seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(160, 180)), 4)
    labels = ndimage.label(noise > 0.7 * noise.std())[0]
    labels[np.isin(labels, np.flatnonzero(np.bincount(labels.ravel()) < 30))] = 0
    fiji.write_rois(tmp_path / "a.zip", labels)
    fiji.write_tiff(tmp_path / "b.tif", labels, pixel_size_nm=None)
    speck = outlines.SPECK * np.bincount(labels.ravel())[1:].max()  # pictures have them, not ROIs
    rois = outlines.fit(
        [drawn for drawn in outlines.read(tmp_path / "a.zip") if drawn.mask.sum() > speck],
        [micrograph("a", labels.shape, None)],
    )
    picture = outlines.fit(outlines.read(tmp_path / "b.tif"))
    assert len(rois) == len(picture) > 0
    np.testing.assert_array_equal(outlines.arrange(rois), outlines.arrange(picture))


def test_folder_of_every_kind(tmp_path):
    Image.fromarray(draw((64, 80), *MANY)).save(tmp_path / "1.png")
    Image.fromarray(draw((30, 30), (14, 14, 9))).save(tmp_path / "2.png")
    fiji.write_rois(tmp_path / "3 RoiSet.zip", (draw((64, 64), (30, 30, 10)) > 0).astype(int))
    points = [[10, 10], [30, 10], [30, 20], [10, 20]]
    named = {"imagePath": "field.png", "imageHeight": 60, "imageWidth": 90}
    content = {"shapes": [{"points": points}], **named}
    (tmp_path / "4.json").write_text(json.dumps(content))
    noise = np.random.default_rng(0).integers(0, 255, (60, 90), np.uint8)
    for name in ("3.png", "field.png"):  # micrographs, by the names of what was drawn on them
        Image.fromarray(noise).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not for us")
    (tmp_path / ".hidden.zip").write_text("neither")
    found = outlines.read(tmp_path)
    assert [drawn.path.name for drawn in found] == ["1.png"] * 4 + [
        "2.png",
        "3 RoiSet.zip",
        "4.json",
    ]
    assert found[5].shape == found[6].shape == (60, 90)


def test_drawn_on_an_image_beside_of_known_pixel_size(tmp_path, caplog):
    disc = (draw((90, 90), (45, 45, 30)) > 0).astype(int)
    fiji.write_rois(tmp_path / "a.zip", disc)
    fiji.write_tiff(tmp_path / "a.tif", np.zeros((90, 90)), pixel_size_nm=2.0)
    found = outlines.read(tmp_path / "a.zip")
    assert found[0].pixel_size_nm == pytest.approx(2.0)
    with caplog.at_level(logging.WARNING, "absl"):
        (scaled,) = outlines.fit(found, [micrograph("other", (99, 99), 5.0)])
    assert scaled.mask.sum() == pytest.approx(disc.sum() * 0.4**2, rel=0.02)
    assert "a.zip was drawn at 2 nm per pixel, the micrographs have 5" in caplog.text


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.8, 1.3, 2.0, 3.1])
def test_rescaled_area_and_shape(tmp_path, factor):
    rows, cols = np.mgrid[:80, :120]
    ellipse = ((rows - 40) / 25) ** 2 + ((cols - 60) / 50) ** 2 < 1
    fiji.write_tiff(tmp_path / "a.tif", ellipse, pixel_size_nm=3.0 * factor)
    found = outlines.fit(outlines.read(tmp_path), [micrograph("b", (500, 500), 3.0)])
    mask = found[0].mask
    assert mask.sum() == pytest.approx(ellipse.sum() * factor**2, rel=0.04)
    np.testing.assert_allclose(mask.shape, (factor * 49, factor * 99), atol=1.01)


def test_which_pixel_size_counts(tmp_path):
    fiji.write_tiff(tmp_path / "a.tif", draw((60, 60), (30, 30, 20)), pixel_size_nm=4.0)
    drawn = outlines.read(tmp_path)
    area = areas(drawn)[0]

    def relative(pictures, **given):
        return areas(outlines.fit(drawn, pictures, **given))[0] / area

    same, coarse = micrograph("b", (90, 90), 4.01), micrograph("c", (90, 90), 8.0)
    assert relative([]) == 1
    assert relative([same]) == 1  # within a percent
    assert relative([micrograph("b", (90, 90), None)]) == 1
    assert relative([coarse]) == pytest.approx(1 / 4, rel=0.02)
    assert relative([same, coarse, coarse]) == pytest.approx(1 / 4, rel=0.02)  # the median
    assert relative([coarse], drawn_pixel_size_nm=8.0) == 1  # the user knows better
    on_own = [drawn[0]._replace(image="c", shape=None)]
    assert areas(outlines.fit(on_own, [coarse, coarse])) == [area]  # drawn on the micrograph


def test_border_of_the_micrograph(tmp_path):
    labels = np.zeros((60, 80), np.int32)
    labels[10:20, 10:20] = 1
    labels[45:55, 30:40] = 2  # reaches into the information bar
    labels[30:40, 70:] = 3
    fiji.write_rois(tmp_path / "a_RoiSet.zip", labels)
    drawn = outlines.read(tmp_path)
    assert len(outlines.fit(drawn)) == 3  # no image, no border
    assert areas(outlines.fit(drawn, [micrograph("a", (50, 80), None)])) == [100]
    assert len(outlines.fit(drawn, [micrograph("b", (50, 80), None)])) == 3


def test_vanishing_outline_is_named(tmp_path):
    fiji.write_tiff(tmp_path / "a.tif", draw((20, 20), (9, 9, 4)), pixel_size_nm=1.0)
    with pytest.raises(ValueError, match="a.tif vanishes.*data.outline_pixel_size_nm"):
        outlines.fit(outlines.read(tmp_path), [micrograph("b", (90, 90), 1000.0)])
