"""Large images from top to bottom: particles split, and worked on, while only some rows are held.

All that is known of a particle depends on its own pixels and those near them. So rows are taken in
bands, and what a band would cut waits for the next.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy import ndimage

BAND_PX = 2**22  # images up to this size are worked on as a whole
TALLEST = 2  # bands, for which a piece of foreground may wait for its end
MARGIN_PX = 32  # particles that end so near the last known row may change with what is below


def split(
    outputs: Iterable[np.ndarray],
    divide: Callable[[np.ndarray], np.ndarray],
    *,
    height: int,
    threshold: float,
    band_px: int = BAND_PX,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels from a segmenter's outputs, in the course of getting them.

    How `split.markers` divides a 4-connected piece of foreground depends on nothing else. So pieces
    that reach the last known row wait, and all others are divided: the result is that of the whole
    image but for the particles' numbers. (`split.watershed` smooths over gaps between pieces, so
    there a neck near a band's end may be seen otherwise.) Of a piece taller than two bands, the
    particles seen whole are taken out before its end is known; a particle taller than two bands is
    cut.

    Args:
        outputs: (n, w, k) float32 each, from the first row to the last; the first channel is the
            probability of foreground.
        divide: gives labels, int32 1..N, of outputs (h, w, k); it may drop particles.
        height: of the image.
        threshold: a pixel is foreground from this probability on.
        band_px: pixels of a band; images up to this size are divided as a whole.

    Yields:
        Labels, int32 (n, w), numbered on, and the probability of foreground, float32 (n, w), of the
        rows that follow.
    """
    known = n_found = 0
    held = probability = np.zeros(0, np.float32)
    labels = np.zeros(0, np.int32)
    for band in _gather(outputs, height, band_px):
        known += len(band)
        fresh = np.zeros(band.shape[:2], np.int32)
        if not len(held):
            held, probability, labels = band, band[..., 0].copy(), fresh
        else:
            held = np.concatenate([held, band])
            probability = np.concatenate([probability, band[..., 0]])
            labels = np.concatenate([labels, fresh])
        if known < height:
            waits = _unsure(held, divide, threshold, tallest=TALLEST * len(band))
            open_outputs = held[len(held) - _height(waits) :].copy()
            held[waits, 0] = 0
        else:
            waits, open_outputs = np.zeros(fresh.shape, bool), held[:0]
        found = divide(held)
        labels = np.where(found > 0, found + n_found, labels).astype(np.int32)
        n_found = max(n_found, int(labels.max(initial=0)))
        n = len(labels) - len(open_outputs)
        yield labels[:n], probability[:n]
        # What is settled is no foreground any more.
        held, probability, labels = open_outputs, probability[n:], labels[n:]
        held[~waits[len(waits) - len(held) :], 0] = 0


def _gather(outputs: Iterable[np.ndarray], height: int, least_px: int) -> Iterator[np.ndarray]:
    """Joins rows to bands of at least so many pixels; the last may have fewer."""
    rows, known = [], 0
    for some in outputs:
        rows.append(some)
        known += len(some)
        if known == height or sum(map(len, rows)) * some.shape[1] >= least_px:
            yield np.concatenate(rows)
            rows = []


def _unsure(
    outputs: np.ndarray, divide: Callable[[np.ndarray], np.ndarray], threshold: float, tallest: int
) -> np.ndarray:
    """Foreground (h, w) that is to wait for the rows below."""
    pieces, n_pieces = ndimage.label(outputs[..., 0] >= threshold)
    waits = _reaching(pieces, n_pieces, 1)
    if _height(waits) > tallest:
        particles = divide(outputs)
        waits = _reaching(particles, particles.max(initial=0), MARGIN_PX)
        if _height(waits) > tallest:
            waits[:] = False
    return waits


def _reaching(labels: np.ndarray, n: int, last: int) -> np.ndarray:
    """Pixels (h, w) of the labels 1..n that occur in the last rows."""
    reach = np.zeros(n + 1, bool)
    reach[labels[-last:]] = True
    reach[0] = False
    return reach[labels]


def _height(mask: np.ndarray) -> int:
    """Rows from the first with a pixel of the mask (h, w) to the end."""
    rows = np.flatnonzero(mask.any(axis=1))
    return len(mask) - int(rows[0]) if rows.size else 0


def rows(labels: np.ndarray, *, band_px: int = BAND_PX) -> Iterator[slice]:
    """Bands of rows that follow each other; one if the image (h, w) is not large."""
    height, width = labels.shape
    step = max(1, band_px // max(width, 1)) if labels.size > band_px else max(height, 1)
    for first in range(0, height, step):
        yield slice(first, min(first + step, height))


def whole(
    labels: np.ndarray, groups: np.ndarray | None = None, *, band_px: int = BAND_PX
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Bands of rows in which particles are whole; each particle is in one of them.

    Args:
        labels: (h, w), 0 background, 1..N.
        groups: (N + 1,) of each label, what is to be whole instead; 0 for nothing.
        band_px: pixels of a band without the rows above that its particles need; images up to this
            size are one band, as are those without particles.

    Yields:
        Rows; the particles there, (n, w), numbered 1..M, all others 0; and their numbers in the
        whole image, (M,), rising.
    """
    n = int(labels.max(initial=0)) if groups is None else int(groups.max(initial=0))
    if labels.size <= band_px or n == 0:
        particles = labels if groups is None else groups[labels]
        yield slice(0, len(labels)), particles, np.arange(1, n + 1)
        return
    first, stop = np.full(n + 1, len(labels)), np.zeros(n + 1, int)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            number = label if groups is None else groups[label]
            first[number] = min(first[number], box[0].start)
            stop[number] = max(stop[number], box[0].stop)
    stop[0] = 0
    for band in rows(labels, band_px=band_px):
        numbers = np.flatnonzero((stop > band.start) & (stop <= band.stop))
        if numbers.size:
            new = np.zeros(n + 1, np.int32)
            new[numbers] = np.arange(1, numbers.size + 1)
            here = slice(int(first[numbers].min()), band.stop)
            yield here, (new if groups is None else new[groups])[labels[here]], numbers


def shrink(image: np.ndarray, step: int) -> np.ndarray:
    """An image (h, w) with the means of its squares of `step` px as pixels, float32.

    Rows and columns that fill no further square are left out.
    """
    height, width = (size // step for size in image.shape)
    small = np.empty((height, width), np.float32)
    for row in range(height):
        square = image[row * step : (row + 1) * step, : width * step]
        small[row] = square.reshape(step, width, step).mean(axis=(0, 2))
    return small
