import numpy as np
import pytest
from scipy import stats

from semjax.analysis import nano


def describe(sizes, weights=None, cluster=None, **keys):
    sizes = np.asarray(sizes, float)
    weights = np.ones(sizes.size) if weights is None else weights
    cluster = np.arange(sizes.size) if cluster is None else cluster
    keys = {"unit": "nm", "nano_nm": 100.0, "bootstrap": 200, "seed": 0} | keys
    return nano.describe(sizes, weights, cluster, **keys)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.5, 0.6), nano.MEETS),  # 50 % or more
        ((0.4999, 0.6), nano.UNDECIDED),
        ((0.4, 0.5), nano.UNDECIDED),
        ((0.4, 0.4999), nano.MISSES),
        ((0.5, 0.5), nano.MEETS),
        ((0.0, 1.0), nano.UNDECIDED),
        ((1.0, 1.0), nano.MEETS),
        ((0.0, 0.0), nano.MISSES),
        (None, nano.TOO_FEW),
    ],
)
def test_statement_at_the_edges(interval, said):
    assert nano.statement(interval, 500, unit="nm", nano_nm=100.0) == said


def test_statement_needs_pixel_size_particles_and_the_limit_of_the_definition():
    keys = {"unit": "nm", "nano_nm": 100.0}
    assert nano.statement((0.9, 1.0), 30, **keys) == nano.MEETS
    assert nano.statement((0.9, 1.0), 29, **keys) == nano.TOO_FEW
    assert nano.statement((0.9, 1.0), 0, **keys | {"unit": "px"}) == nano.NO_PIXEL_SIZE
    assert nano.statement((0.9, 1.0), 500, **keys | {"nano_nm": 50.0}) == nano.OTHER_LIMIT


def test_share_counts_the_limit_in():
    found = describe([99.0, 100.0, 100.001, 200.0])
    assert found["share"] == 0.5 and found["statement"] == nano.TOO_FEW


@pytest.mark.parametrize(("share", "n"), [(0.0, 40), (1.0, 40), (0.3, 50), (0.5, 1000)])
def test_wilson_is_that_of_scipy(share, n):
    found = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    assert nano.wilson(share, n) == pytest.approx((found.low, found.high), abs=1e-12)


def test_none_below_is_not_never():
    found = describe(np.full(100, 250.0))
    assert found["bootstrap_interval"] == (0, 0)
    assert found["interval"][0] == 0 and found["interval"][1] == pytest.approx(0.037, abs=1e-3)
    assert found["statement"] == nano.MISSES


def test_images_that_differ_leave_it_undecided():
    # 60 % below, but each image has either all or none: ten images, not a thousand particles.
    cluster = np.repeat(np.arange(10), 100)
    sizes = np.where(cluster < 6, 50.0, 150.0)
    alone, clustered = describe(sizes), describe(sizes, cluster=cluster)
    assert alone["statement"] == nano.MEETS
    assert clustered["statement"] == nano.UNDECIDED
    assert alone["wilson_interval"] == clustered["wilson_interval"]
    assert clustered["interval"] == clustered["bootstrap_interval"]


def test_weights_count():
    sizes, weights = np.repeat([50.0, 150.0], 50), np.repeat([3.0, 1.0], 50)
    assert describe(sizes)["statement"] == nano.UNDECIDED
    found = describe(sizes, weights)
    assert found["share"] == 0.75 and found["statement"] == nano.MEETS
    low, high = found["wilson_interval"]
    # Unequal weights are worth fewer particles: 200^2 / 500 = 80.
    assert (low, high) == pytest.approx(nano.wilson(0.75, 80))


def test_without_pixel_size_or_particles():
    found = describe(np.full(100, 20.0), unit="px")
    assert found["share"] is None and found["interval"] is None
    assert found["statement"] == nano.NO_PIXEL_SIZE
    none = describe([])
    assert none["share"] is None and none["statement"] == nano.TOO_FEW
    assert set(none) == set(found) == set(describe([1.0, 2.0]))
