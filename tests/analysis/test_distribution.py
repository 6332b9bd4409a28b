import json

import numpy as np
import pytest
from scipy import stats

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


def test_particles_of_one_image_do_not_count_as_independent():
    rng = np.random.default_rng(3)
    shift = rng.normal(0, 0.2, 12)
    values = 180 * np.exp(np.repeat(shift, 50) + rng.normal(0, 0.1, 600))
    images = np.repeat([f"image {i}" for i in range(12)], 50)
    naive, right = summarize(values, seed=0), summarize(values, images=images, seed=0)
    assert naive["drawn"] == "particles" and right["drawn"] == "images"
    width = [high - low for low, high in (naive["mean_interval"], right["mean_interval"])]
    # Twelve independent means: Student's t with their own spread.
    means = values.reshape(12, 50).mean(axis=1)
    theory = 2 * stats.t.ppf(0.975, 11) * means.std(ddof=1) / 12**0.5
    assert width[1] == pytest.approx(theory, rel=0.1) and width[1] > 4 * width[0]
    for name in NAMES:
        low, high = right[f"{name}_interval"]
        assert right[name] == pytest.approx(naive[name]) and low <= right[name] <= high


def test_weights_go_with_their_images_in_any_order():
    rng = np.random.default_rng(3)
    values, weights = rng.uniform(50, 300, 60), rng.uniform(1, 3, 60)
    images = rng.integers(6, size=60)
    found = summarize(values, weights, images=images, seed=0, bootstrap=50)
    order = rng.permutation(60)
    moved = summarize(values[order], weights[order], images=images[order], seed=0, bootstrap=50)
    assert found["drawn"] == "images"
    for name in NAMES:
        assert found[f"{name}_interval"] == pytest.approx(moved[f"{name}_interval"])


def test_few_images_and_images_of_one_particle():
    values = np.linspace(50, 60, 8)
    assert summarize(values, images=np.arange(8) % 4, seed=0)["drawn"] == "particles"
    alone = summarize(values, images=np.arange(8), seed=0, bootstrap=2000)
    assert alone["drawn"] == "images" and np.isfinite(alone["sd_interval"]).all()
    same = summarize(np.full(6, 50.0), images=np.arange(6), seed=0, bootstrap=50)
    assert same["sd_interval"] == [0, 0] and same["geometric_sd_interval"] == [1, 1]
    with pytest.raises(ValueError, match="8 sizes need as many images, got 3"):
        summarize(values, images=np.arange(3), seed=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_image_with_a_single_particle_does_not_spoil_the_spread(weighted):
    rng = np.random.default_rng(1)
    values = rng.normal(150, 25, 161)
    images = np.repeat(np.arange(5), [40, 40, 40, 40, 1])
    weights = rng.uniform(1, 1.4, 161) if weighted else None
    for seed in range(5):
        found = summarize(values, weights, images=images, seed=seed, bootstrap=400)
        low, high = found["sd_interval"]
        assert 0.4 * found["sd"] < low < found["sd"] < high < 2.5 * found["sd"]


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


def assert_same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        plain = value is None or isinstance(value, str)
        assert found[name] == (value if plain else pytest.approx(value, **tolerance)), name


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 137])
@pytest.mark.parametrize("weight", [1.0, 0.3, 7.0])
def test_equal_weights_are_no_weights(n, weight):
    values = np.random.default_rng(n).lognormal(4.5, 0.4, n).round(1)
    plain = summarize(values, seed=3, bootstrap=50)
    assert_same(summarize(values, np.full(n, weight), seed=3, bootstrap=50), plain, rel=1e-10)


@pytest.mark.parametrize("n", [2, 3, 10, 137])
def test_without_weights_all_is_as_numpy_has_it(n):
    values = np.random.default_rng(n).lognormal(4.5, 0.4, n).round(1)
    found = summarize(values, seed=0, bootstrap=0)
    logs = np.log(values)
    expected = [values.mean(), np.median(values), values.std(ddof=1)]
    expected += [*np.percentile(values, (10, 50, 90)), np.exp(logs.mean())]
    expected += [np.exp(logs.std(ddof=1)), (values < 100).mean()]
    assert [found[name] for name in NAMES] == pytest.approx(expected)


def test_weighted_values_by_hand():
    values, weights = np.array([200.0, 50.0, 100.0]), np.array([1.0, 1.0, 2.0])
    found = summarize(values, weights, seed=0, bootstrap=0)
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(450 / 4)
    free = 4 - 6 / 4
    squares = 87.5**2 + 62.5**2 + 2 * 12.5**2
    assert found["sd"] == pytest.approx((squares / free) ** 0.5)
    assert found["geometric_mean"] == pytest.approx(100)
    assert found["geometric_sd"] == pytest.approx(np.exp((2 * np.log(2) ** 2 / free) ** 0.5))
    assert found["share_below_nano"] == pytest.approx(1 / 4)
    # Stretches 0 to 1, 1 to 3, 3 to 4 with middles 0.5, 2, 3.5: places 0 %, 50 % and 100 %.
    assert found["median"] == pytest.approx(100)
    assert found["d10"] == pytest.approx(60) and found["d90"] == pytest.approx(180)


def test_weights_make_up_for_thinning():
    rng = np.random.default_rng(0)
    values = rng.lognormal(np.log(120), 0.35, 20000)
    seen = np.exp(-values / 200)
    kept = rng.random(values.size) < seen
    full = summarize(values, seed=0, bootstrap=0)
    thinned = summarize(values[kept], seed=0, bootstrap=0)
    found = summarize(values[kept], 1 / seen[kept], seed=0, bootstrap=100)
    for name in NAMES:
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high
        assert found[name] == pytest.approx(full[name], rel=0.06), name
        assert abs(found[name] - full[name]) < abs(thinned[name] - full[name]), name


def test_order_and_scale_of_weights_do_not_matter():
    rng = np.random.default_rng(1)
    values, weights = rng.integers(20, 25, 60).astype(float), rng.uniform(1, 3, 60)
    expected = summarize(values, weights, seed=0, bootstrap=0)
    order = rng.permutation(60)
    found = summarize(values[order], 10 * weights[order], seed=0, bootstrap=0)
    assert_same(found, expected, rel=1e-10)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, -1.0], [np.nan, 1.0], [1.0], [1.0] * 3])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        summarize(np.array([10.0, 20.0]), np.array(weights), seed=0)
