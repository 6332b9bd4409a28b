"""Bending a mask, against one pixel after the other, and what is counted as a split or a merge."""

import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import warping

THRESHOLDS = (0.0, 0.3, 0.6)


def blobs(seed, size=48, share=0.35):
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


@pytest.mark.parametrize("levels", [0, 255, 8, 2])
@pytest.mark.parametrize("seed", range(3))
def test_warping_at_once_is_warping_in_turn(seed, levels):
    truth = blobs(seed)
    found = probability(seed, truth)
    if levels:  # with plateaus, in which rows decide
        found = (np.ceil(found * levels) / levels).astype(np.float32)
        found[found == 0] = 0.5 / levels
    bent = warping.warp(truth, found, THRESHOLDS)
    for mask, threshold in zip(bent, THRESHOLDS, strict=True):
        np.testing.assert_array_equal(mask, warp_in_turn(truth, found, threshold))


@pytest.mark.parametrize("seed", range(3))
def test_warping_of_noise_is_warping_in_turn(seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.random((30, 40)) < 0.5, rng.random((30, 40))
    bent = warping.warp(truth, found, THRESHOLDS)
    for mask, threshold in zip(bent, THRESHOLDS, strict=True):
        np.testing.assert_array_equal(mask, warp_in_turn(truth, found, threshold))


@pytest.mark.parametrize("seed", range(4))
def test_warping_keeps_the_topology(seed):
    truth = blobs(seed, size=96)
    (bent,) = warping.warp(truth, probability(seed, truth), (0.5,))
    assert ndimage.label(bent)[1] == ndimage.label(truth)[1]
    square = np.ones((3, 3))
    assert ndimage.label(~np.pad(bent, 1), square)[1] == ndimage.label(~np.pad(truth, 1), square)[1]


def errors(found, truth):
    """Pixels of splits and merges."""
    (error,) = warping.warping_errors(found.astype(np.float32), truth, (0.5,))
    return error * truth.size


def test_shifts_are_forgiven_and_splits_and_merges_count():
    one, two = disc((32, 32), 14), disc((32, 14), 10) | disc((32, 46), 10)
    assert errors(one, one) == 0
    assert errors(disc((34, 30), 15), one) == 0  # moved and grown
    split = one.copy()
    split[32] = False
    assert errors(split, one) == 1  # all but one pixel of the cut can be opened
    merged = two.copy()
    merged[32, 14:46] = True
    assert errors(merged, two) == 1
    hole = one.copy()
    hole[32, 32] = False
    assert errors(hole, one) == 0
    assert errors(np.zeros_like(one), one) == 0  # as the paper's: nothing is no error


def test_errors_of_all_thresholds_are_those_of_each():
    truth = blobs(0)
    found = probability(1, truth)
    together = warping.warping_errors(found, truth, THRESHOLDS)
    alone = [warping.warping_errors(found, truth, (t,))[0] for t in THRESHOLDS]
    assert together == alone and len(set(together)) > 1
    with pytest.raises(ValueError, match="one shape"):
        warping.warping_errors(found, truth[1:], THRESHOLDS)


def test_windows_at_once_are_windows_in_turn():
    mask = blobs(3, size=90, share=0.5)
    mask[20:70, 45] = True
    rows, cols = np.nonzero(mask)
    expected = []
    for r, c in zip(rows, cols, strict=True):
        padded = np.pad(mask, 20)[r : r + 41, c : c + 41].copy()
        padded[20, 20] = False
        around = ndimage.label(padded)[0][19:22, 19:22]
        expected.append(np.unique(around[around > 0]).size > 1)
    assert 5 < sum(expected) < len(expected) / 2
    np.testing.assert_array_equal(warping._would_part(mask, rows, cols), expected)
