"""What several networks share: convolutions, norms, pooling and padding.

All arrays are batches (n, h, w, c).

XLA on a CPU is slow in two places, and each has its remedy here. The gradient of a transposed
convolution with respect to its kernel, which the second gradient of a strided convolution also
holds, takes it tens of times longer than the convolution; `_correlate` and its two companions
give one another's gradients instead. Convolutions between very few channels leave its matrix
products idle; `_conv_by_blocks` moves neighbouring pixels into channels first. Results are the
same up to rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

Pads = tuple[tuple[int, int], tuple[int, int]]

_NO_PADS = ((0, 0), (0, 0))
_forced: bool | None = None


def uses_blocks() -> bool:
    """Whether convolutions of few channels are computed by blocks: on a CPU, unless forced."""
    return jax.default_backend() == "cpu" if _forced is None else _forced


@contextmanager
def force_blocks(choice: bool) -> Iterator[None]:
    """Within the context, `uses_blocks` answers `choice`, whatever the device."""
    global _forced
    before, _forced = _forced, choice
    try:
        yield
    finally:
        _forced = before


# The three functions are linear in both arguments and, seen as one sum of products
# output x input x kernel, differ in which of the three is left to be found. So each one's
# gradients, of any order, are the other two, and XLA only ever meets the forms it is fast at.


def _plain(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """The output of a convolution."""
    return _plain(images, kernel, stride, pads)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _spread(outputs: Array, kernel: Array, stride: int, pads: Pads, shape: tuple) -> Array:
    """The input (of the given shape) to which a convolution sends its output's gradient back."""
    n, h, w, c = shape
    # XLA swaps outputs and kernel where the outputs are the smaller, and is then fifty times
    # slower on a CPU. More outputs, all zero, prevent it.
    rows, columns = (max(kernel.shape[0] - size, 0) for size in outputs.shape[1:3])
    outputs = jnp.pad(outputs, ((0, 0), (0, rows), (0, columns), (0, 0)))
    images = jax.ShapeDtypeStruct((n, h + stride * rows, w + stride * columns, c), outputs.dtype)
    spread = jax.linear_transpose(lambda x: _plain(x, kernel, stride, pads), images)
    return spread(outputs)[0][:, :h, :w]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _match(images: Array, outputs: Array, stride: int, pads: Pads, shape: tuple) -> Array:
    """The kernel (of the given shape) to which a convolution sends its output's gradient back."""
    kernel = jax.ShapeDtypeStruct(shape, outputs.dtype)
    return jax.linear_transpose(lambda k: _plain(images, k, stride, pads), kernel)(outputs)[0]


def _correlate_back(stride, pads, inputs, ct):
    images, kernel = inputs
    by_images = _spread(ct, kernel, stride, pads, images.shape)
    return by_images, _match(images, ct, stride, pads, kernel.shape)


def _spread_back(stride, pads, shape, inputs, ct):
    outputs, kernel = inputs
    by_outputs = _correlate(ct, kernel, stride, pads)
    return by_outputs, _match(ct, outputs, stride, pads, kernel.shape)


def _match_back(stride, pads, shape, inputs, ct):
    images, outputs = inputs
    by_images = _spread(outputs, ct, stride, pads, images.shape)
    return by_images, _correlate(images, ct, stride, pads)


_correlate.defvjp(lambda x, k, *rest: (_correlate(x, k, *rest), (x, k)), _correlate_back)
_spread.defvjp(lambda y, k, *rest: (_spread(y, k, *rest), (y, k)), _spread_back)
_match.defvjp(lambda x, y, *rest: (_match(x, y, *rest), (x, y)), _match_back)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis by TensorFlow's `same` rule: the odd one comes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def reflect_pad(images: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """Pads by reflection about the border pixels, which are not repeated."""
    return jnp.pad(images, ((0, 0), rows, columns, (0, 0)), mode="reflect")


