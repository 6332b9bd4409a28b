"""Images that show the same field, wholly or in part: their particles would count twice."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

_SIDE_PX = 128  # longest side of the shrunken images
_SMOOTH_PX = 3.0  # shrunken px; what is wider is shading, not structure
_LEAST = 0.15  # share of an image that must lie on the other


class Overlap(NamedTuple):
    """Two images of one field: `second` lies `rows` down and `cols` right of `first`, in px."""

    first: int
    second: int
    rows: int
    cols: int
    share: float  # of the smaller image's area
    correlation: float  # of what both show, at most 1


def find(images: Sequence[np.ndarray], *, least: float) -> list[Overlap]:
    """Finds pairs of images with a common part by their normalised cross-correlation.

    Images are shrunk, freed of shading, and every shift at which at least 15 % of the smaller
    one lies on the other is looked at. Fields at other magnifications or turned are not found.

    Args:
        images: (h, w) each, values of any range; shapes may differ.
        least: correlation, times the root of the share that both show, from which a pair counts;
            less than 0.16 comes about by chance.

    Returns:
        At most one entry a pair, in the order of the images.
    """
    if len(images) < 2:
        return []
    factor = max(1, -(-max(max(image.shape) for image in images) // _SIDE_PX))
    small = [_shrink(image, factor) for image in images]
    rows, cols = (max(s.shape[axis] for s in small) for axis in (0, 1))
    shape = tuple(fft.next_fast_len(2 * n, real=True) for n in (rows, cols))
    spectra = fft.rfft2(np.stack([_pad(s, shape) for s in small]))
    squares = fft.rfft2(np.stack([_pad(s**2, shape) for s in small]))
    covers = fft.rfft2(np.stack([_pad(np.ones_like(s), shape) for s in small]))
    found = []
    for i in range(len(small) - 1):
        later = slice(i + 1, None)
        both = fft.irfft2(spectra[i] * spectra[later].conj(), shape)
        own = fft.irfft2(squares[i] * covers[later].conj(), shape)
        other = fft.irfft2(covers[i] * squares[later].conj(), shape)
        area = fft.irfft2(covers[i] * covers[later].conj(), shape)
        for k, j in enumerate(range(i + 1, len(small))):
            smaller = min(small[i].size, small[j].size)
            # Where next to nothing is seen, chance correlates.
            power = np.sqrt(np.maximum(own[k], 0) * np.maximum(other[k], 0))
            enough = (area[k] >= _LEAST * smaller) & (power > 0.05 * _LEAST * smaller)
            share = np.clip(area[k] / smaller, 0, 1)
            value = np.where(enough, both[k] / np.maximum(power, 1e-6), 0) * np.sqrt(share)
            place = np.unravel_index(int(value.argmax()), value.shape)
            if value[place] >= least:
                shift = [
                    int(n - size if 2 * n > size else n) * factor
                    for n, size in zip(place, shape, strict=True)
                ]
                root = float(np.sqrt(share[place]))
                correlation = min(float(value[place]) / root, 1.0)
                found.append(Overlap(i, j, *shift, root**2, correlation))
    return found


def _shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks, without shading, of unit power; float32."""
    rows, cols = (max(n // factor, 1) for n in image.shape)
    cut = image[: rows * factor, : cols * factor].astype(np.float32)
    small = cut.reshape(rows, factor, cols, factor)[:, : cut.shape[0]].mean(axis=(1, 3))
    small = small - ndimage.gaussian_filter(small, _SMOOTH_PX)
    # Each place counts alike: a few bright agglomerates would outweigh all else.
    power = ndimage.gaussian_filter(small**2, _SMOOTH_PX)
    small = small / np.sqrt(power + 0.1 * power.mean() + 1e-6)
    return small / max(float(np.sqrt(np.mean(small**2))), 1e-6)


def _pad(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    padded = np.zeros(shape, np.float32)
    padded[: small.shape[0], : small.shape[1]] = small
    return padded
