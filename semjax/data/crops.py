"""Which tiles of the micrographs train: positions chosen by what a tile shows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRIDE_PX = 8


class Crops(NamedTuple):
    """Accepted tile positions.

    Attributes:
        image: (n,) index of the micrograph.
        row: (n,) first row of the tile.
        col: (n,) first column of the tile.
        fraction: (n,) foreground fraction of the tile, in [0, 1].
    """

    image: np.ndarray
    row: np.ndarray
    col: np.ndarray
    fraction: np.ndarray


def window_means(image: np.ndarray, *, tile_px: tuple[int, int]) -> np.ndarray:
    """Mean of `image` (h, w) over every tile whose first pixel lies on the grid of STRIDE_PX."""
    total = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    total[1:, 1:] = np.cumsum(np.cumsum(image, axis=0, dtype=np.float64), axis=1)
    h, w = tile_px
    rows = np.arange(0, image.shape[0] - h + 1, STRIDE_PX)[:, None]
    cols = np.arange(0, image.shape[1] - w + 1, STRIDE_PX)[None, :]
    upper = total[rows, cols + w] - total[rows, cols]
    lower = total[rows + h, cols + w] - total[rows + h, cols]
    return (lower - upper) / (h * w)


def choose(
    images: Sequence[np.ndarray],
    foregrounds: Sequence[np.ndarray],
    *,
    tile_px: tuple[int, int],
    tiles: str,
    foreground_range: tuple[float, float],
    brightness_ratio: float,
) -> Crops:
    """Positions of the tiles that train.

    Args:
        images: (h, w) each, in [-1, 1].
        foregrounds: (h, w) bool each, from an automatic threshold.
        tile_px: rows and columns of a tile.
        tiles: "foreground" takes tiles whose foreground fraction lies in `foreground_range`;
            "brightness" those whose mean brightness (black is 0) is at least `brightness_ratio`
            times their image's, as in the paper; "all" takes every tile.
        foreground_range: bounds of the fraction, in [0, 1].
        brightness_ratio: see `tiles`.

    Raises:
        ValueError: no tile is accepted.
    """
    found = []
    for index, (image, foreground) in enumerate(zip(images, foregrounds, strict=True)):
        fraction = window_means(foreground, tile_px=tile_px)
        if tiles == "foreground":
            accepted = (fraction >= foreground_range[0]) & (fraction <= foreground_range[1])
        elif tiles == "brightness":
            grey = (image + 1.0) / 2.0
            accepted = window_means(grey, tile_px=tile_px) >= brightness_ratio * grey.mean()
        else:
            accepted = np.ones_like(fraction, bool)
        row, col = np.nonzero(accepted)
        found.append(
            (np.full(row.size, index), row * STRIDE_PX, col * STRIDE_PX, fraction[row, col])
        )
    crops = Crops(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    if crops.image.size == 0:
        raise ValueError(
            f"no tile of {tile_px[0]} x {tile_px[1]} px of the {len(images)} images is accepted by "
            f"translate.tiles={tiles!r}. Widen translate.foreground_range, lower "
            "translate.brightness_ratio, or use translate.tiles='all'."
        )
    return crops
