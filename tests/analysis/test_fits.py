import numpy as np
import pytest
from scipy import stats

from semjax.analysis import fits

LAWS = {
    "lognormal": stats.lognorm(0.35, scale=180),
    "weibull": stats.weibull_min(3.2, scale=200),
}


def fit(law, values, weights=None, simulations=199):
    weights = np.ones(values.size) if weights is None else weights
    null = fits.null_distances(law, weights, simulations=simulations, seed=0)
    return fits.fit(law, values, weights, null)


def test_parameters_within_standard_errors():
    n = 5000
    values = LAWS["lognormal"].rvs(n, random_state=0)
    found = fit("lognormal", values)["parameters"]
    assert found["mu"] == pytest.approx(np.log(180), abs=3 * 0.35 / n**0.5)
    assert found["sigma"] == pytest.approx(0.35, abs=3 * 0.35 / (2 * n) ** 0.5)
    values = LAWS["weibull"].rvs(n, random_state=0)
    found = fit("weibull", values)["parameters"]
    # Standard errors of maximum likelihood: 0.780 k / sqrt(n) and 1.053 scale / (k sqrt(n)).
    assert found["shape"] == pytest.approx(3.2, abs=3 * 0.78 * 3.2 / n**0.5)
    assert found["scale"] == pytest.approx(200, abs=3 * 1.053 * 200 / 3.2 / n**0.5)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scipy(law, seed):
    values = stats.gamma(3, scale=60).rvs(40, random_state=seed)
    found, family = fit(law, values), {"lognormal": stats.lognorm, "weibull": stats.weibull_min}
    shape, _, scale = family[law].fit(values, floc=0)
    frozen = family[law](shape, scale=scale)
    names = ("sigma", "geometric_mean") if law == "lognormal" else ("shape", "scale")
    parameters = [found["parameters"][name] for name in names]
    assert parameters == pytest.approx([shape, scale], rel=1e-3)
    assert found["ks_distance"] == pytest.approx(stats.kstest(values, frozen.cdf)[0], rel=2e-3)
    assert found["aic"] == pytest.approx(4 - 2 * frozen.logpdf(values).sum(), rel=1e-6)
    assert found["mean"] == pytest.approx(frozen.mean(), rel=1e-3)
    quantiles = [found[name] for name in ("d10", "d50", "d90")]
    assert quantiles == pytest.approx(frozen.ppf([0.1, 0.5, 0.9]), rel=1e-3)


@pytest.mark.parametrize("law", LAWS)
def test_p_value_is_that_of_a_parametric_bootstrap(law):
    values = stats.gamma(4, scale=50).rvs(60, random_state=1)
    family = {"lognormal": stats.lognorm, "weibull": stats.weibull_min}[law]
    found = stats.goodness_of_fit(
        family,
        values,
        known_params={"loc": 0},
        statistic="ks",
        n_mc_samples=150,
        rng=np.random.default_rng(0),
    )
    p = fit(law, values, simulations=2000)["p_value"]
    assert p == pytest.approx(found.pvalue, abs=0.12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values_are_uniform_where_the_law_is_true(law, weighted):
    rng = np.random.default_rng(3)
    weights = rng.uniform(1, 3, 50) if weighted else np.ones(50)
    null = fits.null_distances(law, weights, simulations=999, seed=0)
    samples = LAWS[law].rvs((300, 50), random_state=rng)
    p = [fits.fit(law, sample, weights, null)["p_value"] for sample in samples]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    # The mistake that this avoids: Kolmogorov's own p after fitting is never small.
    kolmogorov = [
        stats.kstwo.sf(fits.fit(law, x, weights, null)["ks_distance"], 50) for x in samples
    ]
    assert np.mean(np.array(kolmogorov) < 0.1) < 0.02


def test_the_other_law_is_found_out():
    values = LAWS["weibull"].rvs(2000, random_state=0)
    right, wrong = fit("weibull", values), fit("lognormal", values)
    assert right["p_value"] > 0.05 > wrong["p_value"]
    assert right["aic"] < wrong["aic"]


@pytest.mark.parametrize("law", LAWS)
def test_whole_weights_are_repeated_rows(law):
    rng = np.random.default_rng(0)
    values, times = LAWS[law].rvs(40, random_state=rng), rng.integers(1, 4, 40)
    one, other = fit(law, values, times.astype(float)), fit(law, np.repeat(values, times))
    assert one["parameters"] == pytest.approx(other["parameters"])
    assert one["ks_distance"] == pytest.approx(other["ks_distance"])
    assert fit(law, values, np.full(40, 7.0))["aic"] == pytest.approx(fit(law, values)["aic"])


@pytest.mark.parametrize("law", LAWS)
def test_sizes_in_another_unit(law):
    values = LAWS[law].rvs(30, random_state=0)
    nm, um = fit(law, values), fit(law, values / 1000)
    assert nm["ks_distance"] == pytest.approx(um["ks_distance"])
    assert nm["p_value"] == um["p_value"]
    assert nm["d90"] == pytest.approx(1000 * um["d90"])


@pytest.mark.parametrize("law", LAWS)
def test_distances_scale_beyond_the_number_simulated(law):
    keys = {"simulations": 400, "seed": 0}
    small, large = (fits.null_distances(law, np.ones(n), **keys) for n in (1000, 50000))
    assert np.median(small) == pytest.approx(np.median(large), rel=0.04)


@pytest.mark.parametrize("n", [3, 199, 200, 201, 1000])
def test_pairs_of_a_qq_plot(n):
    values = LAWS["lognormal"].rvs(n, random_state=0)
    pairs = np.array(fit("lognormal", values)["qq"])
    assert len(pairs) == min(n, 200)
    assert (np.diff(pairs, axis=0) > 0).all()
    assert pairs[0, 1] == values.min() and pairs[-1, 1] == values.max()
    if n == 1000:
        assert pairs[50:150, 0] == pytest.approx(pairs[50:150, 1], rel=0.05)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [5.0] * 9])
def test_too_little_to_fit(values):
    assert fits.fit("weibull", np.array(values), np.ones(len(values)), np.empty(0)) is None


def test_outlier_does_not_break_the_fit():
    values = np.append(LAWS["weibull"].rvs(500, random_state=0), [0.01, 1e5])
    shape, _, scale = stats.weibull_min.fit(values, floc=0)
    found = fit("weibull", values)["parameters"]
    assert [found["shape"], found["scale"]] == pytest.approx([shape, scale], rel=1e-3)
