"""Norms that several networks share; (…, c) arrays, statistics and parameters in float32."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

_MOMENTUM, _EPSILON = 0.99, 1e-3  # of batch norms, as Keras has them
N_SETTLE = 50  # batches, enough for their statistics


def settle(network: Any, params: Any, statistics: Any, inputs: Iterable) -> Any:
    """Running statistics of batch norms anew: the means of the moments of some batches.

    Those that a training leaves lag a hundred steps behind its parameters, and of what they were at
    the start 0.99 ** steps is still in them, 8 % after 250 steps.

    Args:
        network: a module that takes an input and `train`.
        params: its parameters.
        statistics: its `batch_stats`; their values do not matter.
        inputs: batches of them, at least one.

    Source: Wu & Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3 ("PreciseBN").
    """
    nothing = jax.tree.map(jnp.zeros_like, statistics)

    @jax.jit
    def add(total, batch):
        variables = {"params": params, "batch_stats": nothing}
        _, moved = network.apply(variables, batch, train=True, mutable=["batch_stats"])
        return jax.tree.map(jnp.add, total, moved["batch_stats"])

    total, n = nothing, 0
    for batch in inputs:
        total, n = add(total, batch), n + 1
    # From nothing, a call moves each statistic by its share of the batch's moment.
    return jax.tree.map(lambda x: x / (n * (1 - _MOMENTUM)), total)


class InstanceNorm(nn.Module):
    """Normalises every channel of every image, then scales and shifts; float32 statistics.

    Source: Ulyanov et al., "Instance normalization" (2016).
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, images: Array) -> Array:
        c = images.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (c,)).reshape(1, 1, 1, c)
        offset = self.param("offset", nn.initializers.zeros, (c,)).reshape(1, 1, 1, c)
        x = images.astype(jnp.float32)
        mean = x.mean(axis=(1, 2), keepdims=True)
        square = (x * x).mean(axis=(1, 2), keepdims=True)
        # Rounding can bring the difference of the two moments below zero.
        factor = scale * lax.rsqrt(jnp.maximum(square - mean * mean, 0.0) + self.epsilon)
        return (x * factor + (offset - mean * factor)).astype(images.dtype)


@jax.custom_vjp
def batch_normalise(x: Array, scale: Array, bias: Array) -> tuple[Array, Array, Array]:
    """Normalises each channel over all samples and pixels, then scales and shifts.

    Its own gradient keeps the input alone, where JAX's would keep the input less its mean, too.
    None is sent back through the two moments, which are for running statistics.

    Args:
        x: (..., c).
        scale: (c,) float32.
        bias: (c,) float32.

    Returns:
        (..., c) of the type of `x`, mean and variance (c,) float32.

    Source: Ioffe & Szegedy, "Batch normalization" (2015), with an epsilon of 1e-3.
    """
    mean, variance = _moments(x)
    return _affine(x, *_factor(mean, variance, scale, bias)), mean, variance


def _moments(x: Array) -> tuple[Array, Array]:
    axes = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.float32)
    mean = wide.mean(axes)
    # Rounding can bring the difference of the two moments below zero.
    return mean, jnp.maximum((wide * wide).mean(axes) - mean * mean, 0.0)


def _factor(mean: Array, variance: Array, scale: Array, bias: Array) -> tuple[Array, Array]:
    """Batch norm as one factor and one summand (c,)."""
    factor = scale * lax.rsqrt(variance + _EPSILON)
    return factor, bias - mean * factor


def _affine(x: Array, factor: Array, summand: Array) -> Array:
    wide = x.astype(jnp.float32)
    return (wide * _along(factor, x) + _along(summand, x)).astype(x.dtype)


def _along(values: Array, x: Array) -> Array:
    return values.reshape((1,) * (x.ndim - 1) + values.shape)


def _batch_normalise_there(x, scale, bias):
    # Not by `batch_normalise`: second derivatives go through these moments.
    mean, variance = _moments(x)
    y = _affine(x, *_factor(mean, variance, scale, bias))
    return (y, mean, variance), (x, scale, mean, variance)


def _batch_normalise_back(kept, cts):
    x, scale, mean, variance = kept
    axes = tuple(range(x.ndim - 1))
    wide, ct = x.astype(jnp.float32), cts[0].astype(jnp.float32)
    inverse = lax.rsqrt(variance + _EPSILON)
    to_bias = ct.sum(axes)
    to_scale = inverse * ((ct * wide).sum(axes) - mean * to_bias)
    # factor * (ct - mean of ct - normalised x * mean of ct * normalised x), as one sum.
    n, factor = x.size // x.shape[-1], scale * inverse
    slope = -factor * inverse * to_scale / n
    level = -factor * to_bias / n - mean * slope
    to_x = ct * _along(factor, x) + wide * _along(slope, x) + _along(level, x)
    return to_x.astype(x.dtype), to_scale, to_bias


batch_normalise.defvjp(_batch_normalise_there, _batch_normalise_back)


class _Norm(nn.Module):
    """Parameters and running statistics of a batch norm, named as Flax names them."""

    use_scale: bool

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        shape = (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        scale = jnp.ones(shape)
        if self.use_scale:
            scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        if not train:
            return _affine(x, *_factor(mean.value, variance.value, scale, bias))
        y, new_mean, new_variance = batch_normalise(x, scale, bias)
        if not self.is_initializing():
            mean.value = _MOMENTUM * mean.value + (1 - _MOMENTUM) * new_mean
            variance.value = _MOMENTUM * variance.value + (1 - _MOMENTUM) * new_variance
        return y


class BatchNorm(nn.Module):
    """Batch norm with Keras' constants: momentum 0.99, epsilon 1e-3; float32 statistics."""

    use_scale: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        return _Norm(self.use_scale, name="norm")(x.astype(self.dtype), train=train)
