"""Warping error: what remains of the difference of two masks when borders may move freely.

The truth is bent towards the prediction without a change of its topology, pixel by pixel; where it
cannot follow, the prediction has split or merged something. Source: Jain et al., Boundary learning
by optimization with topological constraints, CVPR 2010.
"""

import numpy as np
from scipy import ndimage

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_BITS = 1 << np.arange(8)
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


def warp(truth: np.ndarray, probability: np.ndarray, *, threshold: float) -> np.ndarray:
    """The truth bent towards `probability > threshold` by flips of simple points, bool (h, w).

    Pixels that differ are visited by falling |probability - threshold|, again and again until their
    number stays the same. A flip depends on the eight neighbours alone, so all pixels that come
    before each of their unvisited neighbours are visited at once, and the result is that of one
    after the other.
    """
    target = np.pad(probability > threshold, 1)
    warped = np.pad(np.asarray(truth, bool), 1)
    width = target.shape[1]
    around = np.array([row * width + col for row, col in _AROUND])
    clear = np.pad(np.abs(probability - np.float32(threshold)), 1).ravel()
    flat, goal = warped.ravel(), target.ravel()
    # Pieces of the difference do not touch: one that a pass has left as it was is done with.
    pieces, n_pieces = ndimage.label(warped != target, _SQUARE)
    pieces = pieces.ravel()
    place = np.full(flat.size, -1)  # in the order of visits; -1 for pixels that are not visited
    todo = np.flatnonzero(pieces)
    todo = todo[np.argsort(-clear[todo], kind="stable")]
    while todo.size:
        place[todo] = np.arange(todo.size)
        beside = place[todo[:, None] + around]  # places of the neighbours
        place[todo] = -1
        later = beside > np.arange(todo.size)[:, None]
        waits = ((beside >= 0) & ~later).sum(axis=1)  # for so many neighbours
        changed = np.zeros(n_pieces + 1, bool)
        now = np.flatnonzero(waits == 0)
        while now.size:
            pixels = todo[now]
            flips = pixels[_SIMPLE[flat[pixels[:, None] + around] @ _BITS]]
            flat[flips] = ~flat[flips]
            changed[pieces[flips]] = True
            freed, times = np.unique(beside[now][later[now]], return_counts=True)
            waits[freed] -= times
            now = freed[waits[freed] == 0]
        todo = todo[changed[pieces[todo]] & (flat[todo] != goal[todo])]
    return flat.reshape(target.shape)[1:-1, 1:-1]


def warping_error(probability: np.ndarray, truth: np.ndarray, *, threshold: float) -> float:
    """Share of the image's pixels where the prediction splits or merges true particles.

    Pixels that still differ after `warp` count as a merge where the bent truth is background beside
    two particles or more, as a split where it is a particle beside another, or would fall apart
    within 20 px without the pixel. New and lost particles and holes do not count, so an empty
    prediction scores almost 0. Particles are 4-connected.

    Args:
        probability: of foreground, (h, w), in [0, 1].
        truth: (h, w), non-zero in particles.
        threshold: a pixel is foreground above it.

    Raises:
        ValueError: if the shapes differ.
    """
    if probability.shape != truth.shape:
        raise ValueError(
            f"probability and truth must have one shape, got {probability.shape} and {truth.shape}"
        )
    bent = warp(truth > 0, probability, threshold=threshold)
    labels = ndimage.label(np.pad(bent, 1))[0]
    rows, cols = np.nonzero(bent != (probability > threshold))
    near = np.stack([labels[rows + 1 + i, cols + 1 + j] for i, j in (*_AROUND, (0, 0))], axis=1)
    near.sort(axis=1)
    new = np.diff(near, axis=1, prepend=0) > 0
    n_objects = new.sum(axis=1)
    errors = np.count_nonzero(n_objects >= 2)
    unsure = (n_objects == 1) & (near[:, 0] == 0) & bent[rows, cols]
    for row, col in zip(rows[unsure], cols[unsure], strict=True):
        top, left = max(row - _WINDOW_PX, 0), max(col - _WINDOW_PX, 0)
        part = bent[top : row + _WINDOW_PX + 1, left : col + _WINDOW_PX + 1].copy()
        part[row - top, col - left] = False
        pieces = np.pad(ndimage.label(part)[0], 1)
        r, c = row - top + 1, col - left + 1
        errors += np.unique(pieces[r - 1 : r + 2, c - 1 : c + 2]).size > 2
    return float(errors / truth.size)
