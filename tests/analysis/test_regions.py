import time

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops_table

from semjax.analysis import feret, regions, scores


def paint_ellipse(a, b, angle, size=80, centre=(0.0, 0.0)):
    row, column = np.mgrid[:size, :size] - size / 2
    row, column = row - centre[0], column - centre[1]
    u = column * np.cos(angle) - row * np.sin(angle)  # counter-clockwise as seen
    v = column * np.sin(angle) + row * np.cos(angle)
    return ((u / a) ** 2 + (v / b) ** 2 < 1).astype(np.int32)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 170])
def test_ellipse(degrees):
    labels = paint_ellipse(24, 12, np.deg2rad(degrees), centre=(3.3, -2.4))
    p = regions.measure(labels).iloc[0]
    assert p.orientation_deg == pytest.approx(degrees, abs=1)
    assert (p.row, p.col) == pytest.approx((43.3, 37.6), abs=0.1)
    assert p.aspect_ratio == pytest.approx(2, rel=0.02)
    assert p.area_px == pytest.approx(np.pi * 24 * 12, rel=0.02)
    assert p.perimeter_px == pytest.approx(116.3, rel=0.02)
    assert p.min_feret_px == pytest.approx(24, abs=0.7)
    assert p.max_feret_px == pytest.approx(48, abs=0.7)
    assert p.equivalent_circular_diameter_px == pytest.approx(2 * (24 * 12) ** 0.5, rel=0.01)
    assert p.solidity > 0.95 and not p.border


@pytest.mark.parametrize("radius", [6, 10, 20, 35])
def test_perimeter_and_circularity_of_discs(radius):
    rng = np.random.default_rng(0)
    found = [
        regions.measure(paint_ellipse(radius, radius, 0, centre=rng.uniform(-0.5, 0.5, 2))).iloc[0]
        for _ in range(20)
    ]
    assert np.mean([p.perimeter_px for p in found]) == pytest.approx(2 * np.pi * radius, rel=0.01)
    assert np.mean([p.circularity for p in found]) == pytest.approx(1, abs=0.02)
    assert np.mean([p.aspect_ratio for p in found]) == pytest.approx(1, abs=0.05)


@pytest.fixture
def crowd():
    rng = np.random.default_rng(2)
    row, column = np.mgrid[:200, :260]
    labels = np.zeros((200, 260), np.int32)
    for i in range(1, 60):
        r, c, radius = rng.uniform(0, 200), rng.uniform(0, 260), rng.uniform(3, 16)
        labels[(row - r) ** 2 + 0.5 * (column - c) ** 2 < radius**2] = i
    return scores.drop_specks(labels)


def test_agrees_with_scikit_image(crowd):
    image = np.random.default_rng(0).uniform(0, 255, crowd.shape).astype(np.float32)
    found = regions.measure(crowd, image)
    names = ("area", "centroid", "axis_major_length", "axis_minor_length", "intensity_mean")
    names += ("equivalent_diameter_area",)
    known = pd.DataFrame(regionprops_table(crowd, image, properties=names))
    assert np.allclose(found[["row", "col"]], known[["centroid-0", "centroid-1"]])
    assert np.allclose(found.area_px, known.area)
    # Its moments are of points at the pixels' centres, ours of squares.
    axes = [known[f"axis_{name}_length"] ** 2 / 16 + 1 / 12 for name in ("major", "minor")]
    assert np.allclose(found.aspect_ratio, np.sqrt(axes[0] / axes[1]))
    assert np.allclose(found.mean_intensity, known.intensity_mean, rtol=1e-5)
    assert np.allclose(found.equivalent_circular_diameter_px, known.equivalent_diameter_area)


def test_touching_particles_are_measured_each_on_its_own(crowd):
    together = regions.measure(crowd).set_index("label")
    for i in (1, 5, 17):
        alone = regions.measure((crowd == i).astype(np.int32)).iloc[0]
        assert np.allclose(together.loc[i].astype(float), alone.drop("label").astype(float))


def test_border_particles_are_marked():
    labels = np.zeros((20, 20), np.int32)
    labels[0:4, 8:12], labels[8:12, 16:20], labels[8:12, 8:12] = 1, 2, 3
    assert regions.measure(labels).border.tolist() == [True, True, False]


def test_pixel_size_scales_lengths_and_areas(crowd):
    px, nm = regions.measure(crowd), regions.measure(crowd, pixel_size_nm=7.34375)
    assert np.allclose(nm.area_nm2, px.area_px * 7.34375**2)
    for name in px.columns[px.columns.str.endswith("_px")].drop("area_px"):
        assert np.allclose(nm[name.replace("_px", "_nm")], px[name] * 7.34375)
    for name in ("row", "col", "aspect_ratio", "solidity", "circularity", "area_px"):
        assert np.array_equal(nm[name], px[name])


def test_pixel_corners_stand_beside(crowd):
    corners = feret.measure(crowd, contour="corners")
    found = regions.measure(crowd)
    assert np.array_equal(found.min_feret_corners_px, corners.min_feret)
    assert (found.min_feret_px < found.min_feret_corners_px).all()
    assert found.solidity.between(0, 1).all()


def test_missing_numbers_and_empty_labels():
    labels = np.zeros((9, 9), np.uint16)
    labels[2:5, 2:5] = 3
    assert regions.measure(labels, labels.astype(np.float32)).label.tolist() == [3]
    empty = regions.measure(np.zeros((9, 9), np.int32), np.zeros((9, 9)), pixel_size_nm=2.0)
    assert len(empty) == 0 and "min_feret_nm" in empty and "mean_intensity" in empty


def test_one_pixel_has_finite_numbers():
    assert np.isfinite(regions.measure(np.ones((1, 1), np.int32)).astype(float)).all(axis=None)


def test_clear_errors():
    with pytest.raises(ValueError, match="two-dimensional"):
        regions.measure(np.zeros((2, 2, 1), np.int32))
    with pytest.raises(ValueError, match="shape"):
        regions.measure(np.zeros((2, 2), np.int32), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="pixel_size_nm"):
        regions.measure(np.zeros((2, 2), np.int32), pixel_size_nm=0.0)


def test_a_full_micrograph_takes_less_than_a_second():
    row, column = np.mgrid[:712, :1024]
    cell = (row // 35) * 30 + column // 35 + 1
    inside = (row % 35 - 17) ** 2 + (column % 35 - 17) ** 2 < 225
    labels = np.where(inside & (cell <= 600), cell, 0).astype(np.int32)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        regions.measure(labels, row.astype(np.float32))
        scores.score(labels, labels)
        times.append(time.perf_counter() - start)
    assert min(times) < 1
