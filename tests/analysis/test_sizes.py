"""Agreement of size distributions."""

import numpy as np
import pytest

from semjax.analysis import sizes


def draw(seed, n=400, mean=190.0, sigma=0.3):
    return np.random.default_rng(seed).lognormal(np.log(mean), sigma, n)


def test_equal_samples_have_no_error():
    values = draw(0)
    result = sizes.compare(values, values[::-1], bootstrap=100)
    for name in sizes.NAMES:
        assert result[f"{name}_error"] == pytest.approx(0, abs=1e-12)
        low, high = result[f"{name}_interval"]
        assert low < 0 < high
    assert result["wasserstein"] == result["kolmogorov_smirnov"] == 0


def test_scaled_samples():
    values = draw(1)
    result = sizes.compare(1.1 * values, values, bootstrap=200)
    for name in ("mean", "median", "d10", "d90"):
        assert result[f"{name}_error"] == pytest.approx(0.1)
    assert result["log_gsd_error"] == pytest.approx(0, abs=1e-9)
    assert result["log_gsd"] == pytest.approx(np.log(values).std(ddof=1))
    assert result["wasserstein"] == pytest.approx(0.1 * values.mean())


def test_distances_of_known_samples():
    result = sizes.compare([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 8.0], bootstrap=0)
    assert result["wasserstein"] == 1 and result["kolmogorov_smirnov"] == 0.25
    assert result["mean_error"] == pytest.approx(2.5 / 3.5 - 1)
    assert result["mean_interval"] is None


def test_intervals_cover_the_true_error_mostly():
    inside = 0
    for seed in range(60):
        found, true = draw(2 * seed, 120, 200.0), draw(2 * seed + 1, 120, 190.0)
        low, high = sizes.compare(found, true, bootstrap=300)["mean_interval"]
        inside += low <= 200 / 190 - 1 <= high
    assert 51 <= inside <= 60


def test_blocks_change_nothing_but_the_draws(monkeypatch):
    values = draw(3, 50)
    monkeypatch.setattr(sizes, "_BLOCK", 120)
    assert len(sizes._resampled(values, 7, np.random.default_rng(0))[0]) == 7


def test_no_or_single_or_impossible_sizes():
    result = sizes.compare([], [1.0, 2.0])
    assert result["n_found"] == 0 and result["mean_error"] is None and result["wasserstein"] is None
    single = sizes.compare([2.0], [1.0, 2.0], bootstrap=50)
    assert single["log_gsd_error"] is None and single["mean_error"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="positive"):
        sizes.compare([0.0], [1.0])
    with pytest.raises(ValueError, match="positive"):
        sizes.compare([1.0], [np.nan])
