"""The networks that learn the outlines of single particles.

Source: the WGAN-GP of Ruehle et al., Sci. Rep. 11 (2021), which follows Gulrajani et al.,
"Improved training of Wasserstein GANs" (2017).
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from semjax.networks.layers import Conv, leaky_relu
from semjax.networks.norms import BatchNorm


class OutlineGenerator(nn.Module):
    """Draws outlines from latent vectors.

    Args:
        outline_px: side of the square that holds an outline, a multiple of 8.
        width: features at an eighth of the side; halved at each of the next two scales.
        dtype: of activations.
    """

    outline_px: int = 64
    width: int = 256
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array, *, train: bool = False) -> Array:
        """Maps z (n, latent), standard normal, to (n, outline_px, outline_px, 1) in [-1, 1].

        Raises:
            ValueError: outline_px is not a multiple of 8.
        """
        if self.outline_px % 8:
            raise ValueError(f"outline_px must be a multiple of 8, got {self.outline_px}")
        side = self.outline_px // 8
        dense = nn.Dense(
            side * side * self.width,
            use_bias=False,
            kernel_init=nn.initializers.glorot_uniform(),
            dtype=self.dtype,
        )
        x = leaky_relu(BatchNorm(dtype=self.dtype)(dense(z), train=train))
        x = x.reshape(-1, side, side, self.width)
        for features in (self.width // 2, self.width // 4):
            x = Conv(features, 3, dtype=self.dtype, upsampled=True)(x)
            x = leaky_relu(BatchNorm(dtype=self.dtype)(x, train=train))
        x = Conv(1, 3, dtype=self.dtype, upsampled=True)(x)
        x = BatchNorm(dtype=self.dtype)(x, train=train)
        return jnp.tanh(x.astype(jnp.float32))


class Critic(nn.Module):
    """Scores outlines: high for real ones. Always float32, for the gradient penalty.

    Args:
        width: features of the first convolution; doubled by each of the next three.
    """

    width: int = 64

    @nn.compact
    def __call__(self, outlines: Array, *, train: bool = False) -> Array:
        """Maps outlines (n, s, s, 1) in [-1, 1] to scores (n,).

        In training, dropout takes its key from `rngs={"dropout": key}`.
        """
        x = outlines.astype(jnp.float32)
        for level in range(4):
            x = leaky_relu(Conv(self.width * 2**level, 5, stride=2, use_bias=True)(x))
            if level in (1, 2):
                x = nn.Dropout(0.3, deterministic=not train)(x)
        x = nn.Dropout(0.2, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(1, kernel_init=nn.initializers.glorot_uniform())(x)[:, 0]
