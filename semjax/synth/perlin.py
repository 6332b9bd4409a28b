"""Gradient noise: smooth random fields that decide where particles lie and how they turn."""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.jit, static_argnames=("shape", "frequency", "octaves", "persistence"))
def perlin(
    key: jax.Array,
    shape: tuple[int, int],
    *,
    frequency: float,
    octaves: int = 1,
    persistence: float = 0.5,
) -> jax.Array:
    """Draw a field of gradient noise.

    Each lattice point carries a random unit gradient; a pixel blends the four ramps around it with
    a quintic fade, so that the field and its first two derivatives are continuous. Every octave
    has twice the frequency of the one before and `persistence` times its weight; the weights sum
    to one. A field is zero at the lattice points of its first octave.

    Args:
      key: random key.
      shape: rows and columns.
      frequency: noise cells across the longer side; cells are square.
      octaves: number of octaves.
      persistence: weight of an octave relative to the one before.

    Returns:
      float32 (rows, columns) within [-sqrt(1/2), sqrt(1/2)], mean near 0.

    Raises:
      ValueError: frequency is not positive, or there is no octave.

    Source:
      K. Perlin, "Improving noise", SIGGRAPH 2002; random gradients in place of his table.
    """
    if frequency <= 0 or octaves < 1:
        raise ValueError(
            f"Noise needs a positive frequency and at least one octave, not {frequency} and "
            f"{octaves}."
        )
    field = jnp.zeros(shape)
    total = 0.0
    for octave in range(octaves):
        weight = persistence**octave
        field += weight * _octave(jax.random.fold_in(key, octave), shape, frequency * 2**octave)
        total += weight
    return field / total


def _octave(key: jax.Array, shape: tuple[int, int], frequency: float) -> jax.Array:
    """Draw one octave. float32 (rows, columns)."""
    step = frequency / max(shape)  # cells a pixel
    cells = [int((n - 1) * step) + 2 for n in shape]
    angle = jax.random.uniform(key, cells, maxval=2 * jnp.pi)
    gradients = jnp.stack([jnp.sin(angle), jnp.cos(angle)])

    row, col = (jnp.arange(n) * step for n in shape)
    i, j = (jnp.floor(x).astype(jnp.int32) for x in (row, col))
    y, x = (row - i)[:, None], (col - j)[None, :]

    def ramp(below: int, right: int) -> jax.Array:
        g = gradients[:, i[:, None] + below, j[None, :] + right]
        return g[0] * (y - below) + g[1] * (x - right)

    fade_y, fade_x = (t * t * t * (t * (t * 6 - 15) + 10) for t in (y, x))
    top = ramp(0, 0) * (1 - fade_x) + ramp(0, 1) * fade_x
    bottom = ramp(1, 0) * (1 - fade_x) + ramp(1, 1) * fade_x
    return top * (1 - fade_y) + bottom * fade_y
