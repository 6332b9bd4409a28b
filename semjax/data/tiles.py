"""Cutting an image into overlapping tiles and joining results without seams."""

import numpy as np


def starts(size: int, tile_px: int, overlap_px: int, grid_px: int = 1) -> np.ndarray:
    """First pixels of the tiles along one axis, evenly spread over the axis.

    A network that pools sees pixels in squares. Tiles give what the image in one piece gives only
    if they begin where such a square does; so all of them begin at multiples of `grid_px`, and the
    last one may reach beyond the axis.

    Args:
      size: length of the axis.
      tile_px: length of a tile, a multiple of `grid_px`.
      overlap_px: neighbours share at least so many pixels, in [0, tile_px).
      grid_px: side of the squares.

    Returns:
      (n,) int, rising from 0; a single 0 if the axis is not longer than a tile.

    Raises:
      ValueError: the overlap is not smaller than the tile, or a length does not fit.
    """
    if size < 1 or not 0 <= overlap_px < tile_px or tile_px % grid_px:
        raise ValueError(
            f"cannot tile {size} px with tiles of {tile_px} px that overlap by {overlap_px} px; "
            "expected 0 <= overlap < tile, at least one pixel, and tiles that are multiples of "
            f"{grid_px} px"
        )
    if size <= tile_px:
        return np.zeros(1, int)
    size, overlap, tile = -(-size // grid_px), -(-overlap_px // grid_px), tile_px // grid_px
    if overlap >= tile:
        raise ValueError(
            f"tiles of {tile_px} px that begin at multiples of {grid_px} px cannot overlap by "
            f"{overlap_px} px; make them larger"
        )
    n = -(-(size - overlap) // (tile - overlap))
    # Whole numbers, rounded down: steps never exceed tile - overlap.
    return np.arange(n) * (size - tile) // (n - 1) * grid_px


def origins(
    shape: tuple[int, int], tile_px: tuple[int, int], overlap_px: int, grid_px: int = 1
) -> np.ndarray:
    """Row and column (n, 2) at which each tile of an image begins, row by row."""
    axes = [starts(size, px, overlap_px, grid_px) for size, px in zip(shape, tile_px, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def cut(
    image: np.ndarray, tile_px: tuple[int, int], overlap_px: int, grid_px: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts an image into tiles of one shape.

    Where tiles reach beyond the image, it is continued by reflection at its bottom and right.

    Args:
      image: (h, w) or (h, w, c).
      tile_px: rows and columns of a tile.
      overlap_px: pixels that neighbours share at least.
      grid_px: tiles begin at multiples of it, see `starts`.

    Returns:
      tiles (n, rows, cols) or (n, rows, cols, c), and origins (n, 2): row, col of each.
    """
    rows, cols = tile_px
    h, w = image.shape[:2]
    corners = origins((h, w), tile_px, overlap_px, grid_px)
    bottom, right = corners[-1] + (rows, cols)
    margins = [(0, max(0, bottom - h)), (0, max(0, right - w))] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, margins, mode="reflect")
    return np.stack([padded[row : row + rows, col : col + cols] for row, col in corners]), corners


def join(
    tiles: np.ndarray, shape: tuple[int, int], overlap_px: int, grid_px: int = 1
) -> np.ndarray:
    """Joins tiles as cut by `cut`.

    Half of the overlap is dropped at every side inside the image, where a network saw too little
    of the surroundings.

    Args:
      tiles: (n, rows, cols) or (n, rows, cols, k), results for the tiles.
      shape: rows and columns of the image.
      overlap_px: as given to `cut`.
      grid_px: as given to `cut`.

    Returns:
      (h, w) or (h, w, k) of the tiles' type.

    Raises:
      ValueError: the number of tiles does not fit the shape.
    """
    h, w = shape
    rows, cols = tiles.shape[1:3]
    corners = origins(shape, (rows, cols), overlap_px, grid_px)
    if len(tiles) != len(corners):
        raise ValueError(
            f"an image of {h} x {w} px has {len(corners)} tiles of {rows} x {cols} px with an "
            f"overlap of {overlap_px} px, but {len(tiles)} tiles came"
        )
    joined = np.zeros((h, w, *tiles.shape[3:]), tiles.dtype)
    half = overlap_px // 2
    for tile, (row, col) in zip(tiles, corners, strict=True):
        top = row + (half if row else 0)
        left = col + (half if col else 0)
        bottom = h if row + rows >= h else row + rows - half
        right = w if col + cols >= w else col + cols - half
        joined[top:bottom, left:right] = tile[top - row : bottom - row, left - col : right - col]
    return joined