def pad_to_multiple(images: Array, multiple: int) -> tuple[Array, tuple[slice, ...]]:
    """Pads rows and columns by reflection, evenly on both sides, to multiples of `multiple`.

    Returns:
        The padded batch and the index that cuts a batch of its size back to the original pixels.
    """
    h, w = images.shape[1:3]
    pads = [(-size % multiple // 2, -size % multiple - -size % multiple // 2) for size in (h, w)]
    back = (
        slice(None),
        *(slice(low, low + s) for (low, _), s in zip(pads, (h, w), strict=True)),
    )
    if any(map(any, pads)):
        images = reflect_pad(images, *pads)
    return images, back


def space_to_depth(images: Array) -> Array:
    """Moves each 2 x 2 block of pixels into channels: (n, h, w, c) -> (n, h/2, w/2, 4c)."""
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // 2, w // 2, 4 * c)


def depth_to_space(images: Array) -> Array:
    """Undoes `space_to_depth`: (n, h, w, 4c) -> (n, 2h, 2w, c)."""
    n, h, w, c = images.shape
    pixels = images.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(n, 2 * h, 2 * w, c // 4)


def _conv_by_blocks(images: Array, kernel: Array, pads: Pads) -> Array:
    """Convolution of stride 1 with an odd kernel, computing 2 x 2 output pixels at once.

    Such a block sees k + 1 rows and columns, which are (k + 1) / 2 blocks of the padded input.
    """
    k, _, c, features = kernel.shape
    phases = []
    for row in (0, 1):
        for column in (0, 1):
            phase = jnp.pad(kernel, ((row, 1 - row), (column, 1 - column), (0, 0), (0, 0)))
            phase = phase.reshape((k + 1) // 2, 2, (k + 1) // 2, 2, c, features)
            phases.append(phase.transpose(0, 2, 1, 3, 4, 5))
    kernel = jnp.concatenate(phases, axis=-1).reshape((k + 1) // 2, (k + 1) // 2, 4 * c, -1)
    blocks = space_to_depth(jnp.pad(images, ((0, 0), *pads, (0, 0))))
    return depth_to_space(_correlate(blocks, kernel, 1, _NO_PADS))


def conv(images: Array, kernel: Array, *, stride: int = 1, padding: str = "same") -> Array:
    """Convolves as Keras does (without flipping the kernel).

    Args:
        images: (n, h, w, c).
        kernel: (k, k, c, features).
        stride: 1 or 2.
        padding: "same" (zeros, by TensorFlow's rule), "valid" (none), or "reflect" (k // 2 pixels
            on each side).

    Returns:
        (n, h', w', features), with h' = ceil(h / stride) unless padding is "valid".
    """
    k, _, c, features = kernel.shape
    pads = _NO_PADS
    if padding == "same":
        pads = tuple(same_padding(size, k, stride) for size in images.shape[1:3])
    elif padding == "reflect" and k > 1:
        images = reflect_pad(images, (k // 2, k // 2), (k // 2, k // 2))
    h, w = (size + sum(pad) for size, pad in zip(images.shape[1:3], pads, strict=True))
    few = min(c, features) == 1 if k == 7 else c * features <= 16
    if uses_blocks() and few and stride == 1 and k in (3, 7) and h % 2 == w % 2 == 0:
        return _conv_by_blocks(images, kernel, pads)
    return _correlate(images, kernel, stride, pads)


def transposed_conv(images: Array, kernel: Array) -> Array:
    """Doubles rows and columns by a transposed convolution of stride 2, as Keras with `same`.

    Input pixel m adds its value times kernel[t] to output pixel 2 m + t; what falls beyond twice
    the input is dropped.

    Args:
        images: (n, h, w, c).
        kernel: (k, k, c, features) with k 2 or 3.

    Returns:
        (n, 2h, 2w, features).
    """
    n, h, w, _ = images.shape
    k, _, _, features = kernel.shape
    pads = (same_padding(2 * h, k, 2), same_padding(2 * w, k, 2))
    shape = (n, 2 * h, 2 * w, features)
    return _spread(images, kernel.transpose(0, 1, 3, 2), 2, pads, shape)


def upsample(images: Array) -> Array:
    """Doubles rows and columns by repeating pixels (nearest neighbour)."""
    n, h, w, c = images.shape
    wide = jnp.broadcast_to(images[:, :, None, :, None, :], (n, h, 2, w, 2, c))
    return wide.reshape(n, 2 * h, 2 * w, c)


def max_pool(images: Array) -> Array:
    """Largest value of each 2 x 2 block; rows and columns must be even.

    Taken pair by pair: the gradient of a maximum over an axis divides by the number of pixels that
    equal it, which is 0 where a compiler rounds the recomputed pixels otherwise.
    """
    upper = jnp.maximum(images[:, ::2, ::2], images[:, ::2, 1::2])
    lower = jnp.maximum(images[:, 1::2, ::2], images[:, 1::2, 1::2])
    return jnp.maximum(upper, lower)


def leaky_relu(x: Array) -> Array:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


class Conv(nn.Module):
    """Convolution; see `conv`. Glorot-uniform kernel, zero bias, both float32."""

    features: int
    size: int
    stride: int = 1
    padding: str = "same"
    use_bias: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.size, self.size, images.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        y = conv(
            images.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y


class TransposedConv(nn.Module):
    """Transposed convolution of stride 2; see `transposed_conv`."""

    features: int
    size: int
    use_bias: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.size, self.size, images.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        y = transposed_conv(images.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y


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


class BatchNorm(nn.Module):
    """Batch norm with Keras' constants: momentum 0.99, epsilon 1e-3; float32 statistics."""

    use_scale: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.99,
            epsilon=1e-3,
            use_scale=self.use_scale,
            dtype=self.dtype,
            name="norm",
        )
        return norm(x)
