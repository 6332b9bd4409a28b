"""Outlines for the browser: near the pixels, closed, and of every particle."""

import re

import numpy as np
import pandas as pd
from matplotlib.path import Path as Polygon

from semjax.analysis import regions
from semjax.report import paths


def rings(path):
    """The path's rings as points (n, 2), x and y in pixels."""
    for text in path.split("z")[:-1]:
        start, steps = text[1:].split("l")
        numbers = np.array(re.findall(r"-?\d+", f"{start} {steps}"), float)
        yield np.cumsum(numbers.reshape(-1, 2), axis=0) / paths.STEPS


def fill(path, shape):
    """Pixels whose centres lie inside, an odd number of rings round them."""
    centres = np.stack(np.mgrid[: shape[0], : shape[1]][::-1], -1).reshape(-1, 2) + 0.5
    inside = sum(Polygon(ring).contains_points(centres).astype(int) for ring in rings(path))
    return (inside % 2 == 1).reshape(shape)


def draw(seed):
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:60, :80]
    labels = np.zeros((60, 80), np.int32)
    for number in range(1, 9):
        centre, radius = rng.uniform((0, 0), (60, 80)), rng.uniform(3, 14)
        labels[np.hypot(rows - centre[0], cols - centre[1]) < radius] = number
    return labels


def test_paths_hold_the_particles_pixels():
    for seed in range(8):
        labels = draw(seed)
        found = paths.trace(labels)
        assert set(found) == set(np.unique(labels)) - {0}
        for number, path in found.items():
            mask = labels == number
            wrong = fill(path, labels.shape) != mask
            # Points are left out of the outline only; pixels off it are right.
            rim = mask.copy()
            rim[1:] |= mask[:-1]
            rim[:-1] |= mask[1:]
            rim[:, 1:] |= mask[:, :-1]
            rim[:, :-1] |= mask[:, 1:]
            assert not (wrong & ~rim).any()
            assert wrong.sum() <= 0.12 * mask.sum() + 2


def test_holes_and_parts_are_rings_of_their_own():
    labels = np.zeros((40, 40), np.int32)
    labels[5:25, 5:25] = 1
    labels[10:20, 10:20] = 0
    labels[30:36, 30:36] = 1
    path = paths.trace(labels)[1]
    assert len(list(rings(path))) == 3
    inside = fill(path, labels.shape)
    assert inside[7, 7] and inside[33, 33] and not inside[15, 15]


def test_a_pixel_has_an_outline_round_its_middle():
    labels = np.zeros((9, 9), np.int32)
    labels[3, 6] = 2
    assert fill(paths.trace(labels)[2], labels.shape)[3, 6]


def test_circles_stand_for_outlines():
    labels = np.zeros((50, 50), np.int32)
    rows, cols = np.mgrid[:50, :50]
    labels[np.hypot(rows - 20, cols - 30) < 9] = 5
    labels[40:44, 2:9] = 7
    table = regions.measure(labels)
    found = paths.circles(table)
    assert set(found) == {5, 7}
    x, y, radius = map(int, re.match(r"M(\d+) (\d+)a(\d+)", found[5]).groups())
    assert abs((x + radius) / paths.STEPS - 30.5) < 0.6 and abs(y / paths.STEPS - 20.5) < 0.6
    assert abs(radius / paths.STEPS - 9) < 0.6
    assert paths.circles(pd.DataFrame(columns=["label", "row", "col", "area_px"])) == {}
