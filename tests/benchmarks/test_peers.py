"""PyTorch's networks and updates compute what ours do, random draws included."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn

torch = pytest.importorskip("torch", reason="the peers are PyTorch's: dependency group benchmarks")

from benchmarks import cases  # noqa: E402
from benchmarks.peers import build, cyclegan, run, transfer, unet_steps, wgan_gp  # noqa: E402
from semjax import optimizers, predict  # noqa: E402

RATE = 1e-2
SMALL = {"tile_px": (64, 64), "batch_size": 2}
GENERATOR = {"generator_width": 4, "generator_blocks": 1, "discriminator_width": 4, "pool": 4}
CASES = {
    "wgan_gp": ("wgan_gp", "cpu", {"generator_width": 8, "critic_width": 4, "batch_size": 4}),
    "cyclegan": ("cyclegan", "cpu", SMALL | GENERATOR),
    "cyclegan v100": ("cyclegan", "v100", SMALL | GENERATOR),
    "cyclegan v120": ("cyclegan", "v120", SMALL | GENERATOR),
    "segmenter": ("segmenter", "cpu", SMALL | {"filters": 4}),
    "segmenter v120": ("segmenter", "v120", SMALL | {"filters": 4}),
    "classifier": ("classifier", "cpu", SMALL | {"filters": 4}),
}


@pytest.fixture(autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def plain_descent(monkeypatch):
    """Both sides step along the gradient; Adam turns the rounding of zeros into whole steps."""
    monkeypatch.setattr(optimizers, "adam", lambda rate, **_: optax.sgd(RATE))
    descend = lambda parameters, rate, **_: torch.optim.SGD(
        [p for p in parameters if p.requires_grad], RATE
    )
    for module in (cyclegan, unet_steps, wgan_gp):
        monkeypatch.setattr(module, "adam", descend)


@pytest.fixture
def double_precision(monkeypatch):
    """Both sides compute in float64: rounding alone moves gradients of small nets by a tenth."""
    monkeypatch.setattr(jax.numpy, "float32", jax.numpy.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(build, "put", lambda network: network.double())
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def widen(tree):
    """Floating point arrays as float64."""
    return jax.tree.map(lambda x: x.astype("f8") if x.dtype == "f4" else x, tree)


def to_torch(x):
    return torch.from_numpy(np.array(x))


def to_nchw(x):
    return to_torch(x).permute(0, 3, 1, 2)


def replay(monkeypatch, module, name, values):
    """Lets a function of PyTorch return given values, one after the other."""
    left = list(values)
    monkeypatch.setattr(module, name, lambda *_, **__: left.pop(0))
    return left


def dropout_masks(state, c, key, n):
    """Which entries our critic keeps under a key, times what they grow by, in NCHW."""
    critic = cases.networks.make(cases.networks.OUTLINE_CRITICS, "wgan", {"width": c.critic_width})
    x = np.random.default_rng(0).normal(size=(n, cases.OUTLINE_PX, cases.OUTLINE_PX, 1))
    _, kept = critic.apply(
        {"params": state.critic},
        x.astype(np.float32),
        train=True,
        rngs={"dropout": key},
        capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
    )
    masks = []
    for i, rate in enumerate((0.3, 0.3, 0.2)):
        out = np.asarray(kept["intermediates"][f"Dropout_{i}"]["__call__"][0])
        mask = (out != 0).astype(np.float64) / (1 - rate)
        masks.append(to_nchw(mask) if mask.ndim == 4 else to_torch(mask))
    return masks


def replay_wgan_gp(monkeypatch, state, c, key):
    """Our step's latent vectors, interpolations and dropout."""
    n = c.batch_size
    critic_keys, generator_key = jax.random.split(key)
    latent, between, masks = [], [], []
    for update_key in jax.random.split(critic_keys, c.n_critic):
        draw_key, drop_key, penalty_key = jax.random.split(update_key, 3)
        latent.append(to_torch(jax.random.normal(draw_key, (n, c.latent))))
        between.append(to_torch(jax.random.uniform(penalty_key, (n, 1, 1, 1))))
        masks += dropout_masks(state, c, drop_key, 2 * n) + dropout_masks(state, c, drop_key, n)
    draw_key, drop_key = jax.random.split(generator_key)
    latent.append(to_torch(jax.random.normal(draw_key, (n, c.latent))))
    masks += dropout_masks(state, c, drop_key, n)
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *_: x * masks.pop(0))
    return [
        replay(monkeypatch, torch, "randn", latent),
        replay(monkeypatch, torch, "rand", between),
        masks,
    ]


def replay_cyclegan(monkeypatch, state, c, key):
    """Our step's noise on masks, and what it does with full pools."""
    shape = (c.batch_size, *c.tile_px, 1)
    noise = [
        to_nchw(jax.random.normal(jax.random.fold_in(key, i), shape))
        for i in (range(2) if c.mask_noise else ())
    ]
    places, coins = [], []
    for pool_key in jax.random.split(key, 6)[4:]:
        place_key, coin_key = jax.random.split(pool_key)
        size = c.pool // c.batch_size * c.batch_size
        places.append(
            to_torch(jax.random.choice(place_key, size, (c.batch_size,), replace=False)).long()
        )
        coins.append(1.0 - to_torch(jax.random.bernoulli(coin_key, 0.5, (c.batch_size,))).float())
    return [
        replay(monkeypatch, torch, "randn_like", noise),
        replay(monkeypatch, torch, "randperm", places),
        replay(monkeypatch, torch, "rand", coins),
    ]


