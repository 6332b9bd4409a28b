"""Tiles of simulated micrographs, with what is known of the particles in each."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from semjax.phantom.micrograph import Phantom


class Tile(NamedTuple):
    """One tile of a simulated micrograph.

    where: rows and columns of the micrograph.
    labels: int32 (h, w), 0 film, 1..n without gaps, in the order of the micrograph's labels.
    table: one row a particle seen in the tile: label; row, col (centre of its whole projection, in
        pixels of the tile; it may lie beyond); whole_area_px, with what is covered or beyond the
        tile; visible_area_px, the pixels of its label.
    """

    where: tuple[slice, slice]
    labels: np.ndarray
    table: pd.DataFrame


def cut_tiles(phantom: Phantom, *, tile_px: tuple[int, int]) -> list[Tile]:
    """Cut a simulated micrograph into tiles side by side, row by row, from its first pixel on.

    Args:
        phantom: the micrograph; rows and columns that fill no further tile are left out.
        tile_px: rows and columns of a tile.

    Raises:
        ValueError: a tile is larger than the micrograph.
    """
    (h, w), (height, width) = tile_px, phantom.labels.shape
    if h > height or w > width:
        raise ValueError(f"no tile of {h} x {w} px fits into a micrograph of {height} x {width} px")
    tiles = []
    for row in range(0, height - h + 1, h):
        for col in range(0, width - w + 1, w):
            where = slice(row, row + h), slice(col, col + w)
            area = np.bincount(phantom.labels[where].ravel(), minlength=len(phantom.table) + 1)
            area[0] = 0
            new_label = np.where(area > 0, np.cumsum(area > 0), 0).astype(np.int32)
            seen = phantom.table[area[1:] > 0]
            table = pd.DataFrame(
                {
                    "label": new_label[seen["label"]],
                    "row": seen["row"].to_numpy() - row,
                    "col": seen["col"].to_numpy() - col,
                    "whole_area_px": seen["whole_area_px"].to_numpy(),
                    "visible_area_px": area[seen["label"]],
                }
            )
            tiles.append(Tile(where, new_label[phantom.labels[where]], table))
    return tiles
