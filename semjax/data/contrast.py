"""Contrast of micrographs, also of those that are too large to be held as floating point."""

from typing import Any

import numpy as np

from semjax.analysis import bands

LARGE_PX = 2**25  # larger images are worked on in rows throughout
SHOWN_PX = 4096  # longer side of pictures of large images


def is_large(image: np.ndarray) -> bool:
    """Whether an image (h, w) is looked up in rows only: large, and of uint8 or uint16."""
    return image.size > LARGE_PX and image.dtype in (np.uint8, np.uint16)


def shown_step(image: np.ndarray) -> int:
    """Every how many pixels an image (h, w) has one in pictures of it: 1 unless it is large."""
    return 1 if image.size <= LARGE_PX else -(-max(image.shape) // SHOWN_PX)


def stretch_contrast(
    image: np.ndarray,
    *,
    low: float = 0.5,
    high: float = 99.5,
    knee: float = 0.6,
    dark_particles: bool = False,
) -> np.ndarray:
    """Stretches the contrast between two percentiles, with a shoulder for the highlights.

    With x = (v - v_low) / (v_high - v_low), v_low and v_high the percentiles of the image:

      y = 0                                                  for x < 0
      y = x                                                  for 0 <= x <= knee
      y = knee + (1 - knee) (1 - exp(-(x - knee) / (1 - knee)))   for x > knee

    and 2 y - 1 is returned. Value and slope are continuous at the knee, and y < 1: bright
    agglomerates keep their structure instead of being clipped.

    Args:
      image: (h, w), finite values of any range.
      low: percentile that becomes -1.
      high: percentile at which a straight line (knee=1) would reach 1.
      knee: share of the range kept linear, in [0, 1]; 1 clips at `high`.
      dark_particles: turns the values round first, so that dark particles become bright.

    Returns:
      (h, w) float32 in [-1, 1]; -1 everywhere for a constant image. If both percentiles are
      equal (few pixels differ), the extreme values take their place.

    Raises:
      ValueError: percentiles or knee out of range.
    """
    _check(low, high, knee)
    if image.dtype in (np.uint8, np.uint16):
        options = {"low": low, "high": high, "knee": knee, "dark_particles": dark_particles}
        return _stretch_levels(image, **options)[image]
    values = image.astype(np.float64)
    if dark_particles:
        values = values.max() - values
    bottom, top = np.percentile(values, [low, high])
    if top <= bottom:
        bottom, top = values.min(), values.max()
    return _stretch(values, bottom, top, knee)


def _check(low: float, high: float, knee: float) -> None:
    if not 0 <= low < high <= 100:
        raise ValueError(
            f"contrast percentiles are low={low}, high={high}; expected 0 <= low < high <= 100"
        )
    if not 0 <= knee <= 1:
        raise ValueError(f"contrast knee is {knee}; expected a share in [0, 1]")


def _stretch(values: np.ndarray, bottom: float, top: float, knee: float) -> np.ndarray:
    if top <= bottom:
        return np.full(values.shape, -1, np.float32)
    x = np.maximum((values - bottom) / (top - bottom), 0)
    if knee < 1:
        y = np.where(x > knee, 1 - (1 - knee) * np.exp(-(x - knee) / (1 - knee)), x)
    else:
        y = np.minimum(x, 1)
    return (2 * y - 1).astype(np.float32)


def _stretch_levels(
    image: np.ndarray, *, low: float, high: float, knee: float, dark_particles: bool
) -> np.ndarray:
    """What `stretch_contrast` makes of each grey level of uint8 or uint16, from their counts."""
    levels = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float64)
    counts = np.zeros(levels.size, np.int64)
    for rows in bands.rows(image):
        counts += np.bincount(image[rows].ravel(), minlength=levels.size)
    values = levels
    if dark_particles:
        values = np.flatnonzero(counts)[-1] - levels
    rising = np.argsort(values)
    below = np.cumsum(counts[rising])  # pixels at or below each value
    place = (below[-1] - 1) * (np.array([low, high]) / 100)
    at = np.floor(place)
    # Between two pixels, as `np.percentile` does it.
    before, after = (
        values[rising[np.searchsorted(below, np.minimum(n, below[-1] - 1), side="right")]]
        for n in (at, at + 1)
    )
    share = place - at
    step = after - before
    bottom, top = np.where(share >= 0.5, after - step * (1 - share), before + step * share)
    if top <= bottom:
        present = values[counts > 0]
        bottom, top = present.min(), present.max()
    return _stretch(values, bottom, top, knee)


class Stretched:
    """A large image whose contrast is stretched where someone looks, like `stretch_contrast`'s.

    Args:
      raw: (h, w) uint8 or uint16.
      low, high, knee, dark_particles: as for `stretch_contrast`.
    """

    ndim = 2

    def __init__(
        self, raw: np.ndarray, *, low: float, high: float, knee: float, dark_particles: bool
    ):
        _check(low, high, knee)
        self.raw = raw
        self.table = _stretch_levels(
            raw, low=low, high=high, knee=knee, dark_particles=dark_particles
        )
        self.shape, self.size = raw.shape, raw.size

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, where: Any) -> np.ndarray:
        return self.table[self.raw[where]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)