def fill_pools(state, peer, rng):
    """The state, and the peer, as after many steps."""
    pools = {name: rng.uniform(-1, 1, x.shape) for name, x in state.pools.items()}
    for name, pool in pools.items():
        peer.pools[name] = to_nchw(pool).clone()
    peer.pooled = peer.pools["image"].shape[0]
    return state.replace(pools=jax.tree.map(jax.numpy.asarray, pools), pooled=peer.pooled)


def assert_alike(given, network, before, tolerance):
    """The peer's parameters moved from `before` as ours did; to a small part of the way."""
    own, before = network.state_dict(), transfer.rename(before)
    for name, value in transfer.rename(given).items():
        ours, theirs = value - before[name], own[name].numpy() - before[name]
        # A bias before a norm has no gradient but rounding.
        way = max(np.linalg.norm(ours), 0.05 * RATE * np.sqrt(ours.size))
        assert np.linalg.norm(ours - theirs) < tolerance * way, name


@pytest.mark.parametrize("name", CASES)
def test_one_step_is_the_same(name, plain_descent, double_precision, monkeypatch):
    kind, variant, changes = CASES[name]
    alike = partial(assert_alike, tolerance=1e-5)
    c = cases.configure(kind, variant, changes)
    if kind != "wgan_gp":
        c.dtype = "float64"
    learner = cases.make_learner(kind, c)
    state = widen(cases.init_state(learner))
    peer = build.make_peer(kind, c, state)
    batch, key = widen(cases.draw_batch(kind, c, 0)), jax.random.key(1)
    queues = []
    if kind == "wgan_gp":
        queues = replay_wgan_gp(monkeypatch, state, c, key)
    if kind == "cyclegan":
        state = fill_pools(state, peer, np.random.default_rng(0))
        queues = replay_cyclegan(monkeypatch, state, c, key)
    after, metrics = jax.jit(learner.step)(state, batch, key)
    found = peer.step(build.put_batch(kind, batch))
    assert not any(queues), "the peer drew less than we did"
    assert {n: float(x) for n, x in found.items()} == pytest.approx(
        {n: float(x) for n, x in metrics.items()}, rel=1e-6, abs=1e-9
    )
    if kind == "wgan_gp":
        alike(after.generator, peer.generator, state.generator)
        alike(after.critic, peer.critic, state.critic)
    elif kind == "cyclegan":
        for part in ("generators", "discriminators", "averaged"):
            for which, network in getattr(peer, part).items():
                alike(getattr(after, part)[which], network, getattr(state, part)[which])
        for which, pool in peer.pools.items():
            np.testing.assert_allclose(pool, to_nchw(after.pools[which]), atol=1e-9)
    else:
        alike(after.params, peer.network, state.params)
        stats = transfer.rename(after.batch_stats)
        own = peer.network.state_dict()
        for which, value in stats.items():
            # PyTorch's running variances have n - 1 below, ours n.
            np.testing.assert_allclose(own[which], value, rtol=2e-3, atol=1e-5)


def test_adam_and_rates_are_the_same():
    gradients = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    c = cases.configure("segmenter", "cpu", {"halve_every": 2})
    rate = optimizers.halving(c.learning_rate, every=c.halve_every)
    tx, ours = optimizers.adam(rate), {"w": jax.numpy.ones(7)}
    opt_state = tx.init(ours)
    network = torch.nn.Linear(7, 1, bias=False)
    torch.nn.init.ones_(network.weight)
    steps = unet_steps.UNetSteps(
        network,
        None,
        weight=1.0,
        learning_rate=c.learning_rate,
        halve_every=c.halve_every,
        dtype=torch.float32,
    )
    for gradient in gradients:
        updates, opt_state = tx.update({"w": jax.numpy.asarray(gradient)}, opt_state)
        ours = optax.apply_updates(ours, updates)
        network.weight.grad = to_torch(gradient)[None]
        steps.optimizer.step()
        steps.schedule.step()
    np.testing.assert_allclose(network.weight.detach()[0], ours["w"], rtol=1e-6)


@pytest.mark.parametrize("fold", [False, True])
def test_prediction_is_the_same(fold):
    c = cases.configure("segmenter", "cpu", {"filters": 4})
    ours = cases.make_unet("segmenter", c)
    variables = jax.jit(ours.init)(jax.random.key(0), np.zeros((1, 64, 64, 1), "f4"))
    rng = np.random.default_rng(0)
    stats = jax.tree.map(lambda x: x + rng.uniform(0, 1, x.shape), variables["batch_stats"])
    variables = jax.tree.map(np.float32, {"params": variables["params"], "batch_stats": stats})
    peer = build.make_unet("segmenter", c).eval()
    transfer.fill(peer, variables["params"], variables["batch_stats"])
    if fold:
        run.fold(peer)
    image = rng.uniform(-1, 1, (150, 200)).astype(np.float32)
    wanted = predict.probabilities(predict.Model({}, ours, variables), image, tile_px=(128, 128))
    found = run.probabilities(peer, image, (128, 128), torch.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_weights_of_another_network_are_refused():
    c = cases.configure("segmenter", "cpu", {"filters": 4})
    state = jax.eval_shape(partial(cases.make_learner("segmenter", c).init), jax.random.key(0))
    network = build.make_unet("classifier", cases.configure("classifier", "cpu", {"filters": 4}))
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state.params)
    with pytest.raises(ValueError, match="not in the peer"):
        transfer.fill(network, params)
