import json

import numpy as np
import pytest

from semjax.analysis.distribution import summarize

NAMES = (
    *("mean", "median", "sd", "d10", "d50", "d90", "geometric_mean", "geometric_sd"),
    "share_below_nano",
)


def test_lognormal_sizes():
    values = np.random.default_rng(0).lognormal(np.log(180), 0.35, 4000)
    result = summarize(values, seed=1, bootstrap=300)
    assert result["n"] == 4000
    assert result["geometric_mean"] == pytest.approx(180, rel=0.02)
    assert result["geometric_sd"] == pytest.approx(np.exp(0.35), rel=0.02)
    assert result["d10"] == pytest.approx(180 * np.exp(-1.2816 * 0.35), rel=0.03)
    assert result["share_below_nano"] == pytest.approx(0.0465, abs=0.01)
    assert result["median"] == result["d50"]
    for name in NAMES:
        low, high = result[f"{name}_interval"]
        assert low <= result[name] <= high


def test_interval_of_the_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(200, 20, 400)
    low, high = summarize(values, seed=0)["mean_interval"]
    assert high - low == pytest.approx(2 * 1.96 * 20 / 400**0.5, rel=0.15)


def test_values_by_hand():
    result = summarize(np.array([50.0, 100.0, 200.0]), seed=0, bootstrap=0)
    assert result["mean"] == pytest.approx(350 / 3)
    assert result["geometric_mean"] == pytest.approx(100)
    assert result["geometric_sd"] == pytest.approx(2)
    assert result["share_below_nano"] == pytest.approx(1 / 3)  # 100 nm itself is not below
    assert result["mean_interval"] is None


def test_same_seed_same_intervals():
    values = np.random.default_rng(0).uniform(50, 300, 30)
    assert summarize(values, seed=4) == summarize(values, seed=4)
    assert summarize(values, seed=4) != summarize(values, seed=5)


def test_no_value_and_a_single_value():
    none = summarize(np.array([]), seed=0)
    assert none["n"] == 0 and all(none[name] is None for name in NAMES)
    one = summarize(np.array([80.0]), seed=0)
    assert one["mean"] == one["d90"] == 80 and one["geometric_mean"] == pytest.approx(80)
    assert one["share_below_nano"] == 1
    assert one["sd"] is None and one["geometric_sd"] is None and one["mean_interval"] is None
    assert set(none) == set(one)


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_result_is_strict_json(n):
    json.dumps(summarize(np.linspace(50, 60, n), seed=0, bootstrap=20), allow_nan=False)


@pytest.mark.parametrize("bad", [0.0, -3.0, np.nan, np.inf])
def test_sizes_must_be_positive_and_finite(bad):
    with pytest.raises(ValueError, match="positive and finite"):
        summarize(np.array([10.0, bad]), seed=0)
