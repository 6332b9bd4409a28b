"""Grey-level thresholds, and what they decide: foreground, and which particles an image shows."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage
from skimage import filters

# Brightness ranges below this share of the largest magnitude are rounding, not structure.
_FLAT = 1e-6


def _is_flat(image: np.ndarray) -> bool:
    low, high = float(image.min()), float(image.max())
    return high - low <= _FLAT * max(abs(low), abs(high), 1e-30)


def li(image: np.ndarray) -> float:
    """Minimum cross-entropy threshold of an image; a constant image's is its value.

    The iteration stops at a ten-thousandth of the brightness range, so that its time does not
    depend on how finely the values are spaced.

    Source: Li and Tam, Pattern Recognition Letters 19 (1998) 771.
    """
    if _is_flat(image):
        return float(image.min())
    tolerance = 1e-4 * float(np.ptp(image))
    return float(filters.threshold_li(image, tolerance=tolerance))


def otsu(image: np.ndarray) -> float:
    """Threshold of least variance within its two classes; a constant image's is its value.

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979) 62.
    """
    return float(image.min()) if _is_flat(image) else float(filters.threshold_otsu(image))


def mean(image: np.ndarray) -> float:
    """Mean brightness of an image."""
    return float(np.mean(image, dtype=np.float64))


def median(image: np.ndarray) -> float:
    """Median brightness of an image."""
    return float(np.median(image))


THRESHOLDS = {"li": li, "otsu": otsu, "mean": mean, "median": median}


def foreground(image: np.ndarray) -> np.ndarray:
    """Particles of an image (h, w), bright on dark, as a mask: blurred by 1 px, above Li.

    A constant image has no foreground.
    """
    if _is_flat(image):
        return np.zeros(image.shape, bool)
    blurred = ndimage.gaussian_filter(image.astype(np.float32), 1.0)
    return blurred > li(blurred)


def keep_shown(image: np.ndarray, labels: np.ndarray, *, threshold: str) -> np.ndarray:
    """Which labels the image shows: mean brightness inside at least the whole image's threshold.

    Args:
        image: (h, w), particles bright.
        labels: (h, w), 0 background, 1..N.
        threshold: a name from `THRESHOLDS`, or "none" to keep every label.

    Returns:
        bool (N,); element i belongs to label i + 1. A label without pixels is not kept.

    Raises:
        ValueError: if the shapes differ or the name is unknown.
    """
    if image.shape != labels.shape:
        raise ValueError(
            f"image and labels must have one shape, got {image.shape} and {labels.shape}"
        )
    area = np.bincount(labels.ravel())[1:]
    if threshold == "none":
        return area > 0
    if threshold not in THRESHOLDS:
        raise ValueError(
            f"threshold must be one of {', '.join(THRESHOLDS)} or none, got {threshold!r}"
        )
    # Sums of differences from the threshold: a label exactly at it is kept, whatever the rounding
    # of a mean would do to it.
    excess = np.asarray(image, np.float64).ravel() - THRESHOLDS[threshold](image)
    total = np.bincount(labels.ravel(), weights=excess)[1:]
    return (area > 0) & (total >= 0)


def remove(labels: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels with only the kept particles, numbered 1..M in their old order.

    Args:
        labels: (h, w) or any shape, 0 background, 1..N.
        keep: bool (N,); element i belongs to label i + 1. More elements than labels are allowed.

    Returns:
        Labels, int32, of the same shape, and the mapping, int32 (len(keep) + 1,): the new label of
        each old one, 0 for background and for what was removed.

    Raises:
        ValueError: if a label has no element in `keep`.
    """
    keep = np.asarray(keep, bool)
    if labels.size and labels.max() > keep.size:
        raise ValueError(f"keep has {keep.size} elements, but the largest label is {labels.max()}")
    mapping = np.zeros(keep.size + 1, np.int32)
    mapping[1:] = np.where(keep, np.cumsum(keep), 0)
    return mapping[labels], mapping


def pieces(masks: Iterable[np.ndarray], *, least_px: int = 30) -> float | None:
    """Pieces of foreground per 1000 px of it: the fewer, the more the particles cling together.

    Args:
        masks: (h, w) each, of one size, since borders cut pieces; not 0 is foreground.
        least_px: smaller pieces are noise.

    Returns:
        The number over all masks, pieces counted by 4-connectivity; None without any foreground.
    """
    n_pieces = n_foreground = 0
    for mask in masks:
        areas = np.bincount(ndimage.label(mask)[0].ravel())[1:]
        n_pieces += np.count_nonzero(areas >= least_px)
        n_foreground += int(areas.sum())
    return 1000 * n_pieces / n_foreground if n_foreground else None
