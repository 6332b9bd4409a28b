"""Numbers that hold: odd label images, single and half precision, far from the origin."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from semjax.analysis import distribution, fits, quality, regions, scores, split, summary, threshold

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def label_images(draw, most=6):
    """Small pictures in which each pixel is of any particle, and numbers may be missing."""
    h, w = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    numbers = draw(st.lists(st.integers(0, most), min_size=h * w, max_size=h * w))
    return np.array(numbers, np.int32).reshape(h, w)


def corners(mask):
    row, col = np.nonzero(mask)
    return np.unique(
        np.concatenate([np.stack([row + a, col + b], 1) for a in (0, 1) for b in (0, 1)]), axis=0
    )


@quick
@given(label_images())
def test_any_labels_have_finite_sizes_that_fit_together(labels):
    image = labels * 0.1
    table = regions.measure(labels, image, pixel_size_nm=2.5)
    assert list(table["label"]) == [n for n in np.unique(labels) if n]
    assert np.isfinite(table.to_numpy(float)).all()
    assert table["area_px"].sum() == np.count_nonzero(labels)
    assert (table["min_feret_nm"] <= table["max_feret_nm"] + 1e-9).all()
    assert (table["min_feret_nm"] > 0).all() and (table["perimeter_nm"] > 0).all()
    assert table["solidity"].between(0, 1 + 1e-12).all() and (table["aspect_ratio"] >= 1).all()
    np.testing.assert_allclose(table["mean_intensity"], 0.1 * table["label"], rtol=1e-12)
    for row in table.itertuples():  # in double precision, from the definition
        points = corners(labels == row.label).astype(np.float64)
        hull = ConvexHull(points)
        assert row.max_feret_corners_nm == pytest.approx(2.5 * pdist(points).max(), rel=1e-12)
        assert row.solidity == pytest.approx(row.area_px / hull.volume, rel=1e-9)
        normals = hull.equations[:, :2]
        widths = np.ptp(points @ normals.T, axis=0)
        assert row.min_feret_corners_nm == pytest.approx(2.5 * widths.min(), rel=1e-9)


@quick
@given(label_images(), label_images())
def test_scores_are_those_of_exact_fractions(found, true):
    h, w = np.minimum(found.shape, true.shape)
    found, true = found[:h, :w], true[:h, :w]
    found, true = (np.unique(x, return_inverse=True)[1].reshape(x.shape) for x in (found, true))
    result = scores.score(found.astype(np.int32), true.astype(np.int32))
    tp, total = 0, Fraction(0)
    for i in range(1, found.max() + 1):
        for j in range(1, true.max() + 1):
            both = np.count_nonzero((found == i) & (true == j))
            either = np.count_nonzero((found == i) | (true == j))
            iou = Fraction(int(both), int(either))
            if iou > Fraction(1, 2):  # then no other can
                tp, total = tp + 1, total + iou
    assert result["tp"] >= tp and result["fp"] + result["tp"] == found.max()
    if result["tp"] == tp:
        assert result["iou_sum"] == pytest.approx(float(total), abs=1e-12)
    inside = np.count_nonzero((found > 0) & (true > 0)), np.count_nonzero((found > 0) | (true > 0))
    expected = Fraction(*map(int, inside)) if inside[1] else 1
    assert result["image_iou"] == pytest.approx(float(expected), abs=1e-12)
    assert all(0 <= result[name] <= 1 for name in ("f1_50", "f1_75", "mean_ap", "pq", "dice"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64, bool])
def test_measures_do_not_depend_on_the_number_type(kind, discs):
    image, labels = discs
    labels = np.minimum(labels, 1) if kind is bool else labels
    expected = regions.measure(labels.astype(np.int64), image.astype(np.float64), pixel_size_nm=3.0)
    found = regions.measure(labels.astype(kind), image, pixel_size_nm=3.0)
    np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=1e-12)


def test_a_particle_far_from_the_origin_is_as_large_as_near_it():
    """In single precision, second moments 16,000 px away would keep no digit."""
    rng = np.random.default_rng(0)
    particle = np.zeros((30, 40), np.int32)
    particle[5:22, 7:31] = rng.random((17, 24)) < 0.9
    far = np.zeros((60, 16_384), np.int32)
    far[20:50, 16_300:16_340] = particle
    here, there = regions.measure(particle), regions.measure(far)
    same = [c for c in here if c not in ("row", "col", "border_weight")]
    np.testing.assert_allclose(here[same].to_numpy(float), there[same].to_numpy(float), rtol=1e-9)
    assert there["col"].item() == pytest.approx(here["col"].item() + 16_300, abs=1e-8)


def test_ten_thousand_particles():
    labels = np.zeros((1000, 1000), np.int32)
    for n, (row, col) in enumerate(np.ndindex(100, 100), start=1):
        labels[10 * row + 1 : 10 * row + 7, 10 * col + 1 : 10 * col + 2 + n % 7] = n
    table = regions.measure(labels, labels, pixel_size_nm=2.0)
    assert list(table["label"]) == list(range(1, 10_001)) == list(table["mean_intensity"])
    widths = 1 + np.arange(1, 10_001) % 7
    np.testing.assert_array_equal(table["area_px"], 6 * widths)
    np.testing.assert_allclose(table["min_feret_corners_nm"], 2 * np.minimum(6, widths))
    assert scores.score(labels, labels)["tp"] == 10_000


@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_equal_sizes_have_a_distribution_without_spread(n, noise):
    sizes = 7.3 * (1 + noise * np.arange(n))
    told = distribution.summarize(sizes, None, bootstrap=20, seed=0, nano_nm=100.0)
    assert told["n"] == n
    for name in ("mean", "median", "d10", "d90", "geometric_mean"):
        assert told[name] == (pytest.approx(7.3) if n else None)
    assert fits.fit("weibull", sizes, np.ones(n), np.ones(9)) is None
    histogram = summary._histogram(sizes, np.ones(n))
    assert sum(histogram["counts"]) == n and np.isfinite(histogram["edges"]).all()


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (1, 300), (300, 1)])
def test_nothing_is_found_in_a_constant_image(value, shape):
    image = np.full(shape, value, np.uint8)
    assert not threshold.foreground(np.full(shape, -1, np.float32)).any()
    assert quality.edge_width(image) == 0 and quality.streaks(image) == 0
    assert not split.watershed(np.zeros(shape, bool), min_distance_px=9).any()
    nothing = np.zeros(shape, np.float32)
    assert not split.markers(nothing, nothing, nothing, threshold=0.5).any()
    assert len(regions.measure(np.zeros(shape, np.int32), image)) == 0
