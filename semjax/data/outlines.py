"""Outlines of single particles, read from pictures."""

from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import measure

from semjax.data import images

# Components up to this share of the particle's area are specks of a hand-drawn mask.
SPECK = 0.05


def read_outlines(folder: str | Path, *, outline_px: int = 0) -> np.ndarray:
    """Reads pictures that each show one particle, white on black.

    The threshold is the middle of a picture's range. Holes are filled, specks dropped, and the
    particle is centred (its bounding box) in a square. A particle may touch the picture's border.

    Args:
      folder: pictures, one particle each.
      outline_px: side of the squares, a multiple of 16; 0 takes the largest bounding box, rounded
        up to a multiple of 16.

    Returns:
      (n, s, s) uint8 0/1, in natural order of the names.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: no pictures; a picture that is empty, is black on white or shows several
        particles; a particle larger than `outline_px`.
    """
    if outline_px < 0 or outline_px % 16:
        raise ValueError(
            f"outline_px is {outline_px}; expected a multiple of 16, or 0 to fit the largest"
        )
    paths = images.list_images(folder)
    particles = [_read_particle(path) for path in paths]
    largest = max(max(p.shape) for p in particles)
    side = outline_px or -(-largest // 16) * 16
    for path, particle in zip(paths, particles, strict=True):
        if max(particle.shape) > side:
            h, w = particle.shape
            raise ValueError(
                f"the particle in {path} is {h} x {w} px, larger than outline_px={side}; set "
                "outline_px=0 to fit the largest particle, or scale the pictures down"
            )
    return np.stack([_centre(p, side) for p in particles])


def _read_particle(path: Path) -> np.ndarray:
    """Bounding box of a picture's particle, bool."""
    picture = images.read_image(path).astype(np.float64)
    low, high = picture.min(), picture.max()
    if low == high:
        raise ValueError(
            f"{path} is empty: all pixels have the value {low:g}; expected one white particle on "
            "black, draw it or remove the file"
        )
    # Diagonal neighbours belong together: thresholded thin parts hang on their corners.
    labels = np.asarray(measure.label(picture > (low + high) / 2, connectivity=2))
    areas = np.bincount(labels.ravel())[1:]
    n_large = int((areas > SPECK * areas.max()).sum())
    if n_large > 1:
        raise ValueError(
            f"{path} shows {n_large} particles; expected a single one: save each particle as a "
            "picture of its own"
        )
    particle = np.asarray(ndimage.binary_fill_holes(labels == areas.argmax() + 1))
    if particle.all():
        raise ValueError(
            f"{path} has a white border all round; expected a white particle on black: invert it"
        )
    rows = np.flatnonzero(particle.any(axis=1))
    cols = np.flatnonzero(particle.any(axis=0))
    return particle[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]


def _centre(particle: np.ndarray, side: int) -> np.ndarray:
    square = np.zeros((side, side), np.uint8)
    h, w = particle.shape
    row, col = (side - h) // 2, (side - w) // 2
    square[row : row + h, col : col + w] = particle
    return square
