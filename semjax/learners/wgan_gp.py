"""WGAN-GP: learns to draw outlines of single particles.

Source: Gulrajani et al., NeurIPS 2017; Ruehle, Krumrey & Hodoroaba, Sci. Rep. 2021, stage (i).
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
    """Both networks and their optimisers."""

    step: jax.Array
    generator: Any
    generator_stats: Any
    critic: Any
    opt_generator: optax.OptState
    opt_critic: optax.OptState


def wgan_gp(
    generator: Network,
    critic: Network,
    *,
    outline_px: int,
    latent: int,
    tx_generator: optax.GradientTransformation,
    tx_critic: optax.GradientTransformation,
    penalty_weight: float,
) -> Learner:
    """Several critic updates, then one generator update, in a step.

    Critic: mean D(fake) - mean D(real) + penalty_weight * gradient penalty.
    Generator: -mean D(fake).

    Args:
        generator: z (n, latent) -> outlines (n, s, s, 1) in [-1, 1], with batch statistics.
        critic: outlines -> scores (n,), with dropout.
        outline_px: s.
        latent: length of z, which is standard normal.
        tx_generator: optimiser of the generator.
        tx_critic: optimiser of the critic.
        penalty_weight: of the gradient penalty.

    Returns:
        A learner whose batch is outlines (n_critic, n, s, s, 1) in [-1, 1].
    """

    def init(key: jax.Array) -> State:
        generator_key, critic_key = jax.random.split(key)
        variables = generator.init(generator_key, jnp.zeros((2, latent)), train=False)
        outlines = jnp.zeros((2, outline_px, outline_px, 1))
        critic_params = critic.init(critic_key, outlines, train=False)["params"]
        return State(
            step=jnp.zeros((), jnp.int32),
            generator=variables["params"],
            generator_stats=variables["batch_stats"],
            critic=critic_params,
            opt_generator=tx_generator.init(variables["params"]),
            opt_critic=tx_critic.init(critic_params),
        )

    def draw(params, stats, n, key):
        z = jax.random.normal(key, (n, latent))
        return generator.apply(
            {"params": params, "batch_stats": stats}, z, train=True, mutable=["batch_stats"]
        )

    def score(params, outlines, key):
        return critic.apply({"params": params}, outlines, train=True, rngs={"dropout": key})

    def step(state: State, batch: jax.Array, key: jax.Array):
        n = batch.shape[1]
        critic_keys, generator_key = jax.random.split(key)

        def critic_update(carry, inputs):
            params, opt_state = carry
            real, update_key = inputs
            draw_key, drop_key, penalty_key = jax.random.split(update_key, 3)
            fake, _ = draw(state.generator, state.generator_stats, n, draw_key)

            def loss_fn(params):
                scores = score(params, jnp.concatenate([fake, real]), drop_key)
                distance = jnp.mean(scores[n:]) - jnp.mean(scores[:n])
                penalty = losses.gradient_penalty(
                    lambda x: score(params, x, drop_key), real, fake, key=penalty_key
                )
                return penalty_weight * penalty - distance, (distance, penalty)

            grads, aux = jax.grad(loss_fn, has_aux=True)(params)
            updates, opt_state = tx_critic.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), aux

        keys = jax.random.split(critic_keys, batch.shape[0])
        # Unrolled: inside a loop, XLA's CPU back end runs convolutions on one thread.
        (critic_params, opt_critic), (distance, penalty) = jax.lax.scan(
            critic_update, (state.critic, state.opt_critic), (batch, keys), unroll=True
        )

        def loss_fn(params):
            draw_key, drop_key = jax.random.split(generator_key)
            fake, variables = draw(params, state.generator_stats, n, draw_key)
            return -jnp.mean(score(critic_params, fake, drop_key)), variables["batch_stats"]

        (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.generator)
        updates, opt_generator = tx_generator.update(grads, state.opt_generator, state.generator)
        metrics = {
            "wasserstein": jnp.mean(distance),
            "penalty": jnp.mean(penalty),
            "generator": loss,
        }
        return State(
            step=state.step + 1,
            generator=optax.apply_updates(state.generator, updates),
            generator_stats=stats,
            critic=critic_params,
            opt_generator=opt_generator,
            opt_critic=opt_critic,
        ), metrics

    return Learner(init, step)
