"""Every learner around networks so small that compiling them takes a second.

None of them has a bias right before a norm: its gradient is nothing but rounding, which Adam turns
into whole steps, other ones with every compiler.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from semjax import networks, optimizers
from semjax.learners.classifier import classifier
from semjax.learners.cyclegan import cyclegan
from semjax.learners.segmenter import segmenter
from semjax.learners.wgan_gp import wgan_gp
from semjax.training import Learner

TILE_PX = (48, 56)
OUTLINE_PX = 16
LATENT = 4
N = 2
N_CRITIC = 3


class Pixelwise(nn.Module):
    """In place of a U-Net: (n, h, w, c) to logits (n, h, w, outputs), with batch statistics."""

    outputs: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Conv(4, (3, 3), use_bias=False, dtype=self.dtype)(images)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
        return nn.Conv(self.outputs, (1, 1), dtype=self.dtype)(nn.relu(x))


class Painter(nn.Module):
    """In place of a generator of images or masks."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(4, (3, 3), dtype=self.dtype)(images))
        return jnp.tanh(nn.Conv(1, (3, 3), dtype=self.dtype)(x))


class Patches(nn.Module):
    """In place of a discriminator: logits of patches, noise in training."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, *, train=False):
        x = images
        if train:
            x = x + 0.1 * jax.random.normal(self.make_rng("noise"), x.shape, x.dtype)
        x = nn.relu(nn.Conv(4, (4, 4), strides=2, dtype=self.dtype)(x))
        return nn.Conv(1, (3, 3), dtype=self.dtype)(x)


class Drawer(nn.Module):
    """In place of an outline generator: z to outlines in [-1, 1], with batch statistics."""

    @nn.compact
    def __call__(self, z, *, train=False):
        x = nn.Dense(OUTLINE_PX**2, use_bias=False)(z)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return jnp.tanh(x).reshape(-1, OUTLINE_PX, OUTLINE_PX, 1)


class Judge(nn.Module):
    """In place of a critic: outlines to scores (n,), dropout in training."""

    @nn.compact
    def __call__(self, outlines, *, train=False):
        x = nn.tanh(nn.Conv(4, (5, 5), strides=4)(outlines))
        x = nn.Dropout(0.3, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(1)(x)[:, 0]


class Case(NamedTuple):
    """A learner, a batch for it, and its functions compiled once for all tests."""

    name: str
    learner: Learner
    batch: Any
    init: Callable
    step: Callable


def draw_batch(name: str) -> Any:
    """A seeded batch; masks and targets are those of squares."""
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (N, *TILE_PX, 1)).astype(np.float32)
    squares = np.kron(rng.integers(0, 2, (N, 6, 7, 1)), np.ones((1, 8, 8, 1))).astype(np.float32)
    if name == "wgan_gp":
        # Batch norm turns two samples into -1 and 1, whatever they are.
        shape = (N_CRITIC, 3 * N, OUTLINE_PX, OUTLINE_PX, 1)
        return rng.choice([-1.0, 1.0], shape).astype(np.float32)
    if name == "cyclegan":
        return {"images": images, "masks": 2.0 * squares - 1.0}
    if name == "segmenter":
        distance = squares * rng.uniform(0, 1, squares.shape)
        targets = np.concatenate([squares, distance > 0.5, distance], axis=-1)
        return {"images": images, "targets": targets.astype(np.float32)}
    where = rng.integers(0, 2, squares.shape).astype(np.float32)
    images = np.concatenate([images, 2.0 * where - 1.0], axis=-1)
    return {"images": images, "targets": squares * where, "where": where}


def make_learner(name: str, parts: dict[str, Any]) -> Learner:
    """The learner of a name around given networks."""
    adam = optimizers.adam(1e-3, b1=0.5)
    if name == "wgan_gp":
        return wgan_gp(
            parts["drawer"],
            parts["judge"],
            outline_px=OUTLINE_PX,
            latent=LATENT,
            tx_generator=adam,
            tx_critic=adam,
            penalty_weight=10.0,
        )
    if name == "cyclegan":
        return cyclegan(
            parts["painter"],
            parts["painter"],
            parts["patches"],
            parts["patches"],
            tile_px=TILE_PX,
            batch_size=N,
            tx_generators=adam,
            tx_discriminators=adam,
            cycle_weight=10.0,
            identity_weight=5.0,
            label_smoothing=0.1,
            pool=2 * N,
            ema_decay=0.99,
        )
    make = {"segmenter": segmenter, "classifier": classifier}[name]
    return make(parts[name], optimizers.adam(1e-3), tile_px=TILE_PX, positive_weight=2.0)


def small_networks(dtype: str) -> dict[str, Any]:
    """The networks of this file."""
    return {
        "segmenter": Pixelwise(3, dtype),
        "classifier": Pixelwise(1, dtype),
        "painter": Painter(dtype),
        "patches": Patches(dtype),
        "drawer": Drawer(),
        "judge": Judge(),
    }


def published_networks(dtype: str) -> dict[str, Any]:
    """The workflow's own networks, as narrow as they go."""
    unet = {"filters": 4, "dtype": dtype}
    return {
        "segmenter": networks.make(networks.SEGMENTERS, "multires_unet", {**unet, "outputs": 3}),
        "classifier": networks.make(networks.CLASSIFIERS, "multires_unet", {**unet, "outputs": 1}),
        "painter": networks.make(
            networks.TRANSLATORS, "resnet", {"width": 4, "downs": 1, "blocks": 1, "dtype": dtype}
        ),
        "patches": networks.make(
            networks.DISCRIMINATORS, "patch", {"version": "v120", "width": 4, "dtype": dtype}
        ),
        "drawer": networks.make(
            networks.OUTLINE_GENERATORS, "wgan", {"outline_px": OUTLINE_PX, "width": 8}
        ),
        "judge": networks.make(networks.OUTLINE_CRITICS, "wgan", {"width": 4}),
    }


@functools.cache
def make_case(name: str, *, published: bool = False, dtype: str = "float32") -> Case:
    """A learner by name, compiled at most once in a session."""
    parts = published_networks(dtype) if published else small_networks(dtype)
    learner = make_learner(name, parts)
    return Case(name, learner, draw_batch(name), jax.jit(learner.init), jax.jit(learner.step))


@pytest.fixture(scope="session")
def cases():
    """`cases(name, published=False, dtype="float32")` gives a `Case`."""
    return make_case


@pytest.fixture(autouse=True)
def quick_compilation(request):
    """Leaves out, but for slow tests, what makes XLA's compilation long and a step no faster."""
    before = jax.config.read("jax_disable_most_optimizations")
    slow = request.node.get_closest_marker("slow") is not None
    jax.config.update("jax_disable_most_optimizations", not slow)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
