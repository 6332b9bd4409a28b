"""Numbers of parameters and of batch statistics are those of the published networks."""

import jax
import jax.numpy as jnp
import pytest

from semjax.networks import (
    Critic,
    MultiResUNet,
    OutlineGenerator,
    PatchDiscriminator,
    ResNetGenerator,
)

SQUARE = (1, 64, 64, 1)


def count(network, shape):
    """Numbers of parameters and of batch statistics."""
    variables = jax.eval_shape(lambda key: network.init(key, jnp.zeros(shape)), jax.random.key(0))
    return tuple(
        sum(leaf.size for leaf in jax.tree.leaves(variables.get(collection, {})))
        for collection in ("params", "batch_stats")
    )


@pytest.mark.parametrize(
    ("network", "shape", "params", "batch_stats"),
    [
        (OutlineGenerator(), (1, 128), 2_499_522, 33_154),
        (Critic(), SQUARE, 4_311_553, 0),
        (ResNetGenerator(width=32, downs=2, use_bias=True), SQUARE, 2_849_537, 0),
        (ResNetGenerator(width=32, downs=2), SQUARE, 2_846_913, 0),
        (ResNetGenerator(skip=True), SQUARE, 45_592_514, 0),
        (ResNetGenerator(), SQUARE, 45_591_425, 0),
        (ResNetGenerator(residual=True), SQUARE, 45_591_425 + 9, 0),
        (ResNetGenerator(upsample="resize"), SQUARE, 45_591_425, 0),
        (PatchDiscriminator(width=64, version="v100"), SQUARE, 2_764_481, 0),
        (PatchDiscriminator(), SQUARE, 2_633_345, 0),
        (MultiResUNet(), SQUARE, 2_414_297, 15_194),
        (MultiResUNet(filters=32), SQUARE, 7_237_982, 24_522),
        (MultiResUNet(filters=32, decoder="symmetric"), SQUARE, 7_237_982, 24_522),
        (MultiResUNet(decoder="symmetric"), SQUARE, 1_801_561, 12_194),
        # Two input channels: 4 + 25 more features of the first layer's kernels.
        (MultiResUNet(), (1, 64, 64, 2), 2_414_297 + 9 * 4 + 25, 15_194),
    ],
)
def test_parameter_counts(network, shape, params, batch_stats):
    assert count(network, shape) == (params, batch_stats)
