"""The network that segments micrographs, and that classifies their particles.

Source: Ibtehaz and Rahman, "MultiResUNet" (2020), in the form of Ruehle et al., Sci. Rep. 11
(2021).
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from semjax.networks.layers import (
    Conv,
    TransposedConv,
    max_pool,
    pad_to_multiple,
)
from semjax.networks.norms import BatchNorm


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm without scale."""

    features: int
    size: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = Conv(self.features, self.size, dtype=self.dtype)(x)
        return BatchNorm(use_scale=False, dtype=self.dtype)(x, train=train)


class MultiResBlock(nn.Module):
    """Three chained 3 x 3 convolutions whose outputs are joined, and a linear shortcut.

    Args:
        filters: the block's nominal width U; its convolutions have the whole parts of 0.167 W,
            0.333 W and 0.5 W features, with W = 1.67 U.
        dtype: of activations.
    """

    filters: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        width = 1.67 * self.filters
        widths = [max(int(share * width), 1) for share in (0.167, 0.333, 0.5)]
        shortcut = ConvNorm(sum(widths), 1, self.dtype)(x, train=train)
        chain = []
        for features in widths:
            x = nn.relu(ConvNorm(features, 3, self.dtype)(x, train=train))
            chain.append(x)
        x = BatchNorm(dtype=self.dtype)(jnp.concatenate(chain, axis=-1), train=train)
        return BatchNorm(dtype=self.dtype)(nn.relu(shortcut + x), train=train)


class ResPath(nn.Module):
    """Residual convolutions between an encoder level and its decoder level."""

    filters: int
    length: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        for _ in range(self.length):
            shortcut = ConvNorm(self.filters, 1, self.dtype)(x, train=train)
            x = nn.relu(ConvNorm(self.filters, 3, self.dtype)(x, train=train))
            x = BatchNorm(dtype=self.dtype)(nn.relu(shortcut + x), train=train)
        return x


class MultiResUNet(nn.Module):
    """U-Net of MultiRes blocks and residual paths, five levels deep.

    Args:
        filters: nominal width of the first level; doubled at each level below.
        outputs: number of logits of a pixel. One: 1 x 1 convolution without bias, then batch norm
            without scale (as published). Several: 1 x 1 convolution with bias.
        decoder: widths of the decoder's blocks. "symmetric": those of the encoder. "published":
            the authors' code fixes them at 256, 128, 64 below the first level, made for 32 filters
            and kept with 16, where they are twice the encoder's. With fewer than 16 filters they
            stay twice the encoder's, with more than 32 they are the encoder's.
        dtype: of activations.
    """

    filters: int = 16
    outputs: int = 1
    decoder: str = "published"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array, *, train: bool = False) -> Array:
        """Maps images (n, h, w, c) to logits (n, h, w, outputs); any size.

        Raises:
            ValueError: unknown `decoder`.
        """
        if self.decoder not in ("published", "symmetric"):
            raise ValueError(f'decoder must be "published" or "symmetric", got "{self.decoder}"')
        base = self.filters
        if self.decoder == "published":
            base = 2 * base if base < 16 else max(32, base)
        x, back = pad_to_multiple(images.astype(self.dtype), 16)
        skips = []
        for level in range(4):
            width = self.filters * 2**level
            x = MultiResBlock(width, self.dtype)(x, train=train)
            skips.append(ResPath(width, 4 - level, self.dtype)(x, train=train))
            x = max_pool(x)
        x = MultiResBlock(self.filters * 16, self.dtype)(x, train=train)
        for level in reversed(range(4)):
            x = TransposedConv(self.filters * 2**level, 2, True, self.dtype)(x)
            x = jnp.concatenate([x, skips[level]], axis=-1)
            width = base * 2**level if level else self.filters
            x = MultiResBlock(width, self.dtype)(x, train=train)
        if self.outputs == 1:
            x = ConvNorm(1, 1, self.dtype)(x, train=train)
        else:
            x = Conv(self.outputs, 1, use_bias=True, dtype=self.dtype)(x)
        return x[back].astype(jnp.float32)
