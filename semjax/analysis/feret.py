"""Convex hulls and Feret diameters of all particles of a label image at once."""

from typing import NamedTuple

import numpy as np

# How far a contour's points lie from a pixel's centre along an axis, in sixths of a pixel: the
# rhombus's tips and the square's corners.
_UNITS = 6
_TIP, _CORNER = 2, 3
CONTOURS = ("inner", "corners")
_BLOCK = 2**21  # numbers held at once in the comparison of hull edges with hull vertices


class Ferets(NamedTuple):
    """Lengths of N particles in pixels, float64 (N,); NaN for labels without pixels."""

    min_feret: np.ndarray
    max_feret: np.ndarray
    hull_area: np.ndarray


def _extents(labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """First and last column of every label in every row it occupies: label, row, first, last."""
    row, column = np.nonzero(labels)
    label = labels[row, column].astype(np.int64)
    order = np.argsort(label, kind="stable")  # rows, then columns, stay in order within a label
    label, row, column = label[order], row[order], column[order]
    new = np.ones(label.size, bool)
    new[1:] = (label[1:] != label[:-1]) | (row[1:] != row[:-1])
    start = np.flatnonzero(new)
    end = np.append(start, label.size)[1:] - 1
    return label[start], row[start], column[start], column[end]


def _chain(label: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, ...]:
    """Left half of the convex hull of each label's points, from its first row to its last.

    Of the points of a row only the leftmost can be a vertex. A point that lies on or right of the
    line between the points before and after it is inside the hull, also when those are removed at
    the same time, so points are removed from all chains at once until none is left to remove.
    """
    order = np.lexsort((column, row, label))
    label, row, column = label[order], row[order], column[order]
    keep = np.ones(label.size, bool)
    keep[1:] = (label[1:] != label[:-1]) | (row[1:] != row[:-1])
    label, row, column = label[keep], row[keep], column[keep]
    while True:
        before_r, before_c = row[1:-1] - row[:-2], column[1:-1] - column[:-2]
        after_r, after_c = row[2:] - row[1:-1], column[2:] - column[1:-1]
        keep = np.ones(label.size, bool)
        keep[1:-1] = (label[:-2] != label[2:]) | (before_c * after_r < after_c * before_r)
        if keep.all():
            break
        label, row, column = label[keep], row[keep], column[keep]
    return label, row, column


def hulls(labels: np.ndarray, *, contour: str = "inner") -> tuple[np.ndarray, ...]:
    """Convex hull of every particle.

    Args:
        labels: (h, w), 0 background, 1..N.
        contour: what of a pixel its particle's contour encloses: "inner", a rhombus whose tips are
            a third of a pixel from the centre, or "corners", the whole square.

    Returns:
        Label, row and column of every vertex, (v,) each, sorted by label and round the hull within
        a label. Centres of pixels have whole coordinates. A vertex may occur twice.

    Raises:
        ValueError: for another contour.
    """
    if contour not in CONTOURS:
        raise ValueError(f"contour must be one of {', '.join(CONTOURS)}, got {contour!r}")
    label, row, first, last = _extents(labels)
    # Sixths of a pixel are counted, so that all geometry is in exact whole numbers.
    row, first, last = _UNITS * row, _UNITS * first, _UNITS * last
    if contour == "corners":
        rows, shifts = (-_CORNER, _CORNER), (_CORNER, _CORNER)
    else:
        rows, shifts = (-_TIP, 0, _TIP), (0, _TIP, 0)
    label = np.tile(label, len(rows))
    left = np.concatenate([first - shift for shift in shifts])
    right = np.concatenate([last + shift for shift in shifts])
    row = np.concatenate([row + shift for shift in rows])
    left_label, left_row, left_column = _chain(label, row, left)
    # The right half is the left half of the image turned by 180 degrees.
    right_label, right_row, right_column = _chain(label, -row, -right)
    label = np.concatenate([left_label, right_label])
    order = np.argsort(label, kind="stable")
    row = np.concatenate([left_row, -right_row])[order]
    column = np.concatenate([left_column, -right_column])[order]
    return label[order], row / _UNITS, column / _UNITS


def measure(labels: np.ndarray, *, contour: str = "inner") -> Ferets:
    """Feret diameters and hull areas of all particles.

    The minimum Feret diameter is the smallest distance of two parallel lines that enclose the
    particle; one of them runs along an edge of the convex hull (rotating calipers). The maximum is
    the largest distance of two points of the particle. ImageJ defines Feret and MinFeret alike, on
    the pixels' corners.

    The inner contour is the one of least bias. The hull follows the outermost pixels, whose centres
    come close to a slanted edge, so their corners lie beyond it. Mean error in pixels over rotated
    and shifted discs, ellipses, rectangles, polygons and rounded polygons, 60 each, in one size:

    | size (radius) | minimum, inner | minimum, corners | maximum, inner | maximum, corners |
    | --- | --- | --- | --- | --- |
    | 6 | -0.12 | +0.46 | -0.12 | +0.60 |
    | 12 | +0.02 | +0.62 | -0.09 | +0.64 |
    | 25 | +0.05 | +0.69 | -0.02 | +0.70 |

    Single shapes deviate by half a pixel: discs by -0.5 in the minimum and +0.4 in the maximum,
    rectangles by +0.4 and -0.5. With corners, it is 0 and +1.2, and +1.1 and +0.2.

    The same over all 286 particles of 40 simulated micrographs (seeds 0 to 39) that are seen whole,
    against the exact sizes of the bodies, in px and as the error of the mean. The centres are those
    of the outermost pixels, a contour that is not offered here:

    | minimum, true diameter | n | inner | corners | centres |
    | --- | --- | --- | --- | --- |
    | below 16 | 25 | -0.20 (-1.7 %) | +0.45 (+3.9 %) | -0.78 (-6.8 %) |
    | 16 to 24 | 56 | -0.06 (-0.3 %) | +0.59 (+3.3 %) | -0.64 (-3.5 %) |
    | 24 to 32 | 78 | -0.01 (-0.0 %) | +0.66 (+2.7 %) | -0.59 (-2.4 %) |
    | 32 and more | 127 | +0.03 (+0.1 %) | +0.66 (+1.9 %) | -0.57 (-1.6 %) |
    | all | 286 | -0.02 (-0.1 %) | +0.63 (+2.3 %) | -0.60 (-2.3 %) |

    | maximum, true diameter | n | inner | corners | centres |
    | --- | --- | --- | --- | --- |
    | below 16 | 25 | +0.02 (+0.1 %) | +0.77 (+5.1 %) | -0.58 (-3.9 %) |
    | 16 to 24 | 56 | +0.09 (+0.4 %) | +0.81 (+3.4 %) | -0.51 (-2.2 %) |
    | 24 to 32 | 78 | +0.12 (+0.4 %) | +0.81 (+2.5 %) | -0.49 (-1.5 %) |
    | 32 and more | 127 | +0.19 (+0.4 %) | +0.88 (+1.9 %) | -0.41 (-0.9 %) |
    | all | 286 | +0.13 (+0.4 %) | +0.84 (+2.4 %) | -0.47 (-1.3 %) |

    `python benchmarks/contours.py` prints these, with the equivalent circular diameter and the
    perimeter.

    Args:
        labels: (h, w), 0 background, 1..N.
        contour: see `hulls`.

    Source: Toussaint, Solving geometric problems with the rotating calipers, MELECON 1983.
    """
    n = int(labels.max(initial=0))
    result = Ferets(*(np.full(n, np.nan) for _ in range(3)))
    label, row, column = hulls(labels, contour=contour)
    if label.size == 0:
        return result
    count = np.bincount(label, minlength=n + 1)
    start = np.cumsum(count) - count
    todo = np.flatnonzero(count)
    todo = todo[np.argsort(count[todo], kind="stable")]  # hulls of similar size share a block
    while todo.size:
        size = np.maximum.accumulate(count[todo])
        width = (np.arange(todo.size) + 1) * size**2
        here = max(1, int(np.searchsorted(width, _BLOCK, side="right")))
        block, todo = todo[:here], todo[here:]
        # Hulls with fewer vertices than the block's largest repeat their last one.
        step = np.minimum(np.arange(count[block].max()), count[block][:, None] - 1)
        points = np.stack([row, column], -1)[start[block][:, None] + step]
        edges = np.roll(points, -1, axis=1) - points
        length = np.hypot(edges[..., 0], edges[..., 1])
        between = points[:, None, :, :] - points[:, :, None, :]
        cross = edges[:, :, None, 1] * between[..., 0] - edges[:, :, None, 0] * between[..., 1]
        height = np.abs(cross).max(axis=2)
        height = np.where(length > 0, height / np.where(length > 0, length, 1), np.inf)
        result.min_feret[block - 1] = height.min(axis=1)
        result.max_feret[block - 1] = np.sqrt((between**2).sum(-1).max(axis=(1, 2)))
        forward = np.roll(points, -1, axis=1)
        area = points[..., 0] * forward[..., 1] - points[..., 1] * forward[..., 0]
        result.hull_area[block - 1] = np.abs(area.sum(axis=1)) / 2
    return result
