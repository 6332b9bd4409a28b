"""What speaks for a particle, weighed; and the threshold of the result."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import wasserstein_distance

from semjax.analysis import evidence


def draw(n, seed=0):
    """Evidence of which the first and third column decide, and whether particles are good."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(n, 5)) * (1, 2, 0.1, 1, 3) + (0, 6, 0.9, 1, 2)
    chance = 1 / (1 + np.exp(-(2 * known[:, 0] + 15 * (known[:, 2] - 0.9) + 0.5)))
    return known, rng.random(n) < chance, chance


def best_f1(probability, good):
    return max(f1(probability >= t, good) for t in np.append(probability, 2.0))


def f1(kept, good):
    return 2 * (kept & good).sum() / (kept.sum() + good.sum())


def test_evidence_is_what_the_table_and_the_network_say():
    table = pd.DataFrame(
        {"area_px": [100, 7], "solidity": [0.9, 1.0], "circularity": 1.1, "aspect_ratio": 2.0}
    )
    found = evidence.collect(table, np.array([0.5, 1.0]))
    assert_allclose(found[0], [0, np.log(100), 0.9, 1.1, 2.0], atol=1e-12)
    assert np.isfinite(found).all() and found[1, 0] == pytest.approx(np.log(999), rel=1e-3)


def test_weighed_evidence_is_the_chance_of_a_good_particle():
    known, good, _ = draw(3000)
    fitted = evidence.fit(known, good)
    other, _, chance = draw(2000, seed=1)
    found = evidence.weigh(other, fitted)
    assert np.abs(found - chance).mean() < 0.05
    assert np.corrcoef(found, chance)[0, 1] > 0.97


def test_units_of_the_evidence_do_not_matter():
    known, good, _ = draw(500)
    scale, shift = np.array([1, 3, 10, 0.1, 5]), np.array([0, 1, 2, 3, 4])
    plain = evidence.weigh(known, evidence.fit(known, good))
    scaled = known * scale + shift
    assert_allclose(evidence.weigh(scaled, evidence.fit(scaled, good)), plain, atol=1e-3)


def test_far_beyond_what_was_seen_nothing_runs_away():
    known, good, _ = draw(500)
    fitted = evidence.fit(known, good)
    far, farther = known.mean(0) + 10 * known.std(0), known.mean(0) + 1000 * known.std(0)
    assert_allclose(evidence.weigh(far[None], fitted), evidence.weigh(farther[None], fitted))


def test_a_constant_column_and_alike_particles():
    known, good, _ = draw(200)
    known[:, 1] = 3.0
    assert np.isfinite(evidence.weigh(known, evidence.fit(known, good))).all()
    for alike in (np.zeros(200, bool), np.ones(200, bool)):
        with pytest.raises(ValueError, match="all are alike"):
            evidence.fit(known, alike)
        assert evidence.choose_threshold(known[:, 0], alike, known[:, 1], known[:, 1]) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_of_thresholds_of_a_good_f1_the_sizes_decide(seed):
    known, good, chance = draw(400, seed)
    sizes = np.exp(0.3 * known[:, 1])
    wanted = np.append(sizes[good], sizes[good].min() * np.ones(5))
    threshold = evidence.choose_threshold(chance, good, sizes, wanted)
    enough = best_f1(chance, good) - evidence.AS_GOOD
    assert f1(chance >= threshold, good) >= enough
    distance = wasserstein_distance(sizes[chance >= threshold], wanted)
    best = max(np.unique(chance), key=lambda t: f1(chance >= t, good))
    assert threshold <= best
    equals = [t for t in chance[chance <= best] if f1(chance >= t, good) >= enough]
    assert all(wasserstein_distance(sizes[chance >= t], wanted) >= distance for t in equals)


def test_the_threshold_falls_where_small_particles_score_less():
    rng = np.random.default_rng(0)
    sizes, good = rng.uniform(10, 40, 600), rng.random(600) < 0.6
    chance = np.clip(0.2 + 0.4 * good + sizes / 100 + rng.normal(0, 0.15, 600), 0, 1)
    fair = evidence.choose_threshold(chance, good, sizes, sizes[good])
    best = max(chance, key=lambda t: f1(chance >= t, good))
    kept = sizes[chance >= fair].mean() / sizes[good].mean()
    assert abs(kept - 1) < abs(sizes[chance >= best].mean() / sizes[good].mean() - 1)


def test_the_threshold_never_rises_above_the_best_f1_for_the_sizes():
    # The good ones that score least are the large ones: to drop them too gives the sizes wanted.
    chance = np.linspace(0.01, 0.99, 99)
    good = chance > 0.5
    sizes = np.where(chance > 0.55, 20.0, 40.0)
    wanted = np.full(50, 20.0)
    threshold = evidence.choose_threshold(chance, good, sizes, wanted)
    assert f1(chance >= 0.55, good) >= 1 - evidence.AS_GOOD  # such a one was to be had
    assert threshold == pytest.approx(0.505, abs=0.006)


def test_the_threshold_parts_no_equal_scores_and_lies_between():
    score, good = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    sizes = np.arange(4.0)
    assert evidence.choose_threshold(score, good, sizes, sizes[good]) == pytest.approx(0.5)
    assert 0 <= evidence.choose_threshold(np.full(4, 0.3), good, sizes, sizes[good]) <= 0.3
