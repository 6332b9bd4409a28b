"""What several networks share: convolutions, pooling and padding.

All arrays are batches (n, h, w, c).

XLA on a CPU is slow in some places, and each has its remedy here. The gradient of a transposed
convolution with respect to its kernel, which the second gradient of a strided convolution also
holds, takes it tens of times longer than the convolution; `_correlate` and its two companions
give one another's gradients instead. Convolutions between very few channels leave its matrix
products idle; `_by_columns` computes neighbouring pixels as features of one, `_by_phases` and
`upsampled_conv` the pixels of 2 x 2 blocks, and `_by_product` takes all pixels of large kernels'
gradients into one matrix product. Results are the same up to rounding.
"""

import math
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
    """Whether layers are computed in the forms that suit a CPU: on a CPU, unless forced."""
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


def _plain(images: Array, kernel: Array, strides: int | tuple[int, int], pads: Pads) -> Array:
    strides = (strides, strides) if isinstance(strides, int) else strides
    return lax.conv_general_dilated(
        images, kernel, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _by_columns(images: Array, kernel: Array, pads: Pads) -> Array:
    """Convolution of stride 1 that computes neighbouring output pixels of a row at once.

    They become features of one pixel: as many as fill the processor's registers.
    """
    features = kernel.shape[3]
    width = images.shape[2] + sum(pads[1]) - kernel.shape[1] + 1
    at_once = min(8, 2 ** math.ceil(math.log2(max(32 / features, 1))))
    if not uses_blocks() or kernel.shape[1] == 1 or at_once == 1:
        return _plain(images, kernel, 1, pads)
    left, right = pads[1]
    pads = (pads[0], (left, right + -width % at_once))
    places = [((0, 0), (i, at_once - 1 - i), (0, 0), (0, 0)) for i in range(at_once)]
    kernel = jnp.concatenate([jnp.pad(kernel, place) for place in places], axis=-1)
    y = _plain(images, kernel, (1, at_once), pads)
    return y.reshape(*y.shape[:2], -1, features)[:, :, :width]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate(images: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """The output of a convolution."""
    if stride == 1:
        return _by_columns(images, kernel, pads)
    return _plain(images, kernel, stride, pads)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _spread(outputs: Array, kernel: Array, stride: int, pads: Pads, shape: tuple) -> Array:
    """The input (of the given shape) to which a convolution sends its output's gradient back."""
    _, h, w, _ = shape
    if stride == 2 and uses_blocks():
        return _by_phases(outputs, kernel, pads, (h, w))
    if stride == 1:
        (kh, kw, *_), (_, rows, columns, _) = kernel.shape, outputs.shape
        (top, _), (left, _) = pads
        pads = ((kh - 1 - top, top + h - rows), (kw - 1 - left, left + w - columns))
        return _by_columns(outputs, kernel[::-1, ::-1].transpose(0, 1, 3, 2), pads)
    images = jax.ShapeDtypeStruct(shape, outputs.dtype)
    return jax.linear_transpose(lambda x: _plain(x, kernel, stride, pads), images)(outputs)[0]


def _by_phases(outputs: Array, kernel: Array, pads: Pads, size: tuple[int, int]) -> Array:
    """`_spread` of stride 2: a convolution finds all four pixels of each 2 x 2 block."""
    taps, sides = [], []
    for k, (low, _), length, out in zip(kernel.shape, pads, size, outputs.shape[1:3], strict=False):
        # Pixel 2 m + a gets outputs[m + j] * kernel[low + a - 2 j]: j from `first` to `last`.
        first, last = (low - k + 2) // 2, (low + 1) // 2
        taps.append((2 * last - low, low + 2 - 2 * first - k))
        sides.append((-first, -(-length // 2) - out + last))
    kernel = jnp.pad(kernel, (*taps, (0, 0), (0, 0)))
    kh, kw, c, features = kernel.shape
    kernel = kernel.reshape(kh // 2, 2, kw // 2, 2, c, features)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4).reshape(kh // 2, kw // 2, features, 4 * c)
    blocks = depth_to_space(_by_columns(outputs, kernel, tuple(sides)))
    return blocks[:, : size[0], : size[1]]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _match(images: Array, outputs: Array, stride: int, pads: Pads, shape: tuple) -> Array:
    """The kernel (of the given shape) to which a convolution sends its output's gradient back."""
    kh, kw, c, features = shape
    # XLA's own way is faster with few features and few taps, with kernels of 4 x 4 and 5 x 5, and
    # with large batches, which it takes as features.
    large = c * features > 256 and kh <= 3 and len(images) < 16
    if uses_blocks() and (large or not 1 < kh * kw < 49):
        return _by_product(images, outputs, stride, pads, shape)
    kernel = jax.ShapeDtypeStruct(shape, outputs.dtype)
    return jax.linear_transpose(lambda k: _plain(images, k, stride, pads), kernel)(outputs)[0]


def _by_product(images: Array, outputs: Array, stride: int, pads: Pads, shape: tuple) -> Array:
    """`_match` by one matrix product over all pixels.

    On one side stand the images once for each row of the kernel, on the other the outputs once for
    each column, shifted by it (by every `stride`-th: those between are features of one pixel).
    """
    kh, kw, c, features = shape
    _, h, w, _ = outputs.shape
    shifts = -(-kw // stride)
    width = w + shifts - 1
    (top, bottom), (left, _) = pads
    right = stride * width - images.shape[2] - left  # below zero where no output sees the last
    around = ((0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0))
    images = lax.pad(images, jnp.zeros((), images.dtype), around)
    rows = [images[:, i : i + stride * (h - 1) + 1 : stride] for i in range(kh)]
    columns = [
        jnp.pad(outputs, ((0, 0), (0, 0), (i, shifts - 1 - i), (0, 0))) for i in range(shifts)
    ]
    pixels = jnp.concatenate(rows, axis=-1).reshape(-1, stride * kh * c)
    outputs = jnp.concatenate(columns, axis=-1).reshape(-1, shifts * features)
    kernel = lax.dot_general(pixels, outputs, (((0,), (0,)), ((), ())))
    kernel = kernel.reshape(stride, kh, c, shifts, features).transpose(1, 3, 0, 2, 4)
    return kernel.reshape(kh, shifts * stride, c, features)[:, :kw]


def _held(x: Array) -> Array:
    """Computed once and kept. XLA makes what is cheap (norms, activations) anew for each use."""
    return lax.optimization_barrier(x) if uses_blocks() else x


def _correlate_there(images, kernel, stride, pads):
    images = _held(images)
    return _correlate(images, kernel, stride, pads), (images, kernel)


def _correlate_back(stride, pads, inputs, ct):
    (images, kernel), ct = inputs, _held(ct)
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


_correlate.defvjp(_correlate_there, _correlate_back)
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


def depth_to_space(images: Array) -> Array:
    """Spreads channels over 2 x 2 blocks of pixels: (n, h, w, 4c) -> (n, 2h, 2w, c)."""
    n, h, w, c = images.shape
    pixels = images.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(n, 2 * h, 2 * w, c // 4)


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
    k = kernel.shape[0]
    pads = _NO_PADS
    if padding == "same":
        pads = tuple(same_padding(size, k, stride) for size in images.shape[1:3])
    elif padding == "reflect" and k > 1:
        images = reflect_pad(images, (k // 2, k // 2), (k // 2, k // 2))
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


def upsampled_conv(images: Array, kernel: Array, *, padding: str) -> Array:
    """Convolves the image that `upsample` gives; see `conv`. The kernel is 3 x 3."""
    if not uses_blocks():
        return conv(upsample(images), kernel, padding=padding)
    # Among nine pixels, only four differ: rows 2 m - 1 and 2 m see rows m - 1 and m.
    for axis in (0, 1):
        one, two, three = jnp.split(kernel, 3, axis)
        kernel = jnp.concatenate([one + two, one, three, two + three], axis)
    _, _, c, features = kernel.shape
    kernel = kernel.reshape(2, 2, 2, 2, c, features).transpose(0, 2, 4, 1, 3, 5)
    kernel = kernel.reshape(2, 2, c, 4 * features)
    # Mirrored, the first row is itself a copy of the row before it.
    mode = {"reflect": "edge", "same": "constant"}[padding]
    images = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
    return depth_to_space(_correlate(images, kernel, 1, _NO_PADS))[:, 1:-1, 1:-1]


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
    """Convolution; see `conv`. Glorot-uniform kernel, zero bias, both float32.

    With `upsampled`, of the image at twice its size; see `upsampled_conv`.
    """

    features: int
    size: int
    stride: int = 1
    padding: str = "same"
    use_bias: bool = False
    dtype: Any = jnp.float32
    upsampled: bool = False

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.size, self.size, images.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        convolve = upsampled_conv if self.upsampled else partial(conv, stride=self.stride)
        y = convolve(images.astype(self.dtype), kernel.astype(self.dtype), padding=self.padding)
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
