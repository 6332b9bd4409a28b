"""Exact distances to the background, several times faster than scipy's where they are short."""

import numpy as np

_BLOCK_ROWS = 32  # few enough to stay in the processor's cache


def to_background(mask: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pixel to the nearest one of background, float64 (h, w).

    Equals `scipy.ndimage.distance_transform_edt`. The distances along the columns come first; then
    rows are compared with themselves shifted by 1, 2, ... px, as far as a distance can still fall.

    Args:
        mask: bool (h, w).

    Raises:
        ValueError: if there is no background.
    """
    if mask.all():
        raise ValueError("a mask without background has no distances to it")
    height, width = mask.shape
    inside = mask.astype(np.int32)
    far = np.full(mask.shape, height + width, np.int32)
    for rows in (range(height), range(height - 1, -1, -1)):
        above = np.full(width, height + width, np.int32)
        for row in rows:
            above = (above + 1) * inside[row]
            np.minimum(far[row], above, out=far[row])
    distance = np.empty(mask.shape)
    for top in range(0, height, _BLOCK_ROWS):
        along = far[top : top + _BLOCK_ROWS] ** 2
        nearest = along.copy()
        for shift in range(1, width):
            if shift**2 >= nearest.max():
                break
            beside = along + shift**2
            np.minimum(nearest[:, :-shift], beside[:, shift:], out=nearest[:, :-shift])
            np.minimum(nearest[:, shift:], beside[:, :-shift], out=nearest[:, shift:])
        distance[top : top + _BLOCK_ROWS] = np.sqrt(nearest)
    return distance
