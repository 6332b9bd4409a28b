"""Loss functions against numbers worked out by hand or in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import losses


@pytest.mark.parametrize("length", [0.0, 0.5, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_known(length, key):
    rng = np.random.default_rng(0)
    slope = rng.normal(size=(1, 4, 4, 1)).astype(np.float32)
    slope *= length / np.linalg.norm(slope)
    critic = lambda x: jnp.sum(slope * x, axis=(1, 2, 3))
    real, fake = rng.normal(size=(2, 3, 4, 4, 1)).astype(np.float32)
    found = losses.gradient_penalty(critic, real, fake, key=key)
    assert found == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_the_penalty_is_taken_between_real_and_fake(key):
    """The gradient of sum(x^2) / 2 is x itself: the penalty shows where it was taken."""
    critic = lambda x: 0.5 * jnp.sum(x**2, axis=(1, 2, 3))
    real, fake = jnp.full((2000, 1, 1, 1), 1.0), jnp.full((2000, 1, 1, 1), 3.0)
    # x = 1 + 2 u, so the mean of (x - 1)^2 = 4 u^2 is 4 / 3, with an SD of 1.19.
    found = losses.gradient_penalty(critic, real, fake, key=key)
    assert found == pytest.approx(4 / 3, abs=4 * 1.19 / np.sqrt(2000))
    assert found != losses.gradient_penalty(critic, real, fake, key=jax.random.key(1))


def test_the_penalty_counts_each_sample_alone(key):
    slopes = jnp.asarray([1.0, 3.0]).reshape(2, 1, 1, 1)
    critic = lambda x: jnp.sum(slopes * x, axis=(1, 2, 3))
    x = jnp.zeros((2, 1, 1, 1))
    assert losses.gradient_penalty(critic, x, x, key=key) == pytest.approx((0 + 4) / 2)


def test_a_flat_critic_has_a_finite_gradient(key):
    penalty = lambda w: losses.gradient_penalty(
        lambda x: w * jnp.sum(x, axis=(1, 2, 3)),
        jnp.ones((2, 2, 2, 1)),
        jnp.zeros((2, 2, 2, 1)),
        key=key,
    )
    value, slope = jax.value_and_grad(penalty)(0.0)
    assert value == pytest.approx(1.0, abs=1e-5) and np.isfinite(slope)


def test_least_squares():
    logits = jnp.asarray([[0.0, 1.0], [2.0, -1.0]])
    assert losses.least_squares(logits, 1.0) == (1 + 0 + 1 + 4) / 4
    assert losses.least_squares(logits, 0.1) == pytest.approx((0.01 + 0.81 + 3.61 + 1.21) / 4)


def test_mean_absolute():
    assert losses.mean_absolute(jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 1.0])) == 1.75


@pytest.mark.parametrize("name", ["least_squares", "mean_absolute", "balanced_cross_entropy"])
def test_means_of_half_precision_are_taken_in_full(name):
    # In bfloat16, sums of so many ones would stop at 256.
    ones = jnp.ones((64, 64), jnp.bfloat16)
    loss = getattr(losses, name)
    found = {
        "least_squares": lambda: loss(ones, 0.0),
        "mean_absolute": lambda: loss(ones, jnp.zeros_like(ones)),
        "balanced_cross_entropy": lambda: loss(ones, jnp.ones((64, 64)), 1.0),
    }[name]()
    assert found.dtype == jnp.float32
    expected = np.log1p(np.exp(-1.0)) if name == "balanced_cross_entropy" else 1.0
    assert found == pytest.approx(expected, rel=1e-5)


def cross_entropy(logits, targets, weight):
    logits = logits.astype(np.float64)
    p = 1 / (1 + np.exp(-logits))
    return -(weight * targets * np.log(p) + (1 - targets) * np.log(1 - p))


@pytest.mark.parametrize("weight", [0.25, 1.0, 4.0])
def test_balanced_cross_entropy(weight):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 5, 5, 1)).astype(np.float32)
    targets = rng.integers(0, 2, logits.shape).astype(np.float32)
    found = losses.balanced_cross_entropy(logits, targets, weight)
    assert found == pytest.approx(cross_entropy(logits, targets, weight).mean(), rel=1e-5)


def test_with_the_ratio_of_the_classes_as_weight_both_count_the_same():
    targets = np.zeros(12, np.float32)
    targets[:3] = 1.0
    wrong = lambda which: np.where(targets == which, -2.0, 2.0) * np.where(targets, 1, -1)
    missed, invented = (
        losses.balanced_cross_entropy(jnp.asarray(wrong(which)), targets, 9 / 3) for which in (1, 0)
    )
    assert missed == pytest.approx(float(invented), rel=1e-6)


def test_pixels_that_do_not_count_have_no_influence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4, 4)).astype(np.float32)
    targets, where = rng.integers(0, 2, (2, 4, 4)).astype(np.float32)
    loss = lambda x: losses.balanced_cross_entropy(x, targets, 2.0, where)
    expected = cross_entropy(logits, targets, 2.0)[where > 0].mean()
    value, slope = jax.value_and_grad(loss)(logits)
    assert value == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(slope != 0, where > 0)
    assert losses.balanced_cross_entropy(logits, targets, 2.0, np.zeros((4, 4), "f4")) == 0


def test_large_logits_stay_finite():
    logits, targets = jnp.asarray([1e4, -1e4]), jnp.asarray([0.0, 1.0])
    assert losses.balanced_cross_entropy(logits, targets, 3.0) == pytest.approx((1e4 + 3e4) / 2)
