"""Sizes, shapes and brightness of the particles of a label image, as a table."""

import numpy as np
import pandas as pd
from scipy import ndimage

from semjax.analysis import bands, feret


def perimeters(labels: np.ndarray) -> np.ndarray:
    """Perimeter of every particle in pixels, float64 (N,), by Crofton's formula in four directions.

    Along rows, columns and both diagonals, the borders crossed are counted; the perimeter is pi / 8
    times their sum, each weighted by the distance of the lines it was found on. What touches the
    image's border is closed there. On discs and ellipses, the mean bias is below 0.5 %, on randomly
    turned squares -1 to -3 % (single ones vary by 2.5 %), on simulated particles that are seen
    whole -0.1 % (-0.5 % below a diameter of 16 px; see `benchmarks/contours.py`).

    Source: Legland, Kieu and Devaux, Image Analysis and Stereology 26 (2007) 83.
    """
    padded = np.pad(labels, 1)
    size = int(labels.max(initial=0)) + 1
    total = np.zeros(size)
    for a, b, spacing in (
        (padded[1:], padded[:-1], 1.0),
        (padded[:, 1:], padded[:, :-1], 1.0),
        (padded[1:, 1:], padded[:-1, :-1], 0.5**0.5),
        (padded[1:, :-1], padded[:-1, 1:], 0.5**0.5),
    ):
        crossed = a != b
        for side in (a, b):
            total += spacing * np.bincount(side[crossed], minlength=size)
    return np.pi / 8 * total[1:]


