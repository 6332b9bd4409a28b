"""What every learner keeps to, and each one's formulas against numbers worked out by hand."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from semjax.learners.classifier import classifier
from semjax.learners.segmenter import segmenter
from semjax.learners.wgan_gp import wgan_gp

NAMES = ("wgan_gp", "cyclegan", "segmenter", "classifier")
RANDOM = ("wgan_gp", "cyclegan")


@pytest.fixture(params=NAMES)
def case(request, cases):
    return cases(request.param)


def types(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def leaves_equal(a, b):
    return [bool(jnp.array_equal(x, y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


def test_a_step_keeps_the_state_s_structure_and_counts(case, key):
    state = case.init(key)
    after, metrics = case.step(state, case.batch, key)
    assert types(after) == types(state)
    assert state.step == 0 and after.step == 1
    assert case.step(after, case.batch, key)[0].step == 2
    assert metrics
    for name, value in metrics.items():
        assert value.shape == () and value.dtype == jnp.float32, name
        assert np.isfinite(value), name
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(after))


def test_a_step_is_a_function_of_state_batch_and_key(case, key):
    state = case.init(key)
    first, again = (case.step(state, case.batch, key) for _ in range(2))
    assert all(leaves_equal(first, again))
    other = case.step(state, case.batch, jax.random.key(1))
    assert all(leaves_equal(first, other)) == (case.name not in RANDOM)
    assert not all(leaves_equal(state, case.init(jax.random.key(1))))


def test_every_network_and_optimiser_moves(case, key):
    state = case.init(key)
    after, _ = case.step(state, case.batch, key)
    frozen = {"pooled"}
    for name in vars(state).keys() - frozen:
        assert not all(leaves_equal(getattr(state, name), getattr(after, name))), name


@pytest.mark.parametrize("name", ["cyclegan", "segmenter"])
def test_bfloat16_activations_leave_float32_states_and_metrics(name, cases, key):
    learner, batch = cases(name, published=True, dtype="bfloat16")[1:3]
    state = jax.eval_shape(learner.init, key)
    inside, (after, metrics) = jax.make_jaxpr(learner.step, return_shape=True)(state, batch, key)
    assert types(after) == types(state)
    assert {x.dtype for x in jax.tree.leaves(state)} <= {jnp.dtype("f4"), jnp.dtype("i4")}
    assert {x.dtype for x in metrics.values()} == {jnp.dtype("f4")}
    assert "bf16" in str(inside)


@pytest.mark.parametrize("name", ["cyclegan", "segmenter", "classifier"])
def test_bfloat16_steps_come_near_float32_ones(name, cases, key):
    full, half = cases(name), cases(name, dtype="bfloat16")
    state = full.init(key)
    (_, expected), (_, found) = (c.step(state, full.batch, key) for c in (full, half))
    for metric in expected:
        assert found[metric] == pytest.approx(float(expected[metric]), rel=0.05, abs=0.02), metric


# --- WGAN-GP


def constant_drawer(value):
    """A generator that draws its only parameter, whatever z is."""

    def apply(variables, z, *, train, mutable=()):
        drawn = jnp.broadcast_to(variables["params"]["c"], (z.shape[0], 2, 2, 1))
        return (drawn, {"batch_stats": {}}) if mutable else drawn

    init = lambda key, z, train: {"params": {"c": jnp.full((1, 2, 2, 1), value)}, "batch_stats": {}}
    return SimpleNamespace(init=init, apply=apply)


def linear_critic():
    """D(x) = sum of w x, with w = 0 at first."""

    def apply(variables, outlines, *, train, rngs=None):
        return jnp.sum(variables["params"]["w"] * outlines, axis=(1, 2, 3))

    return SimpleNamespace(
        init=lambda key, outlines, train: {"params": {"w": jnp.zeros((1, 2, 2, 1))}}, apply=apply
    )


def hand_made_wgan(*, penalty_weight):
    return wgan_gp(
        constant_drawer(0.5),
        linear_critic(),
        outline_px=2,
        latent=3,
        tx_generator=optax.sgd(0.1),
        tx_critic=optax.sgd(1.0),
        penalty_weight=penalty_weight,
    )


def test_wgan_critic_climbs_the_distance_and_its_generator_the_score(key):
    learner = hand_made_wgan(penalty_weight=0.0)
    real = np.stack([np.full((3, 2, 2, 1), 1.0, "f4"), np.full((3, 2, 2, 1), -0.5, "f4")])
    state, metrics = learner.step(learner.init(key), real, key)
    # w: 0, then + (1 - 0.5), then + (-0.5 - 0.5); D(x) = 4 w x.
    np.testing.assert_allclose(state.critic["w"], -0.5, rtol=1e-6)
    assert metrics["wasserstein"] == pytest.approx((0.0 + 4 * 0.5 * (-0.5 - 0.5)) / 2)
    assert metrics["generator"] == pytest.approx(-4 * -0.5 * 0.5)
    np.testing.assert_allclose(state.generator["c"], 0.5 + 0.1 * -0.5, rtol=1e-6)


def test_wgan_penalty_holds_the_critic_s_slope_at_one(key):
    learner = hand_made_wgan(penalty_weight=10.0)
    real = np.full((1, 3, 2, 2, 1), 0.5, np.float32)  # as the fakes: nothing but the penalty
    state = learner.init(key)
    for start, sign in ((1.0, -1.0), (0.1, 1.0)):  # slopes 2 and 0.2
        steep = state.replace(critic={"w": jnp.full((1, 2, 2, 1), start)})
        after, metrics = learner.step(steep, real, key)
        assert metrics["penalty"] == pytest.approx((2 * start - 1) ** 2, rel=1e-5)
        # d/dw of 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w|, with |w| = 2 start and w / |w| = 1 / 2.
        step = -20 * (2 * start - 1) / 2
        assert np.sign(step) == sign
        np.testing.assert_allclose(after.critic["w"], start + step, rtol=1e-4)


def test_wgan_batch_counts_critic_updates_first(cases, key):
    case = cases("wgan_gp")
    n_critic = case.batch.shape[0]
    after, _ = case.step(case.init(key), case.batch, key)
    assert optax.tree.get(after.opt_critic, "count") == n_critic
    assert optax.tree.get(after.opt_generator, "count") == 1


# --- segmenter and classifier


def constant_logits(values):
    """A network whose only parameter is its output."""

    def apply(variables, images, *, train, mutable):
        return variables["params"]["logits"], {"batch_stats": {}}

    init = lambda key, images, train: {"params": {"logits": jnp.asarray(values)}, "batch_stats": {}}
    return SimpleNamespace(init=init, apply=apply)


def cross_entropy(logits, targets):
    p = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p))


@pytest.mark.parametrize("outputs", [1, 3])
def test_segmenter_loss_is_its_formula(outputs, key):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 4, 4, outputs)).astype(np.float32)
    targets = rng.uniform(0, 1, logits.shape).astype(np.float32)
    targets[..., :2] = targets[..., :2] > 0.5
    learner = segmenter(
        constant_logits(logits), optax.sgd(1.0), tile_px=(4, 4), positive_weight=3.0
    )
    batch = {"images": np.zeros((2, 4, 4, 1), "f4"), "targets": targets}
    _, metrics = learner.step(learner.init(key), batch, key)
    p = targets[..., 0]
    expected = {"particle": np.mean(np.where(p, 3.0, 1.0) * cross_entropy(logits[..., 0], p))}
    if outputs == 3:
        expected["interior"] = np.mean(cross_entropy(logits[..., 1], targets[..., 1]))
        error = np.abs(1 / (1 + np.exp(-logits[..., 2].astype(float))) - targets[..., 2])
        expected["distance"] = error[p > 0].mean()
    expected["loss"] = sum(expected.values())
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-5), name


def test_segmenter_of_an_empty_batch_has_no_distance(key):
    learner = segmenter(
        constant_logits(np.ones((1, 4, 4, 3), "f4")),
        optax.sgd(1.0),
        tile_px=(4, 4),
        positive_weight=1.0,
    )
    batch = {"images": np.zeros((1, 4, 4, 1), "f4"), "targets": np.zeros((1, 4, 4, 3), "f4")}
    state, metrics = learner.step(learner.init(key), batch, key)
    assert metrics["distance"] == 0
    assert np.isfinite(state.params["logits"]).all()


def test_classifier_counts_the_pixels_of_particles_alone(key):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 4, 4, 1)).astype(np.float32)
    targets, where = rng.integers(0, 2, (2, *logits.shape)).astype(np.float32)
    learner = classifier(
        constant_logits(logits), optax.sgd(1.0), tile_px=(4, 4), positive_weight=0.5
    )
    batch = {"images": np.zeros((2, 4, 4, 2), "f4"), "targets": targets, "where": where}
    state, metrics = learner.step(learner.init(key), batch, key)
    inside = where > 0
    weighted = np.where(targets > 0, 0.5, 1.0) * cross_entropy(logits, targets)
    assert metrics["loss"] == pytest.approx(weighted[inside].mean(), rel=1e-5)
    right = (logits > 0) == (targets > 0)
    assert metrics["accuracy"] == pytest.approx(right[inside].mean(), rel=1e-6)
    moved = np.asarray(state.params["logits"]) != logits
    assert np.array_equal(moved, inside)
