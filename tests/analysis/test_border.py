"""Weights of whole particles for those that the border cuts."""

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import regions
from semjax.analysis.distribution import summarize
from semjax.phantom import simulate


def paint(inside, shape, top, left):
    """One particle, a small boolean picture, at a place that may lie partly or wholly outside."""
    labels = np.zeros(shape, np.int32)
    rows, columns = np.nonzero(inside)
    rows, columns = rows + top, columns + left
    seen = (rows >= 0) & (columns >= 0) & (rows < shape[0]) & (columns < shape[1])
    labels[rows[seen], columns[seen]] = 1
    return labels


@pytest.mark.parametrize(
    "inside",
    [
        np.ones((1, 1), bool),
        np.ones((3, 4), bool),
        np.ones((7, 1), bool),  # fits in a single row of positions
        np.eye(4, dtype=bool) | np.eye(4, dtype=bool)[::-1],
    ],
)
def test_weights_over_all_positions_count_the_positions(inside):
    shape = height, width = (9, 11)
    total = seen_whole = 0
    for top in range(-inside.shape[0], height + 1):
        for left in range(-inside.shape[1], width + 1):
            weights = regions.border_weights(paint(inside, shape, top, left))
            total += weights.sum()
            seen_whole += np.count_nonzero(weights)
    assert seen_whole == (height - inside.shape[0] - 1) * (width - inside.shape[1] - 1)
    assert total == pytest.approx(height * width, rel=1e-12)


def test_weights_belong_to_labels_and_agree_with_the_border():
    labels = np.zeros((20, 30), np.uint16)
    labels[1:5, 1:3], labels[0:4, 10:14], labels[8:18, 20:22], labels[6:8, 28:30] = 1, 2, 4, 5
    weights = regions.border_weights(labels)
    assert weights == pytest.approx([600 / (15 * 27), 0, 0, 600 / (9 * 27), 0])
    table = regions.measure(labels)
    assert table.label.tolist() == [1, 2, 4, 5]
    assert table.border_weight.tolist() == weights[[0, 1, 3, 4]].tolist()
    assert table.border.tolist() == [False, True, False, True]
    assert regions.border_weights(np.zeros((4, 4), np.int32)).size == 0
    assert regions.border_weights(np.ones((1, 1), np.int32)).tolist() == [0]


def throw_discs(rng, side, radii, n):
    """Labels of n discs that do not touch, thrown over a square, and the centre and radius of each.

    Places are whole numbers and a shift, so that discs of one size differ in their pixels.
    """
    labels, found = np.zeros((side, side), np.int32), []
    while len(found) < n:
        radius, (row, column) = radii[len(found) % len(radii)], rng.uniform(30, side - 30, 2)
        top, left = int(row) - 25, int(column) - 25
        rows, columns = np.ogrid[top : top + 51, left : left + 51]
        distance = np.hypot(rows - row, columns - column)
        patch = labels[top : top + 51, left : left + 51]
        if not patch[distance < radius + 1.5].any():
            found.append((row, column, radius))
            patch[distance < radius] = len(found)
    return labels, np.array(found)


def test_weights_take_away_the_bias_of_frames():
    rng, frame, side = np.random.default_rng(0), 90, 1800
    labels, discs = throw_discs(rng, side, (5.0, 20.0), 1000)
    weights = np.zeros(len(discs))
    for top in range(90, side - 90, frame):
        for left in range(90, side - 90, frame):
            found = regions.border_weights(labels[top : top + frame, left : left + frame])
            weights[: found.size] += found  # a disc is whole in one frame at most
    inside = ((discs[:, :2] >= 89.5) & (discs[:, :2] < side - 90.5)).all(axis=1)
    true, kept = 2 * discs[inside, 2], weights > 0
    sizes, weights = 2 * discs[kept, 2], weights[kept]
    dropped = summarize(sizes, bootstrap=300, seed=0)
    weighted = summarize(sizes, weights, bootstrap=300, seed=0)
    assert dropped["mean_interval"][1] < 0.85 * true.mean()
    low, high = weighted["mean_interval"]
    assert low < true.mean() < high and high - low < 0.15 * true.mean()
    assert weighted["mean"] == pytest.approx(true.mean(), rel=0.04)
    assert weights.sum() == pytest.approx(true.size, rel=0.06)
    for size in (10, 40):
        assert weights[sizes == size].sum() == pytest.approx((true == size).sum(), rel=0.1)


def test_weights_take_away_the_bias_on_the_phantom():
    """Against all bodies whose centre lies in the frame, whole or not, hidden in part or not."""
    side, tables = 128, []
    for seed in range(16):
        phantom = simulate(seed, image_px=(side, side), foreground=0.12)
        tables.append(phantom.table.assign(weight=regions.border_weights(phantom.labels)))
    bodies = pd.concat(tables)
    centred = bodies["row"].between(-0.5, side - 0.5) & bodies["col"].between(-0.5, side - 0.5)
    true = bodies[centred]["min_feret_px"].mean()
    kept = bodies[bodies["weight"] > 0]
    assert kept["min_feret_px"].mean() < 0.95 * true
    assert np.average(kept["min_feret_px"], weights=kept["weight"]) == pytest.approx(true, rel=0.03)
    assert kept["weight"].sum() == pytest.approx(centred.sum(), rel=0.2)
