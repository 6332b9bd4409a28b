"""Classifier: learns which segmented particles can be measured.

Source: Ruehle, Krumrey & Hodoroaba, Sci. Rep. 2021 (the classifier network, whose training code
was not published). Differs: the classes come from the mask synthesis, not from a person.
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


def classifier(
    network: Network,
    tx: optax.GradientTransformation,
    *,
    tile_px: tuple[int, int],
    positive_weight: float,
) -> Learner:
    """Balanced cross-entropy of "can be measured" over the pixels of the particles.

    Args:
        network: (image, mask) as (n, h, w, 2) -> logits (n, h, w, 1), with batch statistics.
        tx: optimiser.
        tile_px: (h, w).
        positive_weight: weight of measurable particles' pixels.

    Returns:
        A learner whose batch is {"images": (n, h, w, 2), "targets": (n, h, w, 1) 0/1,
        "where": (n, h, w, 1) weights of the pixels, at least 0}.
    """

    def init(key: jax.Array) -> State:
        variables = network.init(key, jnp.zeros((1, *tile_px, 2)), train=False)
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
            loss = losses.balanced_cross_entropy(
                logits, batch["targets"], positive_weight, batch["where"]
            )
            right = ((logits > 0) == (batch["targets"] > 0.5)) * batch["where"]
            accuracy = jnp.sum(right) / jnp.maximum(jnp.sum(batch["where"]), 1.0)
            return loss, ({"loss": loss, "accuracy": accuracy}, variables["batch_stats"])

        grads, (metrics, stats) = jax.grad(loss_fn, has_aux=True)(state.params)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return State(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=stats,
            opt_state=opt_state,
        ), metrics

    return Learner(init, step)
