"""Loss functions that Optax does not have. Pure, on arrays of any shape unless said."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


def gradient_penalty(critic: Callable, real: jax.Array, fake: jax.Array, *, key: jax.Array):
    """mean((||grad D(x)||_2 - 1)^2) at x = real + u (fake - real), u uniform in [0, 1].

    Args:
        critic: images (n, h, w, 1) -> scores (n,).
        real: (n, h, w, 1).
        fake: as `real`.
        key: draws one u for each sample.

    Source: Gulrajani et al., NeurIPS 2017, eq. 3.
    Differs: the authors of the workflow draw u from a normal distribution.
    """
    u = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
    between = real + u * (fake - real)
    gradients = jax.grad(lambda x: critic(x).sum())(between)
    # The root's gradient is infinite at 0, where a saturated critic can be.
    norms = jnp.sqrt(jnp.sum(gradients**2, axis=(1, 2, 3)) + 1e-12)
    return jnp.mean((norms - 1.0) ** 2)


def least_squares(logits: jax.Array, target: float) -> jax.Array:
    """mean((logits - target)^2), in float32.

    Source: Mao et al., ICCV 2017 (least-squares GAN).
    """
    return jnp.mean((logits.astype(jnp.float32) - target) ** 2)


def mean_absolute(a: jax.Array, b: jax.Array) -> jax.Array:
    """mean(|a - b|), in float32."""
    return jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))


def balanced_cross_entropy(
    logits: jax.Array, targets: jax.Array, positive_weight: float, where: jax.Array | None = None
) -> jax.Array:
    """Binary cross-entropy whose positive pixels count `positive_weight` times, averaged.

    Args:
        logits: unbounded.
        targets: in [0, 1], same shape.
        positive_weight: background pixels over foreground pixels of the training set.
        where: weight of each pixel, at least 0 (same shape); None counts all alike.

    Source: the workflow's published training, which weights the foreground the same way.
    """
    losses = optax.losses.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), targets)
    losses = losses * (1.0 + (positive_weight - 1.0) * targets)
    if where is None:
        return jnp.mean(losses)
    return jnp.sum(losses * where) / jnp.maximum(jnp.sum(where), 1.0)
