import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from semjax.analysis import feret, uncertainty

SIZES = np.random.default_rng(0).lognormal(np.log(180), 0.3, 300)


def budget(sizes=SIZES, weights=None, cluster=None, pixel_size=5.0, **keys):
    weights = np.ones(sizes.size) if weights is None else weights
    cluster = np.arange(sizes.size) if cluster is None else cluster
    pixel_size = None if pixel_size is None else np.full(sizes.size, pixel_size)
    keys = {"unit": "nm", "calibration": None, "sensitivity": None} | keys
    return uncertainty.budget(sizes, weights, cluster, pixel_size, **keys)


def parts(found):
    return {row["source"]: row["relative_standard_uncertainty"] for row in found["rows"]}


def test_parts_by_hand():
    found = budget(calibration=0.02)
    mean, part = SIZES.mean(), parts(found)
    assert found["mean"] == pytest.approx(mean)
    assert part["counting"] == pytest.approx(stats.sem(SIZES) / mean)
    assert part["calibration"] == 0.02
    # Contours within 0.3 px of 5 nm on both sides: sizes within 3 nm.
    assert part["segmentation"] == pytest.approx(3 / 3**0.5 / mean)
    combined = np.sqrt(sum(x**2 for x in part.values()))
    assert found["combined_relative"] == pytest.approx(combined)
    assert found["combined"] == pytest.approx(combined * mean)
    assert found["expanded"] == pytest.approx(2 * combined * mean)
    assert "assumed" in found["note"] and "lower bound" not in found["note"]
    assert [row["type"] for row in found["rows"]] == ["A", "B", "B"]


def test_measured_sensitivity_replaces_the_assumed_one():
    means = pd.DataFrame({"threshold": [0.3, 0.5, 0.7], "mean": [190.0, 188.0, 184.0]})
    found = budget(sensitivity=means)
    assert parts(found)["segmentation"] == pytest.approx(3 / 3**0.5 / SIZES.mean())
    assert "assumed" not in found["note"]


def test_unknown_calibration_is_said_and_adds_nothing():
    found = budget()
    assert parts(found)["calibration"] is None and "lower bound" in found["note"]
    assert found["combined"] == pytest.approx(budget(calibration=0.0)["combined"])
    pixels = budget(unit="px", pixel_size=1.0, calibration=0.5)
    assert parts(pixels)["calibration"] is None and "lower bound" not in pixels["note"]


def test_degrees_of_freedom_of_few_images():
    cluster = np.arange(SIZES.size) % 6
    found = budget(cluster=cluster, pixel_size=None)
    assert found["rows"][0]["degrees_of_freedom"] == 5
    assert found["rows"][0]["how"].endswith("over 6 images")
    # Counting alone: as many as counting has. Other parts add some.
    assert found["effective_degrees_of_freedom"] == pytest.approx(5)
    assert "less than 95 %" in found["note"]
    assert budget(cluster=cluster)["effective_degrees_of_freedom"] > 5
    assert budget()["rows"][0]["how"].endswith("over 300 particles")


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_particles(n):
    found = budget(SIZES[:n], calibration=0.01)
    assert found["combined"] is None and found["expanded"] is None
    assert set(found) == set(budget())
    assert (found["mean"] is None) == (n == 0)


def test_equal_sizes():
    found = budget(np.full(9, 50.0), calibration=0.01)
    assert parts(found)["counting"] == 0 and found["effective_degrees_of_freedom"] is None


def test_bad_input():
    with pytest.raises(ValueError, match="such as 0.01 for 1 %"):
        budget(calibration=-1.0)
    for table in ({"size": [1.0, 2.0]}, {"mean": [1.0]}, {"mean": [1.0, np.nan]}):
        with pytest.raises(ValueError, match="column `mean`"):
            budget(sensitivity=pd.DataFrame(table))


def test_shift_of_contours_is_that_of_eroded_and_dilated_shapes():
    yy, xx = np.mgrid[:200, :200]
    disc = (yy - 100) ** 2 + (xx - 100) ** 2 <= 60**2
    inward = ndimage.distance_transform_edt(disc)
    sizes = [feret.measure((inward > d).astype(int)).min_feret[0] for d in (0, 6)]
    assert sizes[0] - sizes[1] == pytest.approx(12, abs=1)
    table = uncertainty.shifted(np.array([100.0, 200.0]), np.ones(2), np.array([5.0, 5.0]))
    assert table["mean"].tolist() == pytest.approx([147, 150, 153])


def test_sizes_at_thresholds_follow_the_probability():
    # Two discs with soft edges that touch in the middle: a threshold moves only the outer contour.
    yy, xx = np.mgrid[:80, :140]
    left, right = (np.hypot(yy - 40, xx - c) for c in (40, 100))
    probability = np.clip(0.5 + (30.2 - np.minimum(left, right)) / 8, 0, 1)
    labels = np.where(probability >= 0.5, np.where(left < right, 1, 3), 0).astype(np.int32)
    thresholds = (0.25, 0.5, 0.75)
    found = uncertainty.at_thresholds(labels, probability, np.array([3, 1]), thresholds=thresholds)
    # A quarter of probability is 2 px of the radius; outwards, the neighbour is in the way.
    growth = found[:, 0] - found[:, 1]
    assert ((growth > 1.5) & (growth < 4)).all()
    assert found[:, 2] == pytest.approx(found[:, 1] - 4, abs=1)
    own = feret.measure(labels).min_feret
    assert found[:, 1] == pytest.approx(own[[2, 0]], abs=1e-9)
    table = uncertainty.sensitivity(found, np.ones(2), thresholds=thresholds)
    assert table["mean"].is_monotonic_decreasing and len(table) == 3
    gone = uncertainty.at_thresholds(labels, probability, np.array([1]), thresholds=(0.5, 1.1))
    assert np.isnan(gone[0, 1])
    assert len(uncertainty.sensitivity(gone, np.ones(1), thresholds=(0.5, 1.1))) == 0
