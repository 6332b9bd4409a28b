"""Stage 1: many outlines of single particles, like the few that the user drew."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from semjax import inputs, networks, optimizers, processes, watch
from semjax.data import augment, batches, resident
from semjax.learners import wgan_gp
from semjax.networks import norms
from semjax.report import figures
from semjax.synth import outlines as synth
from semjax.training import fit
from semjax.workdir import Work, whole

N_SHOWN = 64


def run(config: ConfigDict, work: Work) -> dict:
    """Writes `outlines.npz` (uint8 0/1, n s s) and pictures of given and drawn outlines."""
    c = config.shapes
    given = inputs.given_outlines(config, work)
    if processes.leads():
        figures.write_png(
            work.shapes / "given.png",
            figures.sheet(list(given[:N_SHOWN] * np.uint8(255)), columns=10),
        )
    if c.method == "wgan":
        draw = _learn(config, work, given)
        if not processes.leads():
            return {}
        drawn = _draw_usable(config, draw)
    elif c.method == "polygons":
        drawn = synth.random_polygons(
            c.n_outlines,
            seed=config.seed,
            outline_px=given.shape[1],
            areas=given.sum(axis=(1, 2)),
            n_vertices=c.n_vertices,
            vertex_noise=c.vertex_noise,
        )
    else:
        drawn = synth.transformed(given, c.n_outlines, seed=config.seed, rotate=c.rotate)
    with whole(work.outlines) as partial, partial.open("wb") as file:
        np.savez_compressed(file, outlines=drawn)
    figures.write_png(
        work.shapes / "outlines.png",
        figures.sheet(list(drawn[:N_SHOWN] * np.uint8(255)), columns=10),
    )
    areas, given_areas = drawn.sum(axis=(1, 2)), given.sum(axis=(1, 2))
    return {
        "given": len(given),
        "drawn": len(drawn),
        "mean area given (px)": float(given_areas.mean()),
        "mean area drawn (px)": float(areas.mean()),
        "SD of area given (px)": float(given_areas.std()),
        "SD of area drawn (px)": float(areas.std()),
    }


def _learn(config: ConfigDict, work: Work, given: np.ndarray) -> Callable:
    """Trains; returns `draw(n, seed)`, which gives n raw outlines in [-1, 1]."""
    c = config.shapes
    outline_px = given.shape[1]
    generator = networks.make(
        networks.OUTLINE_GENERATORS, "wgan", {"outline_px": outline_px, "width": c.generator_width}
    )
    critic = networks.make(networks.OUTLINE_CRITICS, "wgan", {"width": c.critic_width})
    learner = wgan_gp.wgan_gp(
        generator,
        critic,
        outline_px=outline_px,
        latent=c.latent,
        tx_generator=optimizers.adam(c.learning_rate, b1=0.5, b2=0.9),
        tx_critic=optimizers.adam(c.learning_rate, b1=0.5, b2=0.9),
        penalty_weight=c.gradient_penalty,
    )

    def make(index, rng):
        (outline,) = augment.dihedral(given[index], generator=rng, rotate=c.rotate)
        return outline[..., None].astype(np.float32) * 2.0 - 1.0

    def draw(state, n, seed):
        """n raw outlines in [-1, 1], from running statistics."""
        z = np.random.default_rng(seed).standard_normal((n, c.latent)).astype(np.float32)
        variables = {"params": state.generator, "batch_stats": state.generator_stats}
        return np.asarray(apply(variables, z))[..., 0]

    apply = jax.jit(lambda variables, z: generator.apply(variables, z, train=False))

    def sample(state, step):
        drawn = draw(state, 40, 0)
        figures.write_png(
            work.shapes / "samples" / f"{step:06d}.png", figures.sheet(list(drawn), columns=10)
        )
        return watch.outlines(drawn, given[:N_SHOWN])

    batch_size = (c.n_critic, c.batch_size)
    if config.data.samples == "device":
        stream = resident.outlines(given, batch_size=batch_size, rotate=c.rotate)
    else:
        stream = batches.training(len(given), make, batch_size=batch_size, seed=config.seed)
    state = fit(
        learner,
        stream,
        work.shapes,
        seed=config.seed,
        steps=c.steps,
        log_every=c.log_every,
        save_every=c.save_every,
        batch_axis=1,
        sample=sample,
        watch=watch.wgan,
    )
    # With the running statistics of a short training, outlines come out too large or too small.
    rng = np.random.default_rng([config.seed, 0])
    latents = (
        rng.standard_normal((c.batch_size, c.latent), dtype=np.float32)
        for _ in range(norms.N_SETTLE)
    )
    settled = norms.settle(generator, state.generator, state.generator_stats, latents)
    return partial(draw, state.replace(generator_stats=settled))


def _draw_usable(config: ConfigDict, draw: Callable) -> np.ndarray:
    """Outlines (n, s, s), uint8 0/1, of those drawn that are one particle."""
    c = config.shapes
    kept, n, tries = [], 0, 0
    while n < c.n_outlines and tries < 20 + c.n_outlines // 250:
        raw = draw(500, [config.seed, 1 + tries])
        kept.append(synth.clean(raw, opening_px=c.opening_px))
        n += len(kept[-1])
        tries += 1
    if n == 0:
        raise ValueError(
            "shapes: the generator drew no usable outline. Look at 1_shapes/samples; train longer "
            "(shapes.steps), or use shapes.method='given' or 'polygons'."
        )
    if n < c.n_outlines:
        logging.warning("shapes: only %d of %d outlines were usable", n, c.n_outlines)
    return np.concatenate(kept)[: c.n_outlines]
