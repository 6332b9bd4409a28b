"""Agreement of size distributions."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

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


@pytest.mark.parametrize("seed", range(5))
def test_statistics_of_counted_sizes_are_those_of_repeated_ones(seed):
    rng = np.random.default_rng(seed)
    sides = [np.sort(rng.integers(1, 30, n).astype(float)) for n in (25, 40)]  # with ties
    counts = [rng.integers(0, 4, (1, side.size)) for side in sides]
    found, true = (np.repeat(s, c[0]) for s, c in zip(sides, counts, strict=True))
    mean, median, d10, d90, log_sd = sizes._statistics(sides[0], counts[0])[:, 0]
    assert [d10, median, d90] == pytest.approx(np.percentile(found, (10, 50, 90)))
    assert [mean, log_sd] == pytest.approx([found.mean(), np.log(found).std(ddof=1)])
    expected = [wasserstein_distance(found, true), ks_2samp(found, true).statistic]
    assert sizes._distances(sides, counts)[:, 0] == pytest.approx(expected)


def test_blocks_hold_every_sample(monkeypatch):
    values, names = draw(3, 50), np.arange(50) % 7
    images = (names, names)
    before = sizes.compare(values, 1.1 * values, images=images, bootstrap=7)
    monkeypatch.setattr(sizes, "_BLOCK", 210)
    groups = sizes._groups([values, values], images)
    blocks = list(sizes._draw([values] * 2, groups, 7, np.random.default_rng(0)))
    assert [len(block[0]) for block in blocks] == [2, 2, 2, 1]
    again = sizes.compare(values, 1.1 * values, images=images, bootstrap=7)
    assert again["mean_interval"] == pytest.approx(before["mean_interval"])


def test_an_image_comes_with_its_particles_of_both_sides():
    """Sizes that differ from image to image, measured 10 % too large in each: no doubt of that."""
    rng = np.random.default_rng(0)
    true = np.concatenate([rng.lognormal(np.log(mean), 0.01, 30) for mean in range(50, 250, 20)])
    names = np.repeat(np.arange(10), 30)
    order = rng.permutation(true.size)
    images = (names[order], names)
    paired = sizes.compare(1.1 * true[order], true, images=images)
    alone = sizes.compare(1.1 * true[order], true)
    assert (paired["drawn"], alone["drawn"]) == ("images", "particles")
    assert paired["mean_interval"] == pytest.approx([0.1, 0.1])
    assert np.ptp(alone["mean_interval"]) > 0.1
    few = sizes.compare(true, true, images=(names % 4, names % 4), bootstrap=10)
    assert few["drawn"] == "particles"
    with pytest.raises(ValueError, match="300 and 300 sizes need as many names"):
        sizes.compare(true, true, images=(names[1:], names))


def test_intervals_over_images_cover_errors_that_differ_between_images():
    """By the shift of single images, an interval of independent particles does not."""
    inside = {True: 0, False: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        names = np.repeat(np.arange(12), 200)
        true = rng.lognormal(np.log(190), 0.3, names.size)
        found = true * rng.lognormal(np.log(1.05), 0.08, 12)[names]
        expected = 1.05 * np.exp(0.08**2 / 2) - 1
        for paired in inside:
            images = (names, names) if paired else None
            result = sizes.compare(found, true, images=images, bootstrap=200)
            low, high = result["mean_interval"]
            inside[paired] += low <= expected <= high
    assert 50 <= inside[True] <= 60 and inside[False] < 45


def test_distances_have_intervals():
    result = sizes.compare(draw(0), 1.2 * draw(1), bootstrap=200)
    for name in sizes.DISTANCES:
        low, high = result[f"{name}_interval"]
        assert 0 < low < result[name] < high


def test_no_or_single_or_impossible_sizes():
    result = sizes.compare([], [1.0, 2.0])
    assert result["n_found"] == 0 and result["mean_error"] is None and result["wasserstein"] is None
    single = sizes.compare([2.0], [1.0, 2.0], bootstrap=50)
    assert single["log_gsd_error"] is None and single["mean_error"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="positive"):
        sizes.compare([0.0], [1.0])
    with pytest.raises(ValueError, match="positive"):
        sizes.compare([1.0], [np.nan])
