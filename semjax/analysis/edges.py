"""Where the edges of particles are: at half of their height, in fakes as in real images."""

import numpy as np
from scipy import ndimage

REACH_PX = 2.5  # how far an edge is looked for on either side of a mask's
_WIDEST = 8


def half_height(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness across the edges of a mask: sums and counts, for `crossing`.

    Args:
        image: (h, w), particles bright.
        mask: bool (h, w), particles.

    Returns:
        Two arrays (2 * 8,): total brightness and number of pixels by distance to the mask's edge,
        from 8 px outside to 8 px inside in steps of 1 px. Add them up over images.
    """
    if mask.all() or not mask.any():
        return np.zeros(2 * _WIDEST), np.zeros(2 * _WIDEST)
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    step = np.where(mask, np.ceil(inside) - 1, -np.ceil(outside)).astype(int) + _WIDEST
    near = (step >= 0) & (step < 2 * _WIDEST)
    step, values = step[near], image[near]
    count = np.bincount(step, minlength=2 * _WIDEST)
    return np.bincount(step, weights=values, minlength=2 * _WIDEST), count


def crossing(total: np.ndarray, count: np.ndarray) -> float | None:
    """Distance in px from the mask's edge, inwards, to where brightness has half its height.

    The height is that from the ground, 3 to 6 px outside, to the brightest px inside. 0 is an edge
    at its place; a positive number a mask that is too large.

    Args:
        total: from `half_height`.
        count: likewise.

    Returns:
        None where there is no such edge within the 8 px.
    """
    if (count[_WIDEST - 6 :] == 0).any():
        return None
    profile = total / np.maximum(count, 1)
    ground = profile[_WIDEST - 6 : _WIDEST - 3].mean()
    half = (ground + profile[_WIDEST : _WIDEST + 4].max()) / 2
    above = np.flatnonzero(profile[_WIDEST - 4 :] >= half)
    if half <= ground or not above.size or above[0] == 0:
        return None
    i = _WIDEST - 4 + above[0]
    part = (half - profile[i - 1]) / (profile[i] - profile[i - 1])
    return float(i - 1 + part + 0.5 - _WIDEST)  # profile[i] belongs to the middle of a step


def snap(image: np.ndarray, labels: np.ndarray, *, reach_px: float = REACH_PX) -> np.ndarray:
    """Moves the outer edges of labelled particles to half height of the image.

    A CycleGAN is free to paint all particles a little smaller or larger than their masks. Pixels
    within `reach_px` of the background are background where the image is darker than half way from
    the ground to the particle's mean, and the other way round. Borders between particles stay.
    A particle of which nothing would be left stays as it is.

    Args:
        image: (h, w), particles bright; blurred by 0.5 px here.
        labels: int32 (h, w), 0 background.
        reach_px: how far an edge may move.

    Returns:
        Labels, int32 (h, w).
    """
    mask = labels > 0
    if mask.all() or not mask.any():
        return labels
    image = ndimage.gaussian_filter(image.astype(np.float32), 0.5)
    area = np.bincount(labels.ravel())
    mean = np.bincount(labels.ravel(), weights=image.ravel()) / np.maximum(area, 1)
    level = (np.median(image[~mask]) + mean) / 2
    inside = ndimage.distance_transform_edt(mask)
    outside, at = ndimage.distance_transform_edt(~mask, return_indices=True)
    nearest = labels[tuple(at)]
    snapped = np.where(mask & (inside <= reach_px) & (image < level[labels]), 0, labels)
    grown = ~mask & (outside <= reach_px) & (image >= level[nearest])
    snapped = np.where(grown, nearest, snapped)
    lost = (area > 0) & (np.bincount(snapped.ravel(), minlength=area.size) == 0)
    return np.where(lost[labels], labels, snapped)
