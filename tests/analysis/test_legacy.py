"""The paper's scores against libraries, plain loops and cases known by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information

from semjax.analysis import legacy, warping


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
    grown = legacy.grow(mask)
    for row in grown:
        (line,) = np.flatnonzero(row == 0)
        assert line == 6 + gap // 2
    assert set(np.unique(grown)) == {0, 1, 2} and (grown[:, 0] == 1).all()
    assert (legacy.grow(disc((20, 30), 5)) == 1).all()
    assert not legacy.grow(np.zeros((5, 5), bool)).any()


@pytest.mark.parametrize("seed", range(3))
def test_growing_keeps_particles_and_separates_them(seed):
    mask = blobs(seed)
    labels, grown = ndimage.label(mask)[0], legacy.grow(mask)
    np.testing.assert_array_equal(grown[mask], labels[mask])
    for a, b in ((grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])):
        touch = (a != b) & (a > 0) & (b > 0)
        assert not touch.any()


def warp_in_turn(truth, probability, threshold):
    warped, target = np.pad(truth, 1), np.pad(probability > threshold, 1)
    clear = np.pad(np.abs(probability - np.float32(threshold)), 1)
    left = -1
    while True:
        rows, cols = np.nonzero(warped != target)
        if len(rows) in (0, left):
            return warped[1:-1, 1:-1]
        left = len(rows)
        for i in np.argsort(-clear[rows, cols], kind="stable"):
            r, c = rows[i], cols[i]
            code = sum(
                int(warped[r + i, c + j]) << bit for bit, (i, j) in enumerate(warping._AROUND)
            )
            if warping._SIMPLE[code]:
                warped[r, c] = not warped[r, c]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_warping_in_parallel_is_warping_in_turn(seed, threshold):
    truth = blobs(seed, size=48)
    found = probability(seed, truth)
    expected = warp_in_turn(truth, found, threshold)
    np.testing.assert_array_equal(warping.warp(truth, found, threshold=threshold), expected)


@pytest.mark.parametrize("seed", range(4))
def test_warping_keeps_the_topology(seed):
    truth = blobs(seed)
    bent = warping.warp(truth, probability(seed, truth), threshold=0.5)
    assert ndimage.label(bent)[1] == ndimage.label(truth)[1]
    square = np.ones((3, 3))
    assert ndimage.label(~np.pad(bent, 1), square)[1] == ndimage.label(~np.pad(truth, 1), square)[1]


def test_warping_error_forgives_shifts_and_counts_splits_and_merges():
    def error(found, truth):
        return warping.warping_error(found.astype(np.float32), truth, threshold=0.5) * truth.size

    one, two = disc((32, 32), 14), disc((32, 14), 10) | disc((32, 46), 10)
    assert error(one, one) == 0
    assert error(disc((34, 30), 15), one) == 0  # moved and grown
    split = one.copy()
    split[32] = False
    assert error(split, one) == 1  # all but one pixel of the cut can be opened
    merged = two.copy()
    merged[32, 14:46] = True
    assert error(merged, two) == 1
    hole = one.copy()
    hole[32, 32] = False
    assert error(hole, one) == 0
    assert error(np.zeros_like(one), one) == 0  # as the paper's: nothing is no error


def test_perfect_and_empty_predictions():
    truth = disc((30, 20), 11) | disc((30, 44), 9)
    perfect = legacy.best([legacy.score(truth.astype(np.float32), truth)])
    for name in ("image_iou", "youden", "instance_iou"):
        assert perfect[name] == pytest.approx(1, abs=0.03)  # diagonal contacts only
    for name in ("pixel_error", "warping_error", "rand_error", "rand_error_thinned"):
        assert perfect[name] == 0
    empty = legacy.best([legacy.score(np.zeros((64, 64), np.float32), truth)])
    assert empty["image_iou"] == 0 and empty["youden"] == 0 and empty["pixel_error"] == 1


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
