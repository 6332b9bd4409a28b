"""Norms against explicit formulas and JAX's own gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from semjax.networks import norms


def draw(seed, shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_instance_norm_normalises_each_channel_of_each_image(dtype, tolerance):
    x = (3 * draw(0, (2, 8, 8, 3)) + 5).astype(dtype)
    y, variables = norms.InstanceNorm().init_with_output(jax.random.key(0), x)
    exact = np.asarray(x, np.float64)
    centred = exact - exact.mean(axis=(1, 2), keepdims=True)
    expected = centred / np.sqrt(exact.var(axis=(1, 2), keepdims=True) + 1e-5)
    assert y.dtype == dtype
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=5 * tolerance)


def test_instance_norm_of_a_constant_image_is_the_offset():
    x = jnp.full((1, 16, 16, 2), 0.7)
    y, _ = norms.InstanceNorm().init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y, 0.0, atol=1e-2)


def test_batch_norm_has_keras_constants():
    x = 2 * draw(0, (4, 5, 5, 3)) + 1
    norm = norms.BatchNorm(use_scale=False)
    variables = norm.init(jax.random.key(0), x, train=True)
    y, updates = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = (x - mean.reshape(1, 1, 1, 3)) / jnp.sqrt(variance.reshape(1, 1, 1, 3) + 1e-3)
    np.testing.assert_allclose(y, expected, atol=1e-4)
    running = updates["batch_stats"]["norm"]
    np.testing.assert_allclose(running["mean"], 0.01 * mean, rtol=1e-4)
    np.testing.assert_allclose(running["var"], 0.99 + 0.01 * variance, rtol=1e-4)
    assert list(variables["params"]["norm"]) == ["bias"]
    assert not variables["batch_stats"]["norm"]["mean"].any()  # making it is no training


def test_batch_norm_predicts_with_running_statistics():
    x = draw(0, (2, 4, 4, 3))
    norm = norms.BatchNorm()
    variables = norm.init(jax.random.key(0), x, train=False)
    running = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([4.0, 0.5, 1.0])}
    given = {"scale": jnp.array([1.0, 2.0, -1.0]), "bias": jnp.array([0.0, 1.0, 2.0])}
    assert jax.tree.structure(variables["params"]["norm"]) == jax.tree.structure(given)
    variables = {"params": {"norm": given}, "batch_stats": {"norm": running}}
    y = norm.apply(variables, x, train=False)
    mean, var, scale, bias = (
        v.reshape(1, 1, 1, 3)
        for v in (running["mean"], running["var"], given["scale"], given["bias"])
    )
    expected = (x - mean) / jnp.sqrt(var + 1e-3) * scale + bias
    np.testing.assert_allclose(y, expected, atol=1e-5)


def ours(x, scale, bias):
    return norms.batch_normalise(x, scale, bias)[0]


def formula(x, scale, bias):
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    along = (1,) * (x.ndim - 1) + scale.shape
    return (x - mean) / jnp.sqrt(var + 1e-3) * scale.reshape(along) + bias.reshape(along)


def loss(normalise, x, scale, bias, weights):
    return (jnp.sin(normalise(x, scale, bias).astype(jnp.float32)) * weights).sum()


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (16, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-5), ("bfloat16", 1e-2)])
def test_batch_norms_gradients_are_those_of_its_formula(shape, dtype, tolerance):
    x = (2 * draw(0, shape) + 1).astype(dtype)
    scale, bias, weights = draw(1, shape[-1:]), draw(2, shape[-1:]), draw(3, shape)
    found = jax.grad(loss, argnums=(1, 2, 3))(ours, x, scale, bias, weights)
    expected = jax.grad(loss, argnums=(1, 2, 3))(
        formula, x.astype(jnp.float32), scale, bias, weights
    )
    assert [g.dtype for g in found] == [dtype, "float32", "float32"]
    for a, b in zip(found, expected, strict=True):
        largest = float(jnp.abs(b).max())
        np.testing.assert_allclose(np.float32(a), b, rtol=0, atol=tolerance * largest)


def test_batch_norms_second_gradients_are_those_of_its_formula():
    shape = (4, 5, 6, 3)
    x, weights = 2 * draw(0, shape) + 1, draw(3, shape)
    scale, bias = draw(1, shape[-1:]), draw(2, shape[-1:])

    def penalty(normalise, *args):
        gradient = jax.grad(loss, argnums=1)(normalise, *args)
        return (jnp.sqrt((gradient**2).sum()) - 1) ** 2

    found, expected = (
        jax.grad(penalty, argnums=(1, 2, 3))(normalise, x, scale, bias, weights)
        for normalise in (ours, formula)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * float(jnp.abs(b).max()))


class Two(nn.Module):
    """Two batch norms, the second one behind a layer whose output depends on the first."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(5)(norms.BatchNorm(name="one")(x, train=train))
        return norms.BatchNorm(name="two")(jnp.tanh(x), train=train)


def test_settled_statistics_are_those_of_the_batches():
    rng = np.random.default_rng(0)
    batches = [3 + 2 * rng.standard_normal((64, 4)).astype(np.float32) for _ in range(20)]
    network = Two()
    variables = network.init(jax.random.key(0), batches[0], train=False)
    settled = norms.settle(network, variables["params"], variables["batch_stats"], batches)
    first = settled["one"]["norm"]
    np.testing.assert_allclose(first["mean"], np.mean(batches, axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(first["var"], np.var(batches, axis=1).mean(axis=0), rtol=1e-4)
    # So a call with them gives nearly what a call in training mode gives; as they were, it did not.
    wanted, _ = network.apply(variables, batches[0], train=True, mutable=["batch_stats"])
    found = [
        network.apply({**variables, "batch_stats": stats}, batches[0], train=False)
        for stats in (settled, variables["batch_stats"])
    ]
    errors = [np.abs(out - wanted).mean() for out in found]
    assert errors[0] < 0.2 < 0.5 < errors[1]
