"""Layers against explicit formulas and against XLA's own operations and gradients."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from semjax.networks import layers

LAYOUT = ("NHWC", "HWIO", "NHWC")


def draw(seed, shape):
    return jax.random.normal(jax.random.key(seed), shape)


def assert_same(actual, expected, rtol=1e-5):
    """Equal up to `rtol` of the largest expected value, leaf by leaf."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * float(jnp.abs(e).max()))


def value_and_pullbacks(f, x, kernel):
    """The value of f(x, kernel), its gradients, and the kernel's gradient of a penalty on them."""

    @jax.jit
    def all_of_it(x, kernel):
        y, pull = jax.vjp(f, x, kernel)

        def penalty(x, kernel):
            gradient = jax.grad(lambda x: (f(x, kernel) ** 3).sum())(x)
            return ((jnp.sqrt((gradient**2).sum()) - 1) ** 2).mean()

        return y, pull(jnp.sin(y)), jax.grad(penalty, argnums=(0, 1))(x, kernel)

    return all_of_it(x, kernel)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(8, 3, 2, (0, 1)), (9, 3, 2, (1, 1)), (8, 5, 2, (1, 2)), (8, 4, 2, (1, 1)), (7, 4, 1, (1, 2))],
)
def test_same_padding_is_tensorflows(size, kernel, stride, expected):
    assert layers.same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
@pytest.mark.parametrize(
    ("k", "stride", "c", "features"),
    [(1, 1, 3, 6), (3, 1, 3, 6), (3, 2, 3, 6), (4, 2, 3, 6), (5, 2, 3, 6), (3, 1, 17, 18)]
    + [(1, 2, 17, 18), (3, 2, 17, 18)],
)
def test_conv_and_its_gradients_are_those_of_xla(k, stride, c, features, size, padding):
    x, kernel = draw(0, (2, *size, c)), draw(1, (k, k, c, features))

    def expected(x, kernel):
        strides = (stride, stride)
        return lax.conv_general_dilated(
            x, kernel, strides, padding.upper(), dimension_numbers=LAYOUT
        )

    assert_same(
        value_and_pullbacks(lambda *a: layers.conv(*a, stride=stride, padding=padding), x, kernel),
        value_and_pullbacks(expected, x, kernel),
    )


@pytest.mark.parametrize("size", [(3, 4), (6, 5)])
@pytest.mark.parametrize(("c", "features"), [(5, 3), (17, 16)])
@pytest.mark.parametrize("k", [2, 3])
def test_transposed_conv_and_its_gradients_are_those_of_xla(k, c, features, size):
    x, kernel = draw(0, (2, *size, c)), draw(1, (k, k, c, features))

    def expected(x, kernel):
        return lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=LAYOUT)

    assert_same(
        value_and_pullbacks(layers.transposed_conv, x, kernel),
        value_and_pullbacks(expected, x, kernel),
    )


@pytest.mark.parametrize("k", [2, 3])
def test_transposed_conv_adds_each_pixel_times_the_kernel_at_twice_its_place(k):
    x, kernel = np.asarray(draw(0, (1, 3, 4, 2))), np.asarray(draw(1, (k, k, 2, 3)))
    expected = np.zeros((1, 8, 10, 3))
    for row in range(3):
        for column in range(4):
            spot = expected[0, 2 * row : 2 * row + k, 2 * column : 2 * column + k]
            spot += np.einsum("c,ijcf->ijf", x[0, row, column], kernel)
    np.testing.assert_allclose(
        layers.transposed_conv(x, kernel), expected[:, :6, :8], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("padding", ["same", "reflect"])
@pytest.mark.parametrize("size", [(8, 10), (9, 8)])
@pytest.mark.parametrize(("k", "c", "features"), [(7, 1, 4), (7, 4, 1), (3, 2, 4), (3, 20, 40)])
def test_blocks_change_nothing_but_rounding(k, c, features, size, padding):
    x, kernel = draw(0, (2, *size, c)), draw(1, (k, k, c, features))
    found = []
    for choice in (False, True):
        with layers.force_blocks(choice):
            found.append(
                value_and_pullbacks(lambda *a: layers.conv(*a, padding=padding), x, kernel)
            )
    assert_same(found[1], found[0])


def test_blocks_are_used_when_forced():
    x, kernel = jnp.zeros((1, 8, 8, 1)), jnp.zeros((7, 7, 1, 4))

    def text():
        return str(jax.make_jaxpr(lambda x: layers.conv(x, kernel))(x))

    with layers.force_blocks(True):
        blocks = text()
    with layers.force_blocks(False):
        assert text() != blocks
    assert layers.uses_blocks() == (jax.default_backend() == "cpu")


@pytest.mark.parametrize("k", [3, 7])
def test_reflect_padding_mirrors_about_the_border_pixel(k):
    x, kernel = draw(0, (1, 8, 9, 2)), draw(1, (k, k, 2, 3))
    p = k // 2
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    expected = np.einsum("nhwcij,ijcf->nhwf", windows, kernel)
    assert_same(layers.conv(x, kernel, padding="reflect"), expected)


@pytest.mark.parametrize("size", [(16, 16), (13, 18), (1, 31)])
def test_pad_to_multiple_is_undone_by_its_index(size):
    x = draw(0, (2, *size, 1))
    padded, back = layers.pad_to_multiple(x, 8)
    assert all(s % 8 == 0 and s - o < 8 for s, o in zip(padded.shape[1:3], size, strict=True))
    np.testing.assert_array_equal(padded[back], x)


def test_depth_to_space_makes_blocks_of_channels():
    x = draw(0, (2, 2, 3, 12))
    large = layers.depth_to_space(x)
    assert large.shape == (2, 4, 6, 3)
    np.testing.assert_array_equal(large[1, 2:4, 4:6].reshape(-1), x[1, 1, 2])


@pytest.mark.parametrize("padding", ["same", "reflect"])
@pytest.mark.parametrize("features", [1, 5])
def test_upsampled_conv_is_that_of_the_upsampled_image(features, padding):
    x, kernel = draw(0, (2, 4, 5, 3)), draw(1, (3, 3, 3, features))
    with layers.force_blocks(True):
        found = value_and_pullbacks(partial(layers.upsampled_conv, padding=padding), x, kernel)
    with layers.force_blocks(False):
        expected = value_and_pullbacks(
            lambda x, k: layers.conv(layers.upsample(x), k, padding=padding), x, kernel
        )
    assert_same(found, expected)


def test_upsample_repeats_and_max_pool_undoes_it():
    x = draw(0, (2, 3, 4, 5))
    large = layers.upsample(x)
    np.testing.assert_array_equal(large, np.asarray(x).repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(layers.max_pool(large), x)


def test_max_pool_is_that_of_flax():
    x = draw(0, (2, 6, 8, 3))
    np.testing.assert_array_equal(layers.max_pool(x), nn.max_pool(x, (2, 2), (2, 2)))
    assert_same(
        jax.grad(lambda x: (layers.max_pool(x) ** 2).sum())(x),
        jax.grad(lambda x: (nn.max_pool(x, (2, 2), (2, 2)) ** 2).sum())(x),
    )
