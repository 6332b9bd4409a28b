"""What every network promises; a new entry in a dict of `semjax.networks` is tested here."""

import jax
import jax.numpy as jnp
import pytest

from semjax import networks
from semjax.networks import layers

SMALL = {
    "outline_generator": {"outline_px": 16, "width": 8},
    "critic": {"width": 2},
    "translator": {"width": 4, "downs": 2, "blocks": 1},
    "discriminator": {"width": 4},
    "segmenter": {"filters": 2, "outputs": 3},
    "classifier": {"filters": 2},
}
TABLES = {
    "outline_generator": networks.OUTLINE_GENERATORS,
    "critic": networks.OUTLINE_CRITICS,
    "translator": networks.TRANSLATORS,
    "discriminator": networks.DISCRIMINATORS,
    "segmenter": networks.SEGMENTERS,
    "classifier": networks.CLASSIFIERS,
}
# kind, kwargs beside the small ones, input shape, output shape (None: any height and width).
CASES = [
    ("outline_generator", {}, (2, 6), (2, 16, 16, 1)),
    ("outline_generator", {"outline_px": 24}, (2, 6), (2, 24, 24, 1)),
    ("outline_generator", {"dtype": "bfloat16"}, (2, 6), (2, 16, 16, 1)),
    ("critic", {}, (2, 16, 16, 1), (2,)),
    ("critic", {}, (2, 48, 48, 1), (2,)),
    ("translator", {}, (2, 16, 16, 1), (2, 16, 16, 1)),
    ("translator", {}, (1, 17, 22, 1), (1, 17, 22, 1)),
    ("translator", {"downs": 3, "skip": True, "use_bias": True}, (1, 24, 19, 1), (1, 24, 19, 1)),
    ("translator", {"residual": True}, (1, 17, 22, 1), (1, 17, 22, 1)),
    ("translator", {"upsample": "resize"}, (1, 16, 16, 1), (1, 16, 16, 1)),
    ("translator", {"dtype": "bfloat16"}, (1, 16, 16, 1), (1, 16, 16, 1)),
    ("discriminator", {}, (2, 64, 64, 1), (2, 3, 3, 1)),
    ("discriminator", {"noise": 0.1}, (1, 71, 65, 1), None),
    ("discriminator", {"version": "v100"}, (1, 64, 72, 1), (1, 8, 9, 1)),
    ("discriminator", {"dtype": "bfloat16"}, (1, 64, 64, 1), (1, 3, 3, 1)),
    ("segmenter", {}, (2, 32, 32, 1), (2, 32, 32, 3)),
    ("segmenter", {"decoder": "symmetric"}, (1, 37, 50, 1), (1, 37, 50, 3)),
    ("segmenter", {"dtype": "bfloat16"}, (1, 32, 32, 1), (1, 32, 32, 3)),
    ("classifier", {}, (1, 45, 32, 2), (1, 45, 32, 1)),
]


# Compiling the gradients of a MultiResUNet takes many seconds at any size.
SLOW = ("segmenter", "classifier")


def build(kind, name, extra):
    """The small network of a kind."""
    return networks.make(TABLES[kind], name, SMALL[kind] | extra)


def evaluate_and_train(network, key, x):
    """The output, the variables, the parameters' gradients and the new statistics."""
    variables = network.init(key, x, train=False)
    y = network.apply(variables, x, train=False)
    params = variables.pop("params")
    rngs = {"dropout": key, "noise": key}

    def loss(params):
        out, updates = network.apply(
            {"params": params, **variables}, x, train=True, rngs=rngs, mutable=list(variables)
        )
        return (out**2).mean(), updates

    gradients, updates = jax.grad(loss, has_aux=True)(params)
    return y, params, variables, gradients, updates


@pytest.mark.parametrize(
    ("kind", "name", "extra", "shape", "expected"),
    [(kind, name, *case) for kind, *case in CASES for name in TABLES[kind]],
)
def test_shapes_and_types(kind, name, extra, shape, expected):
    network = build(kind, name, extra)
    assert hash(network) == hash(build(kind, name, extra))
    y, params, variables, gradients, updates = jax.eval_shape(
        lambda key, x: evaluate_and_train(network, key, x), jax.random.key(0), jnp.zeros(shape)
    )
    assert y.dtype == jnp.float32
    if expected is not None:
        assert y.shape == expected
    for leaf in jax.tree.leaves((params, variables, gradients)):
        assert leaf.dtype == jnp.float32
    assert jax.tree.map(jnp.shape, dict(updates)) == jax.tree.map(jnp.shape, variables)


@pytest.mark.parametrize(
    ("kind", "name", "extra", "shape"),
    [
        pytest.param(kind, name, *case[:2], marks=[pytest.mark.slow] * (kind in SLOW))
        for kind, *case in CASES
        for name in TABLES[kind]
    ],
)
def test_values_and_gradients_are_finite(kind, name, extra, shape):
    x = jax.random.uniform(jax.random.key(0), shape, minval=-1.0)
    network = build(kind, name, extra)
    found = jax.jit(lambda key, x: evaluate_and_train(network, key, x))(jax.random.key(1), x)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    y, _, _, gradients, _ = found
    assert any(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradients))
    if kind in ("outline_generator", "translator"):
        assert float(jnp.abs(y).max()) <= 1.0


@pytest.mark.parametrize("choice", [False, True])
def test_networks_do_not_depend_on_the_form_of_convolutions(choice):
    network = networks.ResNetGenerator(width=4, downs=2, blocks=1)
    x = jax.random.uniform(jax.random.key(0), (1, 16, 20, 1), minval=-1.0)
    variables = network.init(jax.random.key(1), x)
    with layers.force_blocks(choice):
        forced = network.apply(variables, x)
    assert jnp.allclose(forced, network.apply(variables, x), atol=1e-4)


def test_training_noise_and_dropout_follow_their_keys():
    x = jax.random.uniform(jax.random.key(0), (1, 64, 64, 1))
    cases = (
        (networks.Critic(width=2), "dropout"),
        (networks.PatchDiscriminator(width=4, noise=0.3), "noise"),
    )
    for network, stream in cases:
        variables = network.init(jax.random.key(1), x)
        still = network.apply(variables, x)
        one, again, other = (
            network.apply(variables, x, train=True, rngs={stream: jax.random.key(k)})
            for k in (2, 2, 3)
        )
        assert jnp.array_equal(one, again)
        assert not jnp.allclose(one, other)
        assert not jnp.allclose(one, still)


def test_make_names_the_choices():
    with pytest.raises(ValueError, match='unknown network "unet2"; choose one of: multires_unet'):
        networks.make(networks.SEGMENTERS, "unet2")


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (networks.OutlineGenerator(outline_px=20), (1, 4), "multiple of 8, got 20"),
        (networks.ResNetGenerator(upsample="nearest"), (1, 16, 16, 1), "transposed"),
        (networks.PatchDiscriminator(version="v110"), (1, 64, 64, 1), "v100"),
        (networks.MultiResUNet(decoder="small"), (1, 16, 16, 1), "symmetric"),
    ],
)
def test_wrong_options_are_refused(network, shape, message):
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), jnp.zeros(shape))
