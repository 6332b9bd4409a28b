"""The generator that turns masks into images, and images into masks.

Source: the CycleGAN of Ruehle et al., Sci. Rep. 11 (2021), after Zhu et al., "Unpaired
image-to-image translation using cycle-consistent adversarial networks" (2017).
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from semjax.networks.layers import (
    Conv,
    TransposedConv,
    pad_to_multiple,
)
from semjax.networks.norms import InstanceNorm

GAIN = 1.5  # of the input in a residual network at first: a ground of -1 becomes -0.91


def _pass_on(key: Array, shape: tuple[int, int]) -> Array:
    """The kernel that changes nothing but the contrast."""
    del key
    return jnp.zeros(shape).at[shape[0] // 2, shape[1] // 2].set(GAIN)


class ResNetGenerator(nn.Module):
    """Residual network between two strided descents and ascents.

    The published networks: width 32, downs 2, blocks 9 with bias (v1.0.0); width 64, downs 3,
    blocks 9, no bias, with skip (v1.1.1) or without (v1.2.0).

    Args:
        width: features at full size; doubled by each descent.
        downs: number of descents by 2.
        blocks: number of residual blocks at the smallest size.
        use_bias: bias in the convolutions before instance norm (the last one always has one).
        skip: lets the input bypass the network through two shallow branches.
        residual: adds the input, through a learnt kernel of 3 x 3, to what the network makes; so
            edges that are in the input are in the output from the first step on, and noise and
            blur can be learnt.
        upsample: "transposed" (convolution 3 x 3) or "resize" (nearest, then convolution).
        dtype: of activations.
    """

    width: int = 64
    downs: int = 3
    blocks: int = 9
    use_bias: bool = False
    skip: bool = False
    residual: bool = False
    upsample: str = "transposed"
    dtype: Any = jnp.float32

    def _conv(self, features: int, size: int, stride: int = 1, padding: str = "reflect") -> Conv:
        return Conv(features, size, stride, padding, self.use_bias, self.dtype)

    def _block(self, x: Array) -> Array:
        features = x.shape[-1]
        y = nn.relu(InstanceNorm()(self._conv(features, 3)(x)))
        return x + InstanceNorm()(self._conv(features, 3)(y))

    def _ascend(self, x: Array, features: int) -> Array:
        if self.upsample == "transposed":
            return TransposedConv(features, 3, self.use_bias, self.dtype)(x)
        kwargs = {"use_bias": self.use_bias, "dtype": self.dtype, "upsampled": True}
        return Conv(features, 3, padding="reflect", **kwargs)(x)

    def _through(self, x: Array) -> Array:
        """The input through one small kernel, shifted nine times: there is one channel only."""
        kernel = self.param("through", _pass_on, (3, 3)).astype(self.dtype)
        h, w = x.shape[1:3]
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        shifted = [x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
        products = map(jnp.multiply, kernel.ravel(), shifted)
        return sum(products, start=jnp.zeros((), self.dtype))

    @nn.compact
    def __call__(self, images: Array, *, train: bool = False) -> Array:
        """Maps (n, h, w, 1) to (n, h, w, 1), both in [-1, 1]; any size. `train` has no effect.

        Raises:
            ValueError: unknown `upsample`.
        """
        if self.upsample not in ("transposed", "resize"):
            raise ValueError(f'upsample must be "transposed" or "resize", got "{self.upsample}"')
        padded, back = pad_to_multiple(images.astype(self.dtype), 2**self.downs)
        x = nn.relu(InstanceNorm()(self._conv(self.width, 7)(padded)))
        for level in range(1, self.downs + 1):
            x = self._conv(self.width * 2**level, 3, stride=2, padding="same")(x)
            x = nn.relu(InstanceNorm()(x))
        for _ in range(self.blocks):
            x = self._block(x)
        for level in reversed(range(self.downs)):
            x = nn.relu(InstanceNorm()(self._ascend(x, self.width * 2**level)))
        x = Conv(1, 7, padding="reflect", use_bias=True, dtype=self.dtype)(x)
        if self.skip:
            point = nn.relu(InstanceNorm()(self._conv(self.width, 1)(padded)))
            near = nn.relu(InstanceNorm()(self._conv(self.width, 3)(padded)))
            past = nn.relu(InstanceNorm()(point + near))
            x = Conv(1, 1, dtype=self.dtype)(jnp.concatenate([past, x], axis=-1))
        if self.residual:
            x = x + self._through(padded)
        return jnp.tanh(x[back].astype(jnp.float32))
