"""Warping error: what remains of the difference of two masks when borders may move freely.

The truth is bent towards the prediction without a change of its topology, pixel by pixel; where it
cannot follow, the prediction has split or merged something. Source: Jain et al., Boundary learning
by optimization with topological constraints, CVPR 2010.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = np.ones((3, 3), bool)
_WINDOW_PX = 20


def _simple_points() -> np.ndarray:
    """Whether a pixel can be flipped without a change of topology, by its neighbours' bits, (256,).

    It can where its neighbours form exactly one 4-connected piece of foreground that touches it by
    a side and exactly one 8-connected piece of background. Source: Bertrand, Pattern Recognition
    Letters 15 (1994) 169.
    """
    simple = np.zeros(256, bool)
    for code in range(256):
        ring = np.zeros((3, 3), bool)
        for bit, (row, col) in enumerate(_AROUND):
            ring[row + 1, col + 1] = bool(code >> bit & 1)
        pieces = ndimage.label(ring)[0]
        beside = {pieces[0, 1], pieces[1, 0], pieces[1, 2], pieces[2, 1]} - {0}
        ground = ~ring
        ground[1, 1] = False
        simple[code] = len(beside) == 1 and ndimage.label(ground, _SQUARE)[1] == 1
    return simple


_SIMPLE = _simple_points()
# What is known of a pixel while a truth is bent. Bits 0 to 7: its neighbours, as it sees them when
# it is visited next; then whether it was flipped in this pass, and whether it is one that differs.
_FLIPPED, _DIFFERS = 1 << 8, 1 << 9
# A pixel's own bit in the state of each of its neighbours, and in its own.
_TELLS = np.array([*(1 << np.arange(8))[::-1], _FLIPPED], np.uint16)
# Pixels that differ are in order if they were flipped just when they could be.
_WRONG = np.concatenate([np.zeros(2 * _SIMPLE.size, bool), _SIMPLE, ~_SIMPLE])


def warp(truth: np.ndarray, probability: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """The truth bent towards `probability > threshold` by flips of simple points.

    Pixels that differ are visited by falling |probability - threshold|, ties by rows, again and
    again until a pass flips none. All visits of a pass, at all thresholds, are worked out at once:
    pixels whose flip contradicts what they see are corrected until there are none. A pixel sees the
    flips of earlier neighbours alone, so there is one outcome without a contradiction, that of
    visits one after the other.

    Args:
        truth: bool (h, w).
        probability: (h, w), in [0, 1].
        thresholds: n of them.

    Returns:
        bool (n, h, w).
    """
    truth = np.pad(np.asarray(truth, bool), 1)
    around = np.array([row * truth.shape[1] + col for row, col in (*_AROUND, (0, 0))])
    seen = np.zeros(truth.size, np.uint16)
    for bit, step in enumerate(around[:8]):
        seen |= np.roll(truth.ravel(), -step) * np.uint16(1 << bit)
    state = np.tile(seen, len(thresholds))
    tells = np.zeros_like(state)  # bits for the neighbours that are visited later, and the pixel
    for i, threshold in enumerate(thresholds):
        clear = np.pad(np.abs(probability - np.float32(threshold)), 1).ravel()
        at = np.flatnonzero(np.pad(probability > threshold, 1) != truth)
        here = at + i * truth.size
        state[here] |= _DIFFERS
        tells[here] = _FLIPPED
        for step, bit in zip(around[:8], _TELLS, strict=False):
            beside = clear[at + step]
            later = beside <= clear[at] if step > 0 else beside < clear[at]
            tells[here] |= bit * later
    todo = np.flatnonzero(_WRONG[state])
    while todo.size:
        visited = []
        while todo.size:
            visited.append(todo)
            beside = todo[:, None] + around
            np.bitwise_xor.at(state, beside, tells[todo][:, None] & _TELLS)
            todo = distinct(beside[_WRONG[state[beside]]])
        flips = distinct(np.concatenate(visited))
        flips = flips[state[flips] & _FLIPPED > 0]
        state[flips] ^= _FLIPPED | _DIFFERS
        # Earlier neighbours see the flips in the next pass.
        beside = flips[:, None] + around
        np.bitwise_xor.at(state, beside, ~tells[flips][:, None] & _TELLS)
        todo = distinct(beside[_WRONG[state[beside]]])
    differs = (state & _DIFFERS > 0).reshape(-1, *truth.shape)[:, 1:-1, 1:-1]
    return differs ^ [probability > threshold for threshold in thresholds]


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Sorted numbers (n,) without repeats, faster than `np.unique`; sorts the array given."""
    numbers.sort()
    new = np.empty(numbers.size, bool)
    new[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return numbers[new]


def warping_errors(
    probability: np.ndarray, truth: np.ndarray, thresholds: Sequence[float]
) -> list[float]:
    """Share of the image's pixels where the prediction splits or merges true particles.

    Pixels that still differ after `warp` count as a merge where the bent truth is background beside
    two particles or more, as a split where it is a particle beside another, or would fall apart
    within 20 px without the pixel. New and lost particles and holes do not count, so an empty
    prediction scores almost 0. Particles are 4-connected.

    Args:
        probability: of foreground, (h, w), in [0, 1].
        truth: (h, w), non-zero in particles.
        thresholds: a pixel is foreground above it.

    Returns:
        One number a threshold.

    Raises:
        ValueError: if the shapes differ.
    """
    if probability.shape != truth.shape:
        raise ValueError(
            f"probability and truth must have one shape, got {probability.shape} and {truth.shape}"
        )
    bent = warp(truth > 0, probability, thresholds)
    return [
        float(_count_errors(mask, probability > threshold) / truth.size)
        for mask, threshold in zip(bent, thresholds, strict=True)
    ]


def _count_errors(bent: np.ndarray, target: np.ndarray) -> int:
    labels = ndimage.label(np.pad(bent, 1))[0]
    rows, cols = np.nonzero(bent != target)
    near = np.stack([labels[rows + 1 + i, cols + 1 + j] for i, j in (*_AROUND, (0, 0))], axis=1)
    n_objects = _count_labels(near)
    unsure = (n_objects == 1) & (near == 0).any(axis=1) & bent[rows, cols]
    parted = _would_part(bent, rows[unsure], cols[unsure])
    return int(np.count_nonzero(n_objects >= 2) + np.count_nonzero(parted))


def _count_labels(labels: np.ndarray) -> np.ndarray:
    """Numbers of different labels in the rows of an array (n, m), background apart: (n,)."""
    labels = np.sort(labels, axis=1)
    return (np.diff(labels, axis=1, prepend=0) > 0).sum(axis=1)


def _would_part(mask: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Whether a pixel's neighbours lie in several pieces of its window without it, bool (n,)."""
    middle, size = _WINDOW_PX, 2 * _WINDOW_PX + 1
    windows = sliding_window_view(np.pad(mask, _WINDOW_PX), (size, size))[rows, cols]
    windows[:, middle, middle] = False
    within = np.zeros((3, 3, 3), bool)
    within[1] = _CROSS  # windows lie side by side and do not touch
    pieces = ndimage.label(windows, within)[0][:, middle - 1 : middle + 2, middle - 1 : middle + 2]
    return _count_labels(pieces.reshape(-1, 9)) > 1
