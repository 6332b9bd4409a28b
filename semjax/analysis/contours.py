"""Outlines of the particles of a label image along the pixels' corners, exact in area."""

import numpy as np


def trace(labels: np.ndarray) -> dict[int, list[np.ndarray]]:
    """Closed paths round every particle, along the corners of its pixels.

    A pixel at (r, c) covers r to r + 1 and c to c + 1, as in ImageJ. Outer paths run clockwise as
    seen in the image, those round holes counter-clockwise, so the areas of a particle's paths with
    their signs sum up to its number of pixels. Pixels that touch at a corner are one piece.

    Every pixel's side that faces another label is an edge that runs with its pixel on the right.
    What follows an edge depends on two pixels only, so it is found for all edges at once.

    Args:
        labels: (h, w) integers, 0 background, 1..N.

    Returns:
        Paths (n, 2) int64 of rows and columns for every label that has pixels, in order of the
        labels. Only corners of a path are listed, each once; the last is joined to the first.

    Raises:
        ValueError: not a label image.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise ValueError(
            f"labels must be whole numbers from 0 in rows and columns, got {labels.dtype} values "
            f"of shape {labels.shape}"
        )
    padded = np.pad(labels, 1)
    width, flat = padded.shape[1], padded.ravel()
    steps = np.array([1, width, -1, -width])  # right, down, left, up
    codes = []
    for direction in range(4):
        left = np.roll(flat, -steps[direction - 1])
        codes.append(4 * np.flatnonzero((flat > 0) & (flat != left)) + direction)
    code = np.sort(np.concatenate(codes))
    pixel, direction = np.divmod(code, 4)
    own = flat[pixel]
    ahead = pixel + steps[direction]
    beside = ahead + steps[direction - 1]  # ahead, to the left
    to_left = flat[beside] == own
    straight = ~to_left & (flat[ahead] == own)
    next_pixel = np.where(to_left, beside, np.where(straight, ahead, pixel))
    next_direction = (direction + np.where(to_left, 3, np.where(straight, 0, 1))) % 4
    following = np.searchsorted(code, 4 * next_pixel + next_direction)
    corner = np.zeros(code.size, bool)  # the edge starts at a corner of the path
    corner[following] = ~straight
    row = pixel // width - 1 + (direction >= 2)
    column = pixel % width - 1 + ((direction == 1) | (direction == 2))
    start = np.stack([row, column], -1)
    found: dict[int, list[np.ndarray]] = {}
    successors, seen = following.tolist(), bytearray(code.size)
    for first in range(code.size):
        if seen[first]:
            continue
        path, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            path.append(edge)
            edge = successors[edge]
        found.setdefault(int(own[first]), []).append(start[path][corner[path]])
    return dict(sorted(found.items()))
