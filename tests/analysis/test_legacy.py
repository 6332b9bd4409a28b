"""The paper's scores against libraries, plain loops and cases known by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import watershed

from semjax.analysis import legacy


def blobs(seed, size=96, share=0.35):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(size, size)), 3)
    return field > np.quantile(field, 1 - share)


def probability(seed, truth):
    """A blurred, noisy version of a mask."""
    rng = np.random.default_rng(seed)
    noisy = ndimage.gaussian_filter(truth.astype(float), 1.5) + rng.normal(0, 0.1, truth.shape)
    return noisy.clip(0, 1).astype(np.float32)


def disc(centre, radius, size=64):
    rows, cols = np.mgrid[:size, :size]
    return (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 <= radius**2


def alone(labels):
    """Labels with a number of its own for every pixel of background."""
    labels = labels.astype(np.int64)
    ground = labels == 0
    labels[ground] = labels.max() + 1 + np.arange(np.count_nonzero(ground))
    return labels


@pytest.mark.parametrize("seed", range(3))
def test_rand_agrees_with_scikit_image(seed):
    truth = ndimage.label(blobs(seed))[0]
    labels = ndimage.label(probability(seed, truth > 0) > 0.45)[0]
    # scikit-image counts pairs without those of a pixel with itself: 1 / n apart.
    expected, _, _ = adapted_rand_error(truth, alone(labels), ignore_labels=(0,))
    n = np.count_nonzero(truth)
    assert 1 - legacy.rand_f1(labels, truth) == pytest.approx(expected, abs=30 / n)


@pytest.mark.parametrize("seed", range(3))
def test_information_agrees_with_scikit_image(seed):
    truth = ndimage.label(blobs(seed))[0]
    labels = ndimage.label(probability(seed, truth > 0) > 0.45)[0]
    split, merge = variation_of_information(truth, alone(labels), ignore_labels=(0,))
    of_truth = -sum(p * np.log2(p) for p in np.bincount(truth[truth > 0])[1:] / (truth > 0).sum())
    shared = of_truth - merge
    expected = 2 * shared / (shared + split + shared + merge)
    assert legacy.information_f1(labels, truth) == pytest.approx(expected, abs=1e-9)


def test_rand_and_information_of_known_splits():
    truth = np.array([[1, 1, 1, 1], [0, 0, 0, 0]])
    assert legacy.rand_f1(truth, truth) == legacy.information_f1(truth, truth) == 1
    halves = np.array([[1, 1, 2, 2], [0, 0, 0, 0]])
    # Pairs within the truth: 1; within the prediction and within both: 1/2. F1 = 2 / 3.
    assert legacy.rand_f1(halves, truth) == pytest.approx(2 / 3)
    two = np.array([[1, 1, 2, 2], [0, 0, 0, 0]])
    merged = np.array([[5, 5, 5, 5], [0, 0, 0, 0]])
    assert legacy.rand_f1(merged, two) == pytest.approx(2 / 3)
    assert legacy.information_f1(merged, two) == 0  # it says nothing about the truth
    assert legacy.rand_f1(np.zeros_like(truth), truth) == pytest.approx(2 * 0.25 / (0.25 + 1))


def loop_over_diagonals(mask):
    mask = mask.copy()
    for y in range(mask.shape[0] - 1):
        for x in range(mask.shape[1] - 1):
            a, b, c, d = mask[y, x], mask[y, x + 1], mask[y + 1, x], mask[y + 1, x + 1]
            if b and c and not a and not d:
                mask[y + 1, x] = False
            elif a and d and not b and not c:
                mask[y, x] = False
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_diagonals_are_opened_as_by_a_loop(seed):
    mask = np.random.default_rng(seed).random((30, 40)) < 0.4
    np.testing.assert_array_equal(legacy.open_diagonals(mask), loop_over_diagonals(mask))


def test_lines_part_touching_discs_and_markers_near_the_border_are_lost():
    pair = disc((30, 20), 12) | disc((30, 42), 12)
    cut = legacy.cut_lines(pair)
    assert ndimage.label(cut, np.ones((3, 3)))[1] == 2 and not (cut & ~pair).any()
    assert pair.sum() - cut.sum() < 30
    corner = disc((4, 4), 6)
    assert not legacy.cut_lines(corner).any()
    for constant in (np.zeros((20, 20), bool), np.ones((20, 20), bool)):
        np.testing.assert_array_equal(legacy.cut_lines(constant), constant)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_flooded_apart_are_those_of_one_flood(seed):
    mask = blobs(seed, size=160, share=0.5)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
    markers = np.zeros(mask.shape, int)
    peaks = peak_local_max(distance, min_distance=9, exclude_border=True)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    basins = watershed(-distance, markers, connectivity=1, mask=mask, watershed_line=True)
    filled = ndimage.binary_fill_holes(basins > 0, np.ones((3, 3)))
    assert (mask & (basins == 0)).any() and len(peaks) > 5
    np.testing.assert_array_equal(legacy.cut_lines(mask), loop_over_diagonals(filled))


def test_holes_are_filled_by_the_watershed():
    disc_with_hole = disc((32, 32), 20)
    disc_with_hole[32, 48] = False
    assert legacy.cut_lines(disc_with_hole)[32, 48]


def test_instance_iou_of_shifted_squares():
    truth, found = np.zeros((2, 40, 60), bool)
    truth[5:15, 5:15] = truth[20:30, 30:40] = True
    assert legacy.instance_iou(truth, truth) == 1
    found[5:15, 10:20] = True  # half of it over: 50 of 150 px
    assert legacy.instance_iou(found, truth) == pytest.approx(1 / 3)  # the missed one is free
    found[20:30, 30:40] = True
    assert legacy.instance_iou(found, truth) == pytest.approx(2 / 3)
    assert legacy.instance_iou(np.zeros_like(truth), truth) == 0
    assert legacy.instance_iou(found, np.zeros_like(truth)) == 0


def test_contours_by_hand():
    mask = np.zeros((12, 12), bool)
    mask[2:9, 2:9] = True
    mask[5, 5] = False  # a hole of one pixel: its contour runs through its four neighbours
    filled, area = legacy._filled_contours(mask)
    sizes = sorted(zip(filled.sum(axis=1).tolist(), area.tolist(), strict=True))
    assert sizes == [(5.0, 2.0), (49.0, 36.0)]
    mask[:] = False
    mask[3, 3:8] = True  # a line encloses nothing
    mask[8, 8] = mask[9, 9] = True  # one 8-connected component
    filled, area = legacy._filled_contours(mask)
    assert sorted(filled.sum(axis=1)) == [2, 5] and not area.any()
    assert legacy.instance_iou(mask, mask) == 0  # contours without an area are left out


def test_particle_in_a_ring_is_inside_it():
    mask = disc((32, 32), 20) & ~disc((32, 32), 12) | disc((32, 32), 3)
    filled, _ = legacy._filled_contours(mask)
    outer, hole = disc((32, 32), 20), disc((32, 32), 12)
    sizes = sorted(filled.sum(axis=1))
    assert sizes[0] == disc((32, 32), 3).sum() and sizes[2] == outer.sum()
    assert sizes[1] == ndimage.binary_dilation(hole).sum()


@pytest.mark.parametrize("gap", [7, 8, 9, 10])
def test_growing_leaves_lines_of_one_pixel(gap):
    mask = np.zeros((11, 12 + gap), bool)
    mask[3:8, 3:6] = mask[3:8, 6 + gap : 9 + gap] = True
    grown = legacy.grow(ndimage.label(mask)[0])
    for row in grown:
        (line,) = np.flatnonzero(row == 0)
        assert line == 6 + gap // 2
    assert set(np.unique(grown)) == {0, 1, 2} and (grown[:, 0] == 1).all()
    assert (legacy.grow(disc((20, 30), 5).astype(int)) == 1).all()
    assert not legacy.grow(np.zeros((5, 5), int)).any()


@pytest.mark.parametrize("seed", range(3))
def test_growing_keeps_particles_and_separates_them(seed):
    labels = ndimage.label(blobs(seed))[0]
    grown = legacy.grow(labels)
    np.testing.assert_array_equal(grown[labels > 0], labels[labels > 0])
    for a, b in ((grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])):
        touch = (a != b) & (a > 0) & (b > 0)
        assert not touch.any()


def grow_in_turn(labels):
    """All pixels of a distance at once, then one after the other where they touch others."""
    far = ndimage.distance_transform_cdt(labels == 0, metric="taxicab")
    far, labels = np.pad(far, 1, constant_values=-1), np.pad(labels, 1)
    for level in range(1, far.max() + 1):
        at = np.argwhere(far == level)
        for r, c in at:
            beside = [(r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)]
            near = {int(labels[p]) for p in beside if far[p] == level - 1} - {0}
            labels[r, c] = near.pop() if len(near) == 1 else 0
        for r, c in at:
            before = {int(labels[p]) for p in ((r - 1, c), (r, c - 1)) if far[p] == level} - {0}
            if before - {int(labels[r, c])}:
                labels[r, c] = 0
    return labels[1:-1, 1:-1]


@pytest.mark.parametrize("seed", range(6))
def test_growing_by_corrections_is_growing_in_turn(seed):
    rng = np.random.default_rng(seed)
    few, many = rng.random((2, 40, 50)) < np.array([0.01, 0.15])[:, None, None]
    for mask in (few, many, blobs(seed, size=50, share=0.2)):
        labels = ndimage.label(mask)[0]
        np.testing.assert_array_equal(legacy.grow(labels), grow_in_turn(labels))


def test_perfect_and_empty_predictions():
    truth = disc((30, 20), 11) | disc((30, 44), 9)
    perfect = legacy.best([legacy.score(truth.astype(np.float32), truth)])
    for name in ("image_iou", "youden", "instance_iou"):
        assert perfect[name] == pytest.approx(1, abs=0.03)  # diagonal contacts only
    errors = ("pixel_error", "warping_error", "rand_error", "rand_error_thinned")
    for name in (*errors, "information_error"):
        assert perfect[name] == 0
    empty = legacy.best([legacy.score(np.zeros((64, 64), np.float32), truth)])
    assert empty["image_iou"] == 0 and empty["youden"] == 0 and empty["pixel_error"] == 1
    assert empty["information_error"] > 0.3


def test_particles_that_touch_at_a_corner_are_one_contour_of_the_truth():
    """The paper's instance IoU takes contours of a 4-connected truth, which join at corners."""
    truth = np.zeros((64, 64), bool)
    truth[10:30, 10:30] = truth[30:50, 30:50] = True
    apart = np.zeros((64, 64), np.float32)
    apart[10:30, 10:30] = apart[31:50, 31:50] = 1.0
    found = legacy.best([legacy.score(apart, truth)])["instance_iou"]
    assert found == pytest.approx(0.5, abs=0.03)  # each is half of the one contour
    truth[30, 30] = False
    assert legacy.best([legacy.score(apart, truth)])["instance_iou"] > 0.9


def test_thresholds_are_swept():
    truth = disc((32, 32), 16)
    found = np.where(truth, 0.65, 0.35).astype(np.float32)
    scores = legacy.score(found, truth)
    assert [round(v, 2) for v in scores["pixel_error"]] == [
        scores["pixel_error"][0].__round__(2)
    ] * 4 + [0] * 3 + [1] * 4
    result = legacy.best([scores])
    assert result["threshold_image_iou"] == 0.4
    with pytest.raises(ValueError, match="one shape"):
        legacy.score(found, truth[1:])
    with pytest.raises(ValueError, match="at least one"):
        legacy.best([])
