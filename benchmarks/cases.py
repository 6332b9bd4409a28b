"""What is trained and predicted: settings, batches and learners, made as the stages make them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from semjax import networks, optimizers, settings, variants
from semjax.learners import classifier, cyclegan, segmenter, wgan_gp
from semjax.networks import layers
from semjax.training import Learner

OUTLINE_PX = 64
SECTIONS = {
    "wgan_gp": "shapes",
    "cyclegan": "translate",
    "segmenter": "segment",
    "classifier": "classify",
}


def configure(kind: str, variant: str, changes: dict[str, Any] | None = None) -> ConfigDict:
    """A stage's section of the settings, as a variant has it, with some changed."""
    config = settings.get_config()
    variants.lay(config, variant, {})
    section = config[SECTIONS[kind]]
    if kind == "segmenter":
        with section.unlocked():
            section.outputs = 3 if section.target == "instances" else 1
    section.update(changes or {})
    return section


def draw_batch(kind: str, c: ConfigDict, seed: int) -> Any:
    """A seeded batch of NumPy arrays; masks and targets are those of squares."""
    rng = np.random.default_rng(seed)
    if kind == "wgan_gp":
        shape = (c.n_critic, c.batch_size, OUTLINE_PX // 8, OUTLINE_PX // 8, 1)
        squares = rng.choice([-1.0, 1.0], shape)
        return squares.repeat(8, 2).repeat(8, 3).astype(np.float32)
    n, (h, w) = c.batch_size, c.tile_px
    images = rng.uniform(-1, 1, (n, h, w, 1)).astype(np.float32)
    squares = rng.integers(0, 2, (n, h // 8, w // 8, 1)).repeat(8, 1).repeat(8, 2)
    squares = squares.astype(np.float32)
    if kind == "cyclegan":
        return {"images": images, "masks": 2 * squares - 1}
    if kind == "segmenter":
        distance = squares * rng.uniform(0, 1, squares.shape)
        targets = np.concatenate([squares, distance > 0.5, distance], axis=-1)
        return {"images": images, "targets": targets[..., : c.outputs].astype(np.float32)}
    where = rng.integers(0, 2, squares.shape).astype(np.float32)
    return {
        "images": np.concatenate([images, 2 * where - 1], axis=-1),
        "targets": squares * where,
        "where": where,
    }


def make_unet(kind: str, c: ConfigDict) -> Any:
    """The segmenter's or the classifier's network."""
    kwargs = {"filters": c.filters, "decoder": c.decoder, "dtype": c.dtype}
    if kind == "segmenter":
        return networks.make(networks.SEGMENTERS, c.network, kwargs | {"outputs": c.outputs})
    return networks.make(networks.CLASSIFIERS, "multires_unet", kwargs | {"outputs": 1})


def make_learner(kind: str, c: ConfigDict) -> Learner:
    """Our learner of a kind, with the stage's optimisers."""
    if kind == "wgan_gp":
        kwargs = {"outline_px": OUTLINE_PX, "width": c.generator_width}
        return wgan_gp.wgan_gp(
            networks.make(networks.OUTLINE_GENERATORS, "wgan", kwargs),
            networks.make(networks.OUTLINE_CRITICS, "wgan", {"width": c.critic_width}),
            outline_px=OUTLINE_PX,
            latent=c.latent,
            tx_generator=optimizers.adam(c.learning_rate, b1=0.5, b2=0.9),
            tx_critic=optimizers.adam(c.learning_rate, b1=0.5, b2=0.9),
            penalty_weight=c.gradient_penalty,
        )
    if kind == "cyclegan":
        return _make_cyclegan(c)
    make = {"segmenter": segmenter.segmenter, "classifier": classifier.classifier}[kind]
    rate = optimizers.halving(c.learning_rate, every=c.halve_every)
    return make(
        make_unet(kind, c), optimizers.adam(rate), tile_px=tuple(c.tile_px), positive_weight=2.0
    )


def _make_cyclegan(c: ConfigDict) -> Learner:
    generator = networks.make(
        networks.TRANSLATORS,
        "resnet",
        {
            "width": c.generator_width,
            "downs": c.generator_downs,
            "blocks": c.generator_blocks,
            "use_bias": c.generator_bias,
            "skip": c.generator_skip,
            "residual": c.generator_residual,
            "upsample": c.upsample,
            "dtype": c.dtype,
        },
    )
    kwargs = {"version": c.discriminator, "width": c.discriminator_width, "dtype": c.dtype}
    discriminator = networks.make(
        networks.DISCRIMINATORS, "patch", kwargs | {"noise": c.discriminator_noise}
    )
    rate = optimizers.constant_then_linear(c.learning_rate, steps=c.steps, decay_from=c.decay_from)
    return cyclegan.cyclegan(
        *(generator, generator, discriminator, discriminator),
        tile_px=tuple(c.tile_px),
        batch_size=c.batch_size,
        tx_generators=optimizers.adam(rate, b1=0.5),
        tx_discriminators=optimizers.adam(rate, b1=0.5),
        cycle_weight=c.cycle_weight,
        identity_weight=c.identity_weight,
        label_smoothing=c.label_smoothing,
        pool=c.pool,
        ema_decay=c.ema_decay,
        mask_noise=c.mask_noise,
        remat=c.remat,
    )


def count(function: Callable, *args: Any) -> float:
    """Operations of one call, without those that forms for a CPU add."""
    with layers.force_blocks(False):
        return jax.jit(lambda *args: function(*args)).lower(*args).cost_analysis()["flops"]


def init_state(learner: Learner) -> Any:
    """The state as `semjax.training.fit` makes it, without the compilation of hundreds of draws."""
    return jax.jit(learner.init)(jax.random.key(0, impl="rbg"))