def _moments(labels: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centroid and central second moments of labels 1..N: row, column, rr, rc, cc, (N,) each."""
    row, column = np.nonzero(labels)
    label = labels[row, column]

    def average(weights: np.ndarray) -> np.ndarray:
        total = np.bincount(label, weights, minlength=area.size + 1)[1:]
        return np.divide(total, area, out=np.full(area.size, np.nan), where=area > 0)

    mean_row, mean_column = average(row), average(column)
    r, c = row - mean_row[label - 1], column - mean_column[label - 1]
    # A pixel is a square, not a point: its own moment is 1/12.
    return mean_row, mean_column, average(r * r) + 1 / 12, average(r * c), average(c * c) + 1 / 12


def border_weights(labels: np.ndarray) -> np.ndarray:
    """For how many particles each whole one stands, since others like it were cut by the border.

    A particle with a pixel in the image's outermost rows or columns may go on beyond, so it is not
    measured. In an image of H rows and W columns, a particle of h rows and w columns keeps clear of
    them at (H - h - 1) (W - w - 1) positions: its first row may be 1 to H - 1 - h, counted from 0.
    Its reference pixel (any one that moves along with it) lies in the image at H W positions. Each
    whole particle therefore has the weight

        H W / ((H - h - 1) (W - w - 1)).

    Over all positions of a particle, the weights sum up to exactly H W, whatever its size: where
    particles lie at random, without regard to the frame, sums of weights are unbiased for the
    number of those whose reference pixel is in the image, and sums of weighted values for theirs.
    That holds for particles between pixels, too, since it holds for each shift by less than a
    pixel. What is longer than H - 2 or W - 2 pixels is never whole, and no weight makes up for it.

    Args:
        labels: (h, w), 0 background, 1..N, without the information bar.

    Returns:
        float64 (N,): the weight, above 1; 0 for particles at the border and numbers without pixels.

    Source: Miles, On the elimination of edge effects in planar sampling, in Stochastic Geometry
    (Wiley 1974), 228; Lantuéjoul, Microscopica Acta Suppl. 4 (1980) 266; ISO 13322-1:2014.
    Differs: there, a particle may touch the frame, an ideal line, and W - w and H - h stand in the
    denominator; here, the outermost pixels belong to the frame.
    """
    height, width = labels.shape
    outside = slice(0, 0), slice(0, 0)  # of numbers without pixels
    boxes = [box or outside for box in ndimage.find_objects(labels)]
    if not boxes:
        return np.zeros(0)
    top, bottom, left, right = np.array([(r.start, r.stop, c.start, c.stop) for r, c in boxes]).T
    whole = (top > 0) & (left > 0) & (bottom < height) & (right < width)
    free = (height - 1 - (bottom - top)) * (width - 1 - (right - left))
    return np.where(whole, height * width / np.where(whole, free, 1), 0.0)


def measure(
    labels: np.ndarray, image: np.ndarray | None = None, *, pixel_size_nm: float | None = None
) -> pd.DataFrame:
    """Measures every particle; touching ones are measured each on its own.

    Args:
        labels: (h, w), 0 background, 1..N; numbers without pixels are left out.
        image: (h, w) for the mean brightness, in any unit.
        pixel_size_nm: side of a pixel; without it, lengths stay in pixels.

    Returns:
        One row a particle. `u` below is nm or px. Names are ImageJ's where it has them.

        - `label`; `row`, `col`: centroid in pixels, centres of pixels at whole numbers;
        - `border`: the particle touches the image's border, so its sizes are lower bounds;
        - `border_weight`: for how many particles a whole one stands; see `border_weights`;
        - `area_px`: number of pixels, and with a pixel size `area_nm2`;
        - `min_feret_u`, `max_feret_u`: on the contour of least bias (see `feret.measure`);
        - `min_feret_corners_u`, `max_feret_corners_u`: on the pixels' corners, as ImageJ;
        - `equivalent_circular_diameter_u`: 2 sqrt(area / pi);
        - `perimeter_u`: see `perimeters`;
        - `aspect_ratio`: of the axes of the ellipse of equal second moments, at least 1;
        - `solidity`: area / area of the convex hull of the pixels' corners, in (0, 1];
        - `circularity`: 4 pi area / perimeter^2; 1 for a disc, above 1 for a few pixels, because it
          is not cut there;
        - `orientation_deg`: of the ellipse's long axis, counter-clockwise from the direction to the
          right as seen in the image, in [0, 180);
        - `mean_intensity`: mean of `image` inside, if given.

    Raises:
        ValueError: for arrays that are not of one two-dimensional shape, or a pixel size that is
            not positive.
    """
    if labels.ndim != 2 or (image is not None and image.shape != labels.shape):
        shapes = labels.shape if image is None else (labels.shape, image.shape)
        raise ValueError(f"labels and image must have one two-dimensional shape, got {shapes}")
    if pixel_size_nm is not None and not (0 < pixel_size_nm < np.inf):
        raise ValueError(f"pixel_size_nm must be positive, or None if unknown, got {pixel_size_nm}")
    labels = labels.view(np.uint8) if labels.dtype == bool else labels
    border_weight = border_weights(labels)
    tables = []
    for rows, particles, numbers in bands.whole(labels):
        brightness = None if image is None else image[rows]
        table = _measure(particles, brightness, pixel_size_nm=pixel_size_nm)
        at = numbers[table["label"] - 1]
        table["label"], table["row"] = at, table["row"] + rows.start
        table.insert(3, "border", border_weight[at - 1] == 0)
        table.insert(4, "border_weight", border_weight[at - 1])
        tables.append(table)
    if len(tables) == 1:
        return tables[0]
    return pd.concat(tables).sort_values("label", ignore_index=True)


def _measure(
    labels: np.ndarray, image: np.ndarray | None, *, pixel_size_nm: float | None
) -> pd.DataFrame:
    """What `measure` gives, but for the image's border, of particles that are whole in `labels`."""
    labels = labels.astype(np.int64)
    area = np.bincount(labels.ravel(), minlength=1)[1:]
    row, column, rr, rc, cc = _moments(labels, area)
    spread = np.hypot(rr - cc, 2 * rc)
    inner = feret.measure(labels)
    corners = feret.measure(labels, contour="corners")
    perimeter = perimeters(labels)
    # A tiny negative angle modulo 180 is rounded to 180, and only the second modulo makes it 0.
    orientation = np.rad2deg(np.arctan2(-2 * rc, cc - rr) / 2) % 180.0 % 180.0
    u, scale = ("px", 1.0) if pixel_size_nm is None else ("nm", float(pixel_size_nm))
    columns = {
        "label": np.arange(1, area.size + 1),
        "row": row,
        "col": column,
        "area_px": area,
    }
    if pixel_size_nm is not None:
        columns["area_nm2"] = area * scale**2
    present = area > 0  # numbers without pixels have no ratios; their rows are left out below
    columns |= {
        f"min_feret_{u}": scale * inner.min_feret,
        f"max_feret_{u}": scale * inner.max_feret,
        f"min_feret_corners_{u}": scale * corners.min_feret,
        f"max_feret_corners_{u}": scale * corners.max_feret,
        f"equivalent_circular_diameter_{u}": scale * 2 * np.sqrt(area / np.pi),
        f"perimeter_{u}": scale * perimeter,
        "aspect_ratio": np.sqrt((rr + cc + spread) / (rr + cc - spread)),
        "solidity": area / corners.hull_area,
        "circularity": 4 * np.pi * area / np.where(present, perimeter, 1.0) ** 2,
        "orientation_deg": orientation,
    }
    if image is not None:
        weights = np.asarray(image, np.float64).ravel()
        total = np.bincount(labels.ravel(), weights, minlength=area.size + 1)[1:]
        columns["mean_intensity"] = total / np.where(present, area, 1)
    return pd.DataFrame(columns)[present].reset_index(drop=True)
