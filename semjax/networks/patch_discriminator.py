"""The discriminator that judges overlapping patches of an image.

Source: the CycleGAN of Ruehle et al., Sci. Rep. 11 (2021), after Isola et al., "Image-to-image
translation with conditional adversarial networks" (2017).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from semjax.networks.layers import Conv, leaky_relu
from semjax.networks.norms import InstanceNorm

# For each version: padding, and the strides of the hidden convolutions.
_VERSIONS = {"v100": ("same", (2, 2, 2, 1)), "v120": ("valid", (2, 2, 2))}


class PatchDiscriminator(nn.Module):
    """Convolutions 4 x 4, instance norm from the second on.

    Args:
        width: features of the first convolution (64 in the published v100, 128 in v120); doubled
            by each of the next.
        version: "v100" (zero padding, four hidden convolutions, all with bias; sees 70 px) or
            "v120" (no padding, three hidden convolutions, bias only without norm; sees 46 px).
        noise: SD of the Gaussian noise added before every convolution in training.
        dtype: of activations.
    """

    width: int = 128
    version: str = "v120"
    noise: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array, *, train: bool = False) -> Array:
        """Maps images (n, h, w, 1) in [-1, 1] to patch logits (n, h', w', 1).

        In training with noise, the key comes from `rngs={"noise": key}`.

        Raises:
            ValueError: unknown `version`.
        """
        if self.version not in _VERSIONS:
            raise ValueError(f'version must be "v100" or "v120", got "{self.version}"')
        padding, strides = _VERSIONS[self.version]

        def conv(x: Array, features: int, stride: int, use_bias: bool) -> Array:
            if train and self.noise > 0:
                x = x + self.noise * jax.random.normal(self.make_rng("noise"), x.shape, x.dtype)
            return Conv(features, 4, stride, padding, use_bias, self.dtype)(x)

        x = leaky_relu(conv(images.astype(self.dtype), self.width, strides[0], True))
        for level, stride in enumerate(strides[1:], start=1):
            x = conv(x, self.width * 2**level, stride, self.version == "v100")
            x = leaky_relu(InstanceNorm()(x))
        return conv(x, 1, 1, True).astype(jnp.float32)
