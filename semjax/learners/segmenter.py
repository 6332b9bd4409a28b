"""Segmenter: learns, from pairs of image and targets, where the particles are.

Source: Ruehle, Krumrey & Hodoroaba, Sci. Rep. 2021, stage (v), for the target "mask".
Differs: the target "instances" adds what the mask synthesis knows, each particle's interior and
the distance to its border, so that touching particles can be told apart.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from semjax import losses
from semjax.training import Learner
from semjax.types import Network


class State(struct.PyTreeNode):
    """The network, its running statistics and its optimiser."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState


def segmenter(
    network: Network,
    tx: optax.GradientTransformation,
    *,
    tile_px: tuple[int, int],
    positive_weight: float,
) -> Learner:
    """Balanced cross-entropy of the particle, plus interior and distance where there are three.

    With targets particle p, interior i and distance d (each in [0, 1]):
    BCE(p) + BCE(i) + mean |sigmoid(d') - d| over the particles' pixels.

    Args:
        network: images (n, h, w, 1) -> logits (n, h, w, 1 or 3), with batch statistics.
        tx: optimiser.
        tile_px: (h, w).
        positive_weight: weight of foreground pixels in the particle's cross-entropy.

    Returns:
        A learner whose batch is {"images": (n, h, w, 1) in [-1, 1], "targets": like the logits}.
    """

    def init(key: jax.Array) -> State:
        variables = network.init(key, jnp.zeros((1, *tile_px, 1)), train=False)
        return State(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=tx.init(variables["params"]),
        )

    def step(state: State, batch: dict[str, jax.Array], key: jax.Array):
        del key  # nothing here is random

        def loss_fn(params):
            logits, variables = network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                batch["images"],
                train=True,
                mutable=["batch_stats"],
            )
            targets = batch["targets"]
            logits = logits.astype(jnp.float32)
            particle = losses.balanced_cross_entropy(
                logits[..., :1], targets[..., :1], positive_weight
            )
            metrics = {"particle": particle}
            loss = particle
            if targets.shape[-1] == 3:
                interior = jnp.mean(
                    optax.losses.sigmoid_binary_cross_entropy(logits[..., 1], targets[..., 1])
                )
                inside = targets[..., 0]
                error = jnp.abs(jax.nn.sigmoid(logits[..., 2]) - targets[..., 2])
                distance = jnp.sum(error * inside) / jnp.maximum(jnp.sum(inside), 1.0)
                metrics |= {"interior": interior, "distance": distance}
                loss = loss + interior + distance
            return loss, (metrics | {"loss": loss}, variables["batch_stats"])

        grads, (metrics, stats) = jax.grad(loss_fn, has_aux=True)(state.params)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return State(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=stats,
            opt_state=opt_state,
        ), metrics

    return Learner(init, step)
