"""Corrections of a label image by hand: particles split, merged and taken away.

Every function returns a new label image and leaves all particles that it was not asked about as
they are, number and pixels. What is new gets numbers above all that there are.
"""

import numpy as np
from scipy import ndimage
from skimage import draw

# Parts of fewer pixels are no particles; `measure.min_area_px` drops as small ones by default.
SPECK_PX = 9

_EIGHT = np.ones((3, 3), bool)


def under(labels: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Numbers of the particles under a drawn line, the one with most of its pixels first.

    Args:
        labels: (h, w), 0 background.
        line: (n, 2) row and column of its corners, whole numbers at the pixels' centres; it may
            leave the image.
    """
    found, counts = np.unique(labels[_pixels(labels.shape, line)], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return found[order][found[order] > 0]


def split(labels: np.ndarray, line: np.ndarray, *, above: int = 0) -> np.ndarray:
    """Splits the particle that a line divides; of several, the one with most of its pixels.

    The largest part keeps the number. Pixels under the line, and parts below `SPECK_PX`, go to the
    nearest part, so that the parts together are the particle.

    Args:
        labels: int (h, w), 0 background.
        line: (n, 2) corners of a line that runs right across the particle, as in `under`.
        above: new numbers are larger than this one, too.

    Raises:
        ValueError: the line meets no particle, or divides none.
    """
    met = under(labels, line)
    if not met.size:
        raise ValueError("the line meets no particle; draw it across the one to be split")
    # Widened by its neighbours, a line whose pixels touch by corners lets no corner through.
    cut = ndimage.binary_dilation(_pixels(labels.shape, line))
    for number in met:
        mask = labels == number
        pieces, n = ndimage.label(mask & ~cut, _EIGHT)
        large = np.flatnonzero(np.bincount(pieces.ravel(), minlength=n + 1) >= SPECK_PX)
        large = large[large > 0]
        if large.size > 1:
            parts = np.where(np.isin(pieces, large), pieces, 0)
            nearest = ndimage.distance_transform_edt(
                parts == 0, return_distances=False, return_indices=True
            )
            return _renumber(labels, np.where(mask, parts[tuple(nearest)], 0), number, above)
    raise ValueError(
        f"the line does not divide particle {met[0]} into parts of {SPECK_PX} px or more; begin "
        "and end it outside the particle"
    )


def merge(labels: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Makes one particle of all that a line meets; it has the lowest of their numbers.

    Args:
        labels: int (h, w), 0 background.
        line: (n, 2) corners of a line through the particles, as in `under`.

    Raises:
        ValueError: the line meets fewer than two particles, or they are not in one piece.
    """
    met = np.sort(under(labels, line))
    if met.size < 2:
        raise ValueError("the line meets fewer than two particles; draw it from one into another")
    mask = np.isin(labels, met)
    if ndimage.label(mask, _EIGHT)[1] > 1:
        raise ValueError(
            f"particles {', '.join(map(str, met))} do not touch each other; paint the gap first"
        )
    return np.where(mask, met[0], labels)


def delete(labels: np.ndarray, number: int) -> np.ndarray:
    """Takes a particle away.

    Raises:
        ValueError: there is none of this number.
    """
    if number <= 0 or not (labels == number).any():
        raise ValueError("there is no particle here; point at one")
    return np.where(labels == number, 0, labels)


def redraw(labels: np.ndarray, number: int, mask: np.ndarray) -> np.ndarray:
    """Gives a particle the pixels of a mask, or makes a new one; others keep what is theirs.

    Args:
        labels: int (h, w), 0 background.
        number: of the particle.
        mask: bool (h, w).

    Raises:
        ValueError: fewer than `SPECK_PX` are left for it.
    """
    own = mask & ((labels == 0) | (labels == number))
    if np.count_nonzero(own) < SPECK_PX:
        raise ValueError(
            f"the outline holds fewer than {SPECK_PX} px that belong to no other particle; draw "
            "all round the particle, or delete the other one first"
        )
    after = np.where(labels == number, 0, labels)
    after[own] = number
    return after


def tidy(labels: np.ndarray, before: np.ndarray, *, above: int = 0) -> np.ndarray:
    """What was painted, as particles: pieces that do not touch are particles of their own.

    Of a changed particle that falls into several pieces, the largest keeps the number, and pieces
    below `SPECK_PX` are background. Particles without a changed pixel stay as they are.

    Args:
        labels: int (h, w) as painted, 0 background.
        before: (h, w) before the painting.
        above: new numbers are larger than this one, too.
    """
    above = max(above, int(before.max(initial=0)))
    for number in changed(labels, before):
        mask = labels == number
        pieces, n = ndimage.label(mask, _EIGHT)
        areas = np.bincount(pieces.ravel(), minlength=n + 1)
        small = np.flatnonzero(areas < SPECK_PX)
        pieces[np.isin(pieces, small)] = 0
        labels = _renumber(np.where(mask, 0, labels), pieces, number, above)
    return labels


def changed(labels: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Numbers in `labels` whose particle does not have exactly its pixels in `original`, rising."""
    different = labels != original
    found = np.union1d(labels[different], original[different])
    return found[(found > 0) & np.isin(found, labels)]


def _renumber(labels: np.ndarray, parts: np.ndarray, number: int, above: int) -> np.ndarray:
    """Labels with the parts (0 none) laid over: the largest is `number`, the others are new."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    table = np.zeros(sizes.size, labels.dtype)
    table[order] = max(int(labels.max(initial=0)), above) + np.arange(order.size)
    table[order[:1]] = number
    return np.where(parts > 0, table[parts], labels)


def _pixels(shape: tuple[int, int], line: np.ndarray) -> np.ndarray:
    """Where the pixels under a line of at least two corners are, bool (h, w)."""
    corners = np.rint(np.asarray(line, float)).astype(int)
    on = np.zeros(shape, bool)
    for (r0, c0), (r1, c1) in zip(corners[:-1], corners[1:], strict=True):
        rows, cols = draw.line(r0, c0, r1, c1)
        inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
        on[rows[inside], cols[inside]] = True
    return on
