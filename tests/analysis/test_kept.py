"""The choice of measurable particles, in cases counted by hand."""

import numpy as np
import pandas as pd
import pytest

from semjax.analysis import kept

GREEN, BLUE, RED, BLACK = (0, 255, 0), (0, 0, 255), (255, 0, 0), (0, 0, 0)


def squares(*corners, shape=(40, 60)):
    labels = np.zeros(shape, np.int32)
    for label, (row, col) in enumerate(corners, start=1):
        labels[row : row + 6, col : col + 6] = label
    return labels


def paint(labels, *colors):
    return np.array([BLACK, *colors], np.uint8)[labels]


def test_verdicts_by_colour_majority_border_and_missing_rows():
    labels = squares((2, 2), (2, 12), (2, 22), (2, 32), (0, 42), (30, 2), (20, 30))
    classes = paint(labels, GREEN, BLUE, RED, BLACK, GREEN, GREEN, GREEN)
    classes[20:22, 30:36] = RED  # a third of the particle
    classes = classes[:32]  # the sixth particle reaches beyond
    expected = [
        *(kept.OPEN, kept.GOOD, kept.OPEN, kept.BAD),
        *(kept.OPEN, kept.OPEN, kept.OPEN, kept.GOOD),
    ]
    assert kept.verdicts(labels, classes).tolist() == expected
    two = np.where(classes[..., 1] > 0, 255, 0)
    expected[2] = expected[4] = kept.BAD  # two classes know no undecided ones
    assert kept.verdicts(labels, two).tolist() == expected


def test_white_is_good_also_beside_red():
    labels = squares((5, 5))
    colors = paint(labels, (255, 255, 255))
    particle = np.argwhere(labels == 1)
    colors[tuple(particle[: len(particle) // 3].T)] = (255, 0, 0)
    assert kept.verdicts(labels, colors)[1] == kept.GOOD


def test_right_wrong_free_and_missed():
    truth = squares((2, 2), (2, 12), (2, 22), (2, 32), (20, 2))
    verdict = np.array([kept.OPEN, kept.GOOD, kept.GOOD, kept.BAD, kept.OPEN, kept.GOOD])
    # Found: good, good (not kept), bad, open, and one where nothing is; the last good is missed.
    labels = squares((2, 2), (2, 12), (2, 22), (2, 32), (30, 40))
    keep = np.array([True, False, True, True, True])
    assert kept.count(labels, keep, truth, verdict) == {"tp": 1, "fp": 2, "fn": 2}
    assert kept.count(truth, verdict[1:] == kept.GOOD, truth, verdict) == {
        "tp": 3,
        "fp": 0,
        "fn": 0,
    }
    nothing = np.zeros_like(truth)
    assert kept.count(nothing, np.zeros(0, bool), truth, verdict) == {"tp": 0, "fp": 0, "fn": 3}


def test_each_particle_has_the_verdict_of_the_one_it_matches():
    truth = squares((2, 2), (2, 12), (2, 22), (2, 32))
    verdict = np.array([kept.OPEN, kept.GOOD, kept.BAD, kept.OPEN, kept.GOOD])
    labels = squares((2, 22), (2, 12), (2, 3), (30, 40))  # the last good one is missed
    found = kept.judge(labels, truth, verdict)
    assert found.tolist() == [kept.OPEN, kept.BAD, kept.GOOD, kept.BAD]
    assert kept.count(labels, found == kept.GOOD, truth, verdict) == {"tp": 1, "fp": 0, "fn": 1}
    assert kept.judge(np.zeros_like(truth), truth, verdict).size == 0


def test_shifted_particles_match_from_half_on():
    truth = squares((10, 10))
    verdict = np.array([kept.OPEN, kept.GOOD])
    keep = np.array([True])
    # Shifted by 2 of 6 px: 24 of 48 px are common, by 3: 18 of 54.
    assert kept.count(squares((10, 12)), keep, truth, verdict)["tp"] == 1
    assert kept.count(squares((10, 13)), keep, truth, verdict) == {"tp": 0, "fp": 1, "fn": 1}


def test_pooled_over_images():
    together = kept.pooled([{"tp": 3, "fp": 1, "fn": 0}, {"tp": 1, "fp": 0, "fn": 3}])
    assert together["precision"] == pytest.approx(4 / 5)
    assert together["recall"] == pytest.approx(4 / 7)
    assert together["f1"] == pytest.approx(8 / 12)
    nothing = kept.pooled([{"tp": 0, "fp": 0, "fn": 0}])
    assert nothing["f1"] == nothing["precision"] == nothing["recall"] == 1


def test_fixed_rule():
    table = pd.DataFrame({"area_px": [199, 200, 900], "solidity": [0.99, 0.85, 0.8]})
    assert kept.fixed_rule(table).tolist() == [False, True, False]
