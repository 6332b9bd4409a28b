"""Particles' outlines as paths for the browser, from label images."""

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage import measure

STEPS = 2  # of the paths' whole numbers in a pixel
TOLERANCE_PX = 0.6  # how far the outline may be from the pixels' own


def trace(labels: np.ndarray) -> dict[int, str]:
    """Each particle's outline, as an SVG path that the browser draws and finds under the pointer.

    The contour between a particle's pixels and others, with points left out where that moves it
    by no more than 0.6 px: some 20 points instead of 100. Holes and parts are rings of their own.

    Args:
        labels: (h, w), 0 background, 1..N.

    Returns:
        Path by label: whole half-pixels, x before y, from the image's upper left corner (not the
        centre of the first pixel); the first point absolute, all others relative.

    Source: Douglas and Peucker, Cartographica 10 (1973) 112.
    """
    found = {}
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = np.pad(labels[box] == number, 1)
        corner = np.array([box[0].start, box[1].start]) - 0.5  # of the padded pixel (0, 0)
        rings = (
            measure.approximate_polygon(ring, TOLERANCE_PX)
            for ring in measure.find_contours(mask.astype(np.float32), 0.5)
        )
        found[number] = "".join(_ring(ring + corner) for ring in rings)
    return found


def _ring(points: np.ndarray) -> str:
    """One closed ring of points (n, 2), row before column, the last one the first again."""
    whole = np.rint(STEPS * points[:-1, ::-1]).astype(int)
    start, steps = whole[0], np.diff(whole, axis=0)
    # A minus sign parts two numbers as well as a space does.
    numbers = " ".join(f"{x} {y}" for x, y in steps).replace(" -", "-")
    return f"M{start[0]} {start[1]}l{numbers}z"


def circles(particles: pd.DataFrame) -> dict[int, str]:
    """A circle of each particle's area in place of an outline, where there are no labels.

    Args:
        particles: with `label`, `row`, `col` and `area_px`.

    Returns:
        Path by label, as `trace`.
    """
    found = {}
    for row in particles.itertuples():
        radius = max(1, round(STEPS * float(np.sqrt(row.area_px / np.pi))))
        x, y = (round(STEPS * (place + 0.5)) for place in (row.col, row.row))
        half = f"a{radius} {radius} 0 1 0"
        found[int(row.label)] = f"M{x - radius} {y}{half} {2 * radius} 0{half} {-2 * radius} 0z"
    return found
