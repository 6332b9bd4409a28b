import numpy as np
import pytest
from scipy import stats

from semjax.analysis import clustered


def mean(values, weights):
    return np.array([(weights * values).sum() / weights.sum()])


def simulated(rng, n_images, between=0.2, within=0.3, per_image=20):
    """Log-normal sizes of images that differ, and the image of each; mean exp(0.065)."""
    cluster = np.repeat(np.arange(n_images), rng.poisson(per_image, n_images) + 1)
    shift = rng.normal(0, between, n_images)[cluster]
    return np.exp(shift + rng.normal(0, within, cluster.size)), cluster


def coverage(rounds, bootstrap, n_images):
    rng = np.random.default_rng(5)
    truth = np.exp((0.2**2 + 0.3**2) / 2)
    hits, naive = [], []
    for i in range(rounds):
        values, cluster = simulated(rng, n_images)
        alone, keys = np.arange(values.size), {"bootstrap": bootstrap, "seed": i}
        for found, groups in ((hits, cluster), (naive, alone)):
            ends = clustered.intervals(mean, values, np.ones(values.size), groups, **keys)
            found.append(ends[0, 0] <= truth <= ends[0, 1])
    return np.mean(hits), np.mean(naive)


def test_intervals_over_images_cover_and_those_over_particles_do_not():
    images, particles = coverage(rounds=100, bootstrap=200, n_images=15)
    assert 0.88 <= images <= 1
    assert particles < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [6, 15, 40])
def test_coverage_is_near_95_per_cent(n_images):
    images, particles = coverage(rounds=1000, bootstrap=500, n_images=n_images)
    assert 0.92 <= images <= 0.97
    assert particles < 0.8


def test_independent_values_have_the_interval_of_student():
    values = np.random.default_rng(0).normal(200, 20, 12)
    keys = {"bootstrap": 8000, "seed": 0}
    low, high = clustered.intervals(mean, values, np.ones(12), np.arange(12), **keys)[0]
    t = stats.t.interval(0.95, 11, values.mean(), values.std(ddof=1) / 12**0.5)
    assert high - low == pytest.approx(t[1] - t[0], rel=0.06)


def test_standard_error_of_independent_values_is_the_usual_one():
    values = np.random.default_rng(0).normal(200, 20, 50)
    error, degrees = clustered.standard_error(values, np.full(50, 3.0), np.arange(50))
    assert error == pytest.approx(stats.sem(values)) and degrees == 49


def test_standard_error_counts_copies_once():
    # Each image holds one value many times: as many particles as one likes add nothing.
    values = np.random.default_rng(0).normal(200, 20, 10)
    cluster = np.repeat(np.arange(10), 30)
    error, degrees = clustered.standard_error(values[cluster], np.ones(300), cluster)
    assert error == pytest.approx(stats.sem(values)) and degrees == 9


def test_standard_error_is_the_spread_of_means():
    rng, means, errors = np.random.default_rng(1), [], []
    for _ in range(300):
        values, cluster = simulated(rng, 20)
        means.append(values.mean())
        errors.append(clustered.standard_error(values, np.ones(values.size), cluster)[0])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.12)


def test_few_images_fall_back_to_particles_and_say_so():
    cluster, note = clustered.clusters(np.array(["a", "b", "a", "c", "d"]))
    assert cluster.tolist() == [0, 1, 2, 3, 4] and "4 images" in note
    cluster, note = clustered.clusters(np.array(list("edcbae")))
    assert cluster.tolist() == [4, 3, 2, 1, 0, 4] and note is None


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_said_of_fewer_than_two_clusters(n):
    values, cluster = np.ones(n), np.arange(n)
    assert clustered.intervals(mean, values, values, cluster, bootstrap=9, seed=0) is None
    assert clustered.standard_error(values, values, cluster) is None
