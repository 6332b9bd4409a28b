"""Touching particles split into labels, and what a network learns in order to do it.

No function here loses a particle: every foreground pixel gets a label, and every 4-connected piece
of the foreground at least one of its own.
"""

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.segmentation import watershed as flood

from semjax.analysis.distance import to_background

INTERIOR_SHARE = 0.35
# Steps of the water that finds the markers, on the mean of interior and distance.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def _grow(markers: np.ndarray, height: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Floods a mask from markers, downhill from high to low; pieces without a marker are one."""
    pieces, n_pieces = ndimage.label(mask)
    markers = np.where(mask, markers, 0).astype(np.int32)
    has_marker = np.zeros(n_pieces + 1, bool)
    has_marker[pieces[markers > 0]] = True
    has_marker[0] = True
    number = np.cumsum(~has_marker) + markers.max(initial=0)
    number[has_marker] = 0
    pieces = number.astype(np.int32)[pieces]
    np.copyto(markers, pieces, where=pieces > 0)
    del pieces  # large images need the room
    labels = flood(-height, markers, mask=mask, connectivity=1)
    # Numbers of markers outside the mask are missing: close the gaps.
    used = np.bincount(labels.ravel(), minlength=1) > 0
    used[0] = False
    return np.where(used, np.cumsum(used), 0).astype(np.int32)[labels]


def watershed(mask: np.ndarray, *, min_distance_px: int, sigma: float = 1.0) -> np.ndarray:
    """Splits a mask at the necks of its distance map.

    The peaks of the smoothed distance to the background, also those near the image's border, are
    the markers. Separating lines are not cut out of the result.

    Args:
        mask: bool (h, w).
        min_distance_px: smallest distance of two peaks along rows or columns.
        sigma: of the Gaussian that smooths the distances, in pixels.

    Returns:
        Labels, int32 (h, w); non-zero exactly in the mask.
    """
    mask = np.asarray(mask, bool)
    if mask.all() or not mask.any():
        return mask.astype(np.int32)  # no background, no distances
    distance = to_background(mask).astype(np.float32)
    distance = ndimage.gaussian_filter(distance, sigma)
    peaks = peak_local_max(distance, min_distance=min_distance_px, exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return _grow(markers, distance, mask)


def draw_lines(labels: np.ndarray) -> np.ndarray:
    """Mask (h, w) of labels in which touching particles are parted by lines of background, bool.

    Of two neighbours in a row or a column, the upper or left one is cleared. Labels of a mask whose
    particles do not touch give that mask.
    """
    mask = labels > 0
    mask[:, :-1] &= (labels[:, :-1] == labels[:, 1:]) | (labels[:, 1:] == 0)
    mask[:-1] &= (labels[:-1] == labels[1:]) | (labels[1:] == 0)
    return mask


def markers(
    particle: np.ndarray,
    interior: np.ndarray,
    distance: np.ndarray,
    *,
    threshold: float = 0.5,
    min_marker_px: int = 30,
) -> np.ndarray:
    """Splits a network's prediction of `targets` into particles.

    The mean of interior and distance is a landscape with a hill a particle. It is flooded from
    `LEVELS[0]` upwards: where rising water parts an island into two or more of at least
    `min_marker_px`, these are markers in its place. So a neck parts two particles however sure or
    unsure the network is of either; one threshold would join the sure ones or lose the unsure. From
    the markers, the foreground is flooded downhill on distance plus probability of foreground. A
    piece of the foreground without a marker is one particle.

    Args:
        particle: probability of foreground, (h, w).
        interior: probability of interior, (h, w).
        distance: relative distance to the particle's border, (h, w), in [0, 1].
        threshold: of `particle`; the foreground lies at or above it.
        min_marker_px: fewest pixels of a marker; smaller islands are noise.

    Returns:
        Labels, int32 (h, w); non-zero exactly in the foreground.
    """
    mask = particle >= threshold
    height = (interior + distance) / 2
    return _grow(_islands(height, mask, min_marker_px), distance + particle, mask)


def _islands(height: np.ndarray, mask: np.ndarray, least_px: int) -> np.ndarray:
    """The last islands of rising water, int32 (h, w): each as large as when it was parted."""
    found, n_found = _label_large(mask & (height >= LEVELS[0]), least_px)
    for level in LEVELS[1:]:
        parts, n_parts = _label_large(mask & (height >= level), least_px)
        if not n_parts:
            break
        parent = np.zeros(n_parts + 1, np.int64)
        shown = parts > 0
        parent[parts[shown]] = found[shown]
        parted = np.bincount(parent[1:], minlength=n_found + 1) >= 2
        if not parted.any():
            continue
        stays, new = ~parted, parted[parent]
        stays[0] = False
        number = np.where(stays, np.cumsum(stays), 0)
        number_new = np.where(new, stays.sum() + np.cumsum(new), 0)
        found = np.where(parted[found], number_new[parts], number[found]).astype(np.int32)
        n_found = int(stays.sum() + new.sum())
    return found


def _label_large(mask: np.ndarray, least_px: int) -> tuple[np.ndarray, int]:
    """4-connected components of at least `least_px` px, numbered without gaps, and how many."""
    pieces = ndimage.label(mask)[0]
    large = np.bincount(pieces.ravel()) >= least_px
    large[0] = False
    return np.where(large, np.cumsum(large), 0).astype(np.int32)[pieces], int(large.sum())


def targets(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a network learns of labelled particles, from which `markers` finds them again.

    Every 4-connected piece of a label counts as a particle: a network cannot see that pieces
    belong together.

    The distance of a pixel's centre to its particle's border is taken as the distance to the
    nearest of the particle's outermost pixels plus half a pixel: from such a pixel, the border is
    half a pixel away. Pixels are outermost where a neighbour in the image has another label, so
    particles that touch have a border between them, and a particle cut by the image's border has
    none there. One distance transform serves all particles, because the way out of a particle
    leads over its own outermost pixels.

    Args:
        labels: (h, w), 0 background.

    Returns:
        Three arrays, float32 (h, w): particle, 1 inside particles; interior, 1 where the distance
        exceeds `INTERIOR_SHARE` of the particle's largest; distance, in [0, 1], divided by the
        particle's largest. Each particle has at least one pixel of interior.
    """
    particle = labels > 0
    rows = labels[1:] != labels[:-1]
    columns = labels[:, 1:] != labels[:, :-1]
    inside = np.ones(labels.shape, bool)
    inside[1:][rows] = False
    inside[:-1][rows] = False
    inside[:, 1:][columns] = False
    inside[:, :-1][columns] = False
    if inside.all():  # all background or one particle: no border in sight
        flat = particle.astype(np.float32)
        return flat, flat.copy(), flat.copy()
    distance = np.where(particle, ndimage.distance_transform_edt(inside) + 0.5, 0.0)
    pieces, n_pieces = label(labels, connectivity=1, background=0, return_num=True)
    largest = np.ones(n_pieces + 1)
    largest[1:] = ndimage.maximum(distance, pieces, np.arange(1, n_pieces + 1))
    distance = (distance / largest[pieces]).astype(np.float32)
    return particle.astype(np.float32), (distance > INTERIOR_SHARE).astype(np.float32), distance
