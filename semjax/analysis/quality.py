"""What an image alone says of its quality: blur, saturation, charging, things burnt into it.

All functions take the values as read, (h, w) of any range, without the information bar. Thresholds
stand in `semjax.inspection`.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

_STRONGEST = 99.7  # percentile of the slope above which a pixel counts as an edge
_NEAR = 15  # px; the neighbourhood in which an edge rises
_STREAK_PX = 3  # rows of a streak at most
_LONG_PX = 64  # columns of a streak at least: more than a particle has
_END = 0.02  # of the range: values this near its ends are black or white
_BLOCKS = 8  # across an image, for what changes slowly


class Bar(NamedTuple):
    """A rectangle of one grey level that does not belong to the specimen."""

    row: int
    col: int
    height: int
    width: int


def contrast(image: np.ndarray) -> tuple[float, float]:
    """The range of an image without its extremes: percentiles 0.5 and 99.5 of a quarter of it."""
    low, high = np.percentile(image[::2, ::2], [0.5, 99.5])
    return float(low), float(high)


def ground_level(image: np.ndarray) -> float:
    """Where the median lies between the percentiles 0.5 and 99.5, in [0, 1].

    Near 0 for bright particles on a dark ground, near 1 for dark ones on a bright ground.
    """
    low, high = contrast(image)
    return 0.5 if high <= low else float(np.clip((np.median(image) - low) / (high - low), 0, 1))


def edge_width(image: np.ndarray) -> float:
    """Width in px of the sharpest edges: height over slope, the median of the strongest 0.3 %.

    About 3 in a sharp image, because of the blur by 1 px that keeps noise from counting as
    edges, and 6 in one that is blurred by a Gaussian of 2 px. 0 for an image without edges.
    """
    if min(image.shape) < 2:
        return 0.0
    smooth = ndimage.gaussian_filter(image.astype(np.float32), 1.0)
    slope = np.hypot(*np.gradient(smooth))
    # The strongest need not be known to the pixel: every other one is enough.
    limit = np.percentile(slope[::2, ::2], _STRONGEST)
    rows, cols = np.nonzero(slope >= max(limit, 1e-9))
    if not rows.size:
        return 0.0
    some = slice(None, None, max(1, rows.size // 500))
    rows, cols = rows[some], cols[some]
    half = _NEAR // 2
    padded = np.pad(smooth, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_NEAR, _NEAR))[rows, cols]
    rise = windows.max(axis=(1, 2)) - windows.min(axis=(1, 2))
    return float(np.median(rise / slope[rows, cols]))


def clipped(image: np.ndarray) -> tuple[float, float]:
    """Shares of the pixels that lie at the black and at the white end of what was recorded.

    An end counts where values pile up on it: where the last level holds several times as many
    pixels as those just inside.
    """
    values, counts = np.unique(image, return_counts=True)
    if len(values) < 16:  # a mask, or nearly
        return 0.0, 0.0
    # Of floating point numbers or 16 bits, few values come twice.
    ends = []
    for order in (counts, counts[::-1]):
        beside = float(np.mean(order[1:11]))
        ends.append(float(order[0]) / image.size if order[0] > 3 * beside else 0.0)
    return ends[0], ends[1]


def streaks(image: np.ndarray) -> float:
    """Share of the rows with a bright or dark streak: charging, or the beam's instability.

    A streak is up to 3 rows high, at least 64 px and an eighth of the image wide, and differs
    from the rows above and below by more than 15 % of the contrast.
    """
    low, high = contrast(image)
    if high <= low or image.shape[1] < 8:  # too narrow for any
        return 0.0
    length = min(max(_LONG_PX, image.shape[1] // 8), image.shape[1] // 2)
    along = ndimage.uniform_filter1d(image.astype(np.float32), length, axis=1)[:, :: length // 4]
    around = ndimage.median_filter(along, size=(2 * _STREAK_PX + 1, 1), mode="nearest")
    lines = np.abs(along - around).max(axis=1) > 0.15 * (high - low)
    return float(lines.mean())


def drift(image: np.ndarray) -> float:
    """Change of the ground's brightness over the image, in units of the contrast.

    The ground of a block is its 20th percentile, the 80th where particles are dark; a plane
    through the blocks, from one end to the other, is the drift. Particles that fill some blocks
    tilt it little.
    """
    low, high = contrast(image)
    if high <= low or min(image.shape) < 4 * _BLOCKS:
        return 0.0
    end = 20 if ground_level(image) <= 0.5 else 80
    rows, cols = (n // _BLOCKS for n in image.shape)
    cut = image[: rows * _BLOCKS, : cols * _BLOCKS].astype(np.float32)
    blocks = cut.reshape(_BLOCKS, rows, _BLOCKS, cols).transpose(0, 2, 1, 3)
    ground = np.percentile(blocks[..., ::2, ::2].reshape(_BLOCKS, _BLOCKS, -1), end, axis=2)
    y, x = np.mgrid[-1 : 1 : _BLOCKS * 1j, -1 : 1 : _BLOCKS * 1j]
    sides = np.stack([y.ravel(), x.ravel(), np.ones(y.size)], axis=1)
    slopes = np.linalg.lstsq(sides, ground.ravel(), rcond=None)[0]
    return float(2 * np.abs(slopes[:2]).max() / (high - low))


def burnt_in(image: np.ndarray) -> list[Bar]:
    """Rectangles of black or white that were drawn into the image, such as a scale bar.

    Such a rectangle is full, at least 20 px wide, 2 px high and three times as wide as high;
    no cluster of bright pixels is. A frame along the whole image counts too.
    """
    low, high = float(image.min()), float(image.max())
    found = []
    if high <= low:
        return []
    for end in (image >= high - _END * (high - low), image <= low + _END * (high - low)):
        labels, n = ndimage.label(end)
        if not n:
            continue
        areas = np.bincount(labels.ravel())
        for label, place in enumerate(ndimage.find_objects(labels), start=1):
            height, width = (s.stop - s.start for s in place)
            full = areas[label] >= 0.95 * height * width
            if full and width >= max(20, 3 * height) and height >= 2:
                found.append(Bar(place[0].start, place[1].start, height, width))
    return found


def flat_edges(image: np.ndarray) -> tuple[int, int]:
    """Rows at the top and at the bottom that are mostly of one value: bars that were not cut.

    Returns:
        Number of such rows at either end; 0 where there are fewer than 8, more than a quarter of
        all, or others like them elsewhere.
    """
    levels = image.astype(np.float32)
    span = max(float(np.ptp(levels)), 1e-9)
    ground = np.median(levels, axis=1, keepdims=True)
    flat = (np.abs(levels - ground) <= span / 200).mean(axis=1) >= 0.5
    top, bottom = _run(flat), _run(flat[::-1])
    between = flat[top : len(flat) - bottom]
    return (top, bottom) if between.mean() <= 0.1 else (0, 0)


def _run(flat: np.ndarray) -> int:
    """Flat rows at the beginning. Text runs through a bar: one row in five may lack the ground."""
    share = np.cumsum(flat) / np.arange(1, len(flat) + 1)
    good = np.flatnonzero(flat & (share >= 0.8))
    rows = int(good[-1]) + 1 if good.size and flat[:3].any() else 0
    return rows if 8 <= rows <= len(flat) // 4 else 0
