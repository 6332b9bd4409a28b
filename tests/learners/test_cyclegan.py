"""The CycleGAN's joint loss, its discriminators' targets and its averaged generators."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from semjax.learners.cyclegan import cyclegan

TILE_PX = (6, 6)
N = 2


def painter(*, record=None):
    """y = tanh(a x + b); `record` notes how many samples each call gets."""

    def apply(variables, x):
        if record is not None:
            record.append(x.shape[0])
        return jnp.tanh(variables["params"]["a"] * x + variables["params"]["b"])

    def init(key, x):
        a, b = jax.random.uniform(key, (2, 1, 1, 1, 1), minval=0.5, maxval=1.5)
        return {"params": {"a": a, "b": b}}

    return SimpleNamespace(init=init, apply=apply)


def discriminator(*, trained=True):
    """Logits w x, or 0 whatever comes."""

    def apply(variables, x, *, train, rngs):
        assert train and set(rngs) == {"noise"}
        return x * (variables["params"]["w"] if trained else 0.0)

    return SimpleNamespace(
        init=lambda key, x, train: {"params": {"w": jnp.full((1, 1, 1, 1), 0.7)}}, apply=apply
    )


def make(judge, *, record=None, **changes):
    options = {
        "cycle_weight": 10.0,
        "identity_weight": 5.0,
        "label_smoothing": 0.0,
        "pool": 0,
        "ema_decay": 0.0,
        **changes,
    }
    return cyclegan(
        painter(record=record),
        painter(record=record),
        judge,
        judge,
        tile_px=TILE_PX,
        batch_size=N,
        tx_generators=optax.sgd(1e-2),
        tx_discriminators=optax.sgd(1e-2),
        **options,
    )


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images, masks = rng.uniform(-1, 1, (2, N, *TILE_PX, 1)).astype(np.float32)
    return {"images": images, "masks": masks}


@pytest.mark.parametrize("identity_weight", [0.0, 5.0])
def test_both_generators_follow_the_whole_joint_loss(identity_weight, batch, key):
    learner = make(discriminator(), identity_weight=identity_weight)
    state = learner.init(key)
    w = 0.7
    images, masks = batch["images"], batch["masks"]

    def joint(generators):
        def paint(name, x):
            return jnp.tanh(generators[name]["a"] * x + generators[name]["b"])

        fake_images, fake_masks = paint("to_image", masks), paint("to_mask", images)
        adversarial = jnp.mean((w * fake_images - 1) ** 2) + jnp.mean((w * fake_masks - 1) ** 2)
        cycles = jnp.mean(jnp.abs(paint("to_mask", fake_images) - masks))
        cycles += jnp.mean(jnp.abs(paint("to_image", fake_masks) - images))
        identities = jnp.mean(jnp.abs(paint("to_image", images) - images))
        identities += jnp.mean(jnp.abs(paint("to_mask", masks) - masks))
        return adversarial + 10 * cycles + identity_weight * identities

    after, metrics = learner.step(state, batch, key)
    expected = jax.tree.map(
        lambda x, g: x - 1e-2 * g, state.generators, jax.grad(joint)(state.generators)
    )
    for found, wanted in zip(*map(jax.tree.leaves, (after.generators, expected)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    total = metrics["adversarial_image"] + metrics["adversarial_mask"]
    total += 10 * (metrics["cycle_image"] + metrics["cycle_mask"])
    total += identity_weight * metrics["identity"]
    assert total == pytest.approx(float(joint(state.generators)), rel=1e-5)


def test_without_identity_weight_identities_are_not_computed(batch, key):
    samples = {}
    for weight in (0.0, 5.0):
        record = []
        learner = make(discriminator(), record=record, identity_weight=weight)
        _, metrics = jax.eval_shape(learner.step, learner.init(key), batch, key)
        samples[weight] = sum(record)
    assert samples == {0.0: 4 * N, 5.0: 6 * N}
    learner = make(discriminator(), identity_weight=0.0)
    assert learner.step(learner.init(key), batch, key)[1]["identity"] == 0


def test_activations_computed_again_give_the_same_step(batch, key):
    found = []
    for remat in (False, True):
        learner = make(discriminator(), remat=remat, pool=4)
        state = learner.init(key)
        assert ("remat" in str(jax.make_jaxpr(learner.step)(state, batch, key))) == remat
        found.append(learner.step(state, batch, key))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), *found)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_targets_are_smoothed_on_both_sides(smoothing, batch, key):
    learner = make(discriminator(trained=False), label_smoothing=smoothing)
    _, metrics = learner.step(learner.init(key), batch, key)
    real, fake = 1 - smoothing / 2, smoothing / 2
    for name in ("image", "mask"):
        assert metrics[f"adversarial_{name}"] == pytest.approx(real**2, rel=1e-6)
        expected = 0.5 * (real**2 + fake**2)
        assert metrics[f"discriminator_{name}"] == pytest.approx(expected, rel=1e-6)


def test_discriminators_tell_their_own_domain_from_fakes(batch, key):
    learner = make(discriminator())
    state = learner.init(key)
    after, metrics = learner.step(state, batch, key)

    def loss(w, real, fake):
        return 0.5 * (jnp.mean((w * real - 1) ** 2) + jnp.mean((w * fake) ** 2))

    def paint(name, x):
        return jnp.tanh(state.generators[name]["a"] * x + state.generators[name]["b"])

    shown = {
        "image": (batch["images"], paint("to_image", batch["masks"])),
        "mask": (batch["masks"], paint("to_mask", batch["images"])),
    }
    for name, (real, fake) in shown.items():
        value, slope = jax.value_and_grad(loss)(0.7, real, fake)
        assert metrics[f"discriminator_{name}"] == pytest.approx(float(value), rel=1e-5)
        expected = 0.7 - 1e-2 * float(slope)
        assert after.discriminators[name]["w"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("decay", "step", "share"), [(0.0, 0, 0.0), (0.999, 0, 0.1), (0.5, 90, 0.5), (0.999, 90, 0.91)]
)
def test_averaged_generators_follow_and_the_young_forget_faster(decay, step, share, batch, key):
    learner = make(discriminator(), ema_decay=decay)
    state = learner.init(key).replace(step=jnp.asarray(step))
    state = state.replace(averaged=jax.tree.map(lambda x: x + 1.0, state.averaged))
    after, _ = learner.step(state, batch, key)
    for old, new, averaged in zip(
        *map(jax.tree.leaves, (state.averaged, after.generators, after.averaged)), strict=True
    ):
        np.testing.assert_allclose(averaged, share * old + (1 - share) * new, rtol=1e-5)


def test_pools_take_the_fakes(batch, key):
    learner = make(discriminator(), pool=4)
    state = learner.init(key)
    after, _ = learner.step(state, batch, key)
    assert after.pooled == N
    fakes = {"image": ("to_image", "masks"), "mask": ("to_mask", "images")}
    for name, (generator, source) in fakes.items():
        weights = state.generators[generator]
        fake = np.tanh(weights["a"] * batch[source] + weights["b"])
        np.testing.assert_allclose(after.pools[name][:N], fake, rtol=1e-5)
        assert not after.pools[name][N:].any()


def test_a_pool_smaller_than_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"translate.pool \(=1\) must be 0 or at least"):
        make(discriminator(), pool=1)


def test_noise_falls_on_what_becomes_an_image_alone(batch, key):
    """Two keys give other images of one mask; what becomes a mask has no noise."""
    quiet, noisy = make(discriminator(), pool=N), make(discriminator(), pool=N, mask_noise=0.5)
    state = quiet.init(key)
    fakes = {}
    for name, learner in (("quiet", quiet), ("noisy", noisy)):
        for number in (1, 2):
            after, _ = learner.step(state, batch, jax.random.key(number))
            fakes[name, number] = after.pools
    np.testing.assert_array_equal(fakes["quiet", 1]["image"], fakes["quiet", 2]["image"])
    spread = np.abs(fakes["noisy", 1]["image"] - fakes["noisy", 2]["image"]).mean()
    assert 0.1 < spread < 1.0
    for name, number in fakes:
        np.testing.assert_array_equal(fakes[name, number]["mask"], fakes["quiet", 1]["mask"])
