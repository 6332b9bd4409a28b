"""The optimisers' steps and schedules against numbers worked out by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from semjax import optimizers


def walk(tx, gradients):
    """The weight after each gradient, from 0."""
    weight, found = jnp.zeros(()), []
    state = tx.init(weight)
    for gradient in gradients:
        updates, state = tx.update(jnp.asarray(gradient, jnp.float32), state, weight)
        weight = optax.apply_updates(weight, updates)
        found.append(float(weight))
    return found


def test_adam_s_epsilon_is_that_of_keras():
    # The first step is lr g / (|g| + epsilon): half of it where g is epsilon.
    assert walk(optimizers.adam(1.0), [1e-7]) == pytest.approx([-0.5], rel=1e-4)
    assert walk(optimizers.adam(1.0), [-1.0]) == pytest.approx([1.0], rel=1e-4)


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.5, 0.9)])
def test_adam_follows_its_formula(b1, b2):
    gradients, mean, square, weight, expected = [1.0, -0.2, 0.7, 0.1], 0.0, 0.0, 0.0, []
    for t, gradient in enumerate(gradients, start=1):
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * gradient**2
        weight -= 0.1 * mean / (1 - b1**t) / (np.sqrt(square / (1 - b2**t)) + 1e-7)
        expected.append(weight)
    assert walk(optimizers.adam(0.1, b1=b1, b2=b2), gradients) == pytest.approx(expected, rel=1e-4)


def test_adam_takes_a_schedule():
    tx = optimizers.adam(optimizers.halving(1.0, every=2))
    steps = -np.diff([0.0, *walk(tx, [1.0] * 6)])
    np.testing.assert_allclose(steps, [1, 1, 0.5, 0.5, 0.25, 0.25], rtol=1e-4)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 2.0), (59, 2.0), (60, 2.0), (80, 1.0), (99, 0.05), (100, 0.0), (120, 0.0)],
)
def test_constant_then_linear(step, expected):
    schedule = optimizers.constant_then_linear(2.0, steps=100, decay_from=0.6)
    assert schedule(step) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("step", [0, 50, 99])
def test_a_decay_from_the_end_is_none(step):
    schedule = optimizers.constant_then_linear(2.0, steps=100, decay_from=1.0)
    assert schedule(step) == 2.0


def test_a_decay_from_the_start_is_linear_throughout():
    schedule = optimizers.constant_then_linear(2.0, steps=10, decay_from=0.0)
    assert [float(schedule(step)) for step in (0, 5, 9)] == pytest.approx([2.0, 1.0, 0.2])


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.0), (9, 1.0), (10, 0.5), (19, 0.5), (30, 0.125)]
)
def test_halving(step, expected):
    assert optimizers.halving(1.0, every=10)(step) == expected
