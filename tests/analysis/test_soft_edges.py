"""Lengths from a soft probability: bodies drawn finer than pixels, blurred, cut at one half."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from semjax.analysis import regions
from semjax.phantom.bodies import draw_body, measure_silhouette, silhouette

CELL_PX, FINER, BODIES, PLACES = 72, 8, 20, 6


def cover(corners, size):
    """Share of each pixel that a convex polygon covers, exact along columns, on eight lines a row.

    Args:
        corners: (v, 2) row and column, centres of pixels at whole numbers.
        size: rows and columns of the picture.
    """
    line = (np.arange(FINER * size)[:, None] + 0.5) / FINER - 0.5
    (row, column), (next_row, next_column) = corners.T, np.roll(corners, -1, axis=0).T
    crossed = (row <= line) != (next_row <= line)
    slope = (next_column - column) / np.where(row == next_row, 1, next_row - row)
    met = column + (line - row) * slope
    first = np.where(crossed, met, np.inf).min(axis=1, keepdims=True)
    last = np.where(crossed, met, -np.inf).max(axis=1, keepdims=True)
    pixel = np.arange(size)
    covered = np.clip(np.minimum(last, pixel + 0.5) - np.maximum(first, pixel - 0.5), 0, 1)
    return covered.reshape(size, FINER, size).mean(axis=1)


@pytest.fixture(scope="module")
def bodies():
    """Shares covered by bodies that lie apart, a row each, turned and shifted; their true sizes."""
    rng, rows, sizes = np.random.default_rng(0), [], []
    for _ in range(BODIES):
        body = draw_body(rng)
        outline, row = silhouette(body), []
        for angle in rng.uniform(0, 2 * np.pi, PLACES):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            middle = CELL_PX / 2 + rng.uniform(-0.5, 0.5, 2)
            row.append(cover(outline @ turn + middle, CELL_PX))
        rows.append(row)
        sizes.append(measure_silhouette(body))
    return np.block(rows), {name: np.mean([s[name] for s in sizes]) for name in sizes[0]}


def test_the_picture_is_of_the_bodies(bodies):
    picture, true = bodies
    assert picture.sum() == pytest.approx(BODIES * PLACES * true["area_px"], rel=1e-4)


@pytest.mark.parametrize("blur_px", [0.0, 1.0])
def test_lengths_of_a_soft_edge_are_unbiased(bodies, blur_px):
    picture, true = bodies
    row, column = (np.arange(n) // CELL_PX for n in picture.shape)
    labels = 1 + PLACES * row[:, None] + column
    soft = gaussian_filter(picture, blur_px) if blur_px else picture
    found = regions.measure(np.where(soft > 0.5, labels, 0), pixel_size_nm=2.0)
    # Blur rounds corners off, and so cuts a little of everything; of the perimeter most.
    for quantity, name, limit in (
        ("min_feret", "min_feret", 0.005),
        ("max_feret", "max_feret", 0.005),
        ("equivalent_circular_diameter", "diameter", 0.005),
        ("perimeter", "perimeter", 0.01),
    ):
        bias = found[f"{quantity}_nm"].mean() / (2.0 * true[f"{name}_px"]) - 1
        assert abs(bias) < limit, (quantity, bias)
