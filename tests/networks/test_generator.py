"""What lets the input past the generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from semjax.networks import ResNetGenerator
from semjax.networks.resnet_generator import GAIN

SMALL = {"width": 4, "downs": 2, "blocks": 1}
KERNEL = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(16, 24), (13, 22)])
def test_a_residual_generator_adds_its_input_through_a_kernel(shape):
    images = np.random.default_rng(0).uniform(-1, 1, (2, *shape, 1)).astype(np.float32)
    residual = ResNetGenerator(**SMALL, residual=True)
    params = dict(residual.init(jax.random.key(0), images)["params"])
    first = params.pop("through")
    plain = np.arctanh(ResNetGenerator(**SMALL).apply({"params": params}, images))
    for kernel in (first, KERNEL / 10):
        output = residual.apply({"params": params | {"through": kernel}}, images)
        through = ndimage.correlate(images, np.asarray(kernel)[None, :, :, None], mode="mirror")
        # Beyond the image, padding to a multiple of 4 comes first.
        inner = np.s_[:, :-1, :-1] if shape[0] % 4 else np.s_[:]
        added = np.arctanh(output) - plain
        np.testing.assert_allclose(added[inner], through[inner], atol=2e-3)


def test_at_first_the_kernel_changes_the_contrast_alone():
    generator = ResNetGenerator(**SMALL, residual=True)
    params = generator.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    expected = np.zeros((3, 3))
    expected[1, 1] = GAIN
    np.testing.assert_array_equal(params["through"], expected)
