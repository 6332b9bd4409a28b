"""CycleGAN: learns, from unpaired masks and micrographs, to turn each into the other.

Domains are called `image` and `mask`; `to_image` turns masks into images, `to_mask` the reverse.

Source: Zhu et al., ICCV 2017; Ruehle, Krumrey & Hodoroaba, Sci. Rep. 2021, stage (iii).
Differs: both generators are trained by the joint loss (the authors' TensorFlow code leaves out
half of the cycle's gradient), the pools work and the learning rate does decay.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from semjax import losses
from semjax.training import Learner
from semjax.types import Network


class State(struct.PyTreeNode):
    """Generators, their running averages, discriminators, optimisers and pools."""

    step: jax.Array
    generators: dict[str, Any]  # to_image, to_mask
    averaged: dict[str, Any]  # the same, averaged over steps
    discriminators: dict[str, Any]  # image, mask
    opt_generators: optax.OptState
    opt_discriminators: optax.OptState
    pools: dict[str, jax.Array]  # image, mask: (pool, h, w, 1) earlier fakes
    pooled: jax.Array  # how many fakes were ever put into each pool


def swap_with_pool(
    pool: jax.Array, pooled: jax.Array, fakes: jax.Array, *, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Fakes for the discriminator: half of them, by chance, earlier ones.

    While the pool fills, fakes are stored and returned as they are. Then each fake either
    passes, or takes the place of a stored one which is returned instead (a fair coin).

    Args:
        pool: (p, h, w, 1) with p >= n.
        pooled: how many fakes were stored so far; the same for all.
        fakes: (n, h, w, 1).
        key: of this step.

    Returns:
        The new pool and the fakes to show (n, h, w, 1).

    Source: Shrivastava et al., CVPR 2017.
    """
    n = fakes.shape[0]
    size = pool.shape[0] // n * n  # a rest smaller than a batch would stay empty and be shown
    place_key, coin_key = jax.random.split(key)
    full = pooled + n > size
    places = jnp.where(
        full,
        jax.random.choice(place_key, size, (n,), replace=False),
        (pooled + jnp.arange(n)) % size,
    )
    swap = full & jax.random.bernoulli(coin_key, 0.5, (n,))
    stored = pool[places]
    take = swap[:, None, None, None]
    keep = (swap | ~full)[:, None, None, None]
    pool = pool.at[places].set(jnp.where(keep, fakes, stored))
    return pool, jnp.where(take, stored, fakes)


def cyclegan(
    to_image: Network,
    to_mask: Network,
    discriminator_image: Network,
    discriminator_mask: Network,
    *,
    tile_px: tuple[int, int],
    batch_size: int,
    tx_generators: optax.GradientTransformation,
    tx_discriminators: optax.GradientTransformation,
    cycle_weight: float,
    identity_weight: float,
    label_smoothing: float,
    pool: int,
    ema_decay: float,
    mask_noise: float = 0.0,
    remat: bool = False,
) -> Learner:
    """One update of both generators by their joint loss, then one of both discriminators.

    Generators: least-squares adversarial + cycle_weight * L1 cycles + identity_weight * L1
    identities. Discriminators: half the sum of the squared errors on real and pooled fakes.

    Args:
        to_image: masks (n, h, w, 1) in [-1, 1] -> images in [-1, 1].
        to_mask: images -> masks, both in [-1, 1].
        discriminator_image: images -> patch logits.
        discriminator_mask: masks -> patch logits.
        tile_px: (h, w).
        batch_size: n.
        tx_generators: optimiser of both generators together.
        tx_discriminators: optimiser of both discriminators together.
        cycle_weight: of each cycle.
        identity_weight: of each identity; 0 leaves them out of the computation.
        label_smoothing: s; targets become 1 - s / 2 and s / 2.
        pool: earlier fakes kept; 0 shows the newest alone.
        ema_decay: of the averaged generators; 0 makes them the newest.
        mask_noise: SD of the Gaussian noise added to what `to_image` sees, made masks as well as
            those of `to_mask`. In faint dots of its masks, `to_mask` would hide what `to_image`
            needs to restore an image: noise drowns them (Bashkirova, Usman & Saenko, NeurIPS 2019).
        remat: compute activations again where a gradient needs them, instead of keeping them.

    Returns:
        A learner whose batch is {"images": (n, h, w, 1), "masks": (n, h, w, 1)} in [-1, 1].

    Raises:
        ValueError: the pool is smaller than a batch.
    """
    if 0 < pool < batch_size:
        raise ValueError(f"translate.pool (={pool}) must be 0 or at least the batch ({batch_size})")
    networks = {"image": discriminator_image, "mask": discriminator_mask}
    again = jax.checkpoint if remat else (lambda function: function)
    real_target, fake_target = 1.0 - label_smoothing / 2.0, label_smoothing / 2.0

    def init(key: jax.Array) -> State:
        keys = jax.random.split(key, 4)
        tile = jnp.zeros((1, *tile_px, 1))
        generators = {
            "to_image": to_image.init(keys[0], tile)["params"],
            "to_mask": to_mask.init(keys[1], tile)["params"],
        }
        discriminators = {
            "image": discriminator_image.init(keys[2], tile, train=False)["params"],
            "mask": discriminator_mask.init(keys[3], tile, train=False)["params"],
        }
        return State(
            step=jnp.zeros((), jnp.int32),
            generators=generators,
            averaged=jax.tree.map(jnp.copy, generators),
            discriminators=discriminators,
            opt_generators=tx_generators.init(generators),
            opt_discriminators=tx_discriminators.init(discriminators),
            # No pool, no arrays: a checkpoint cannot hold empty ones.
            pools={name: jnp.zeros((pool, *tile_px, 1)) for name in ("image", "mask") if pool},
            pooled=jnp.zeros((), jnp.int32),
        )

    def judge(name, params, tiles, key):
        apply = again(partial(networks[name].apply, train=True))
        return apply({"params": params}, tiles, rngs={"noise": key})

    def step(state: State, batch: dict[str, jax.Array], key: jax.Array):
        images, masks = batch["images"], batch["masks"]
        n = images.shape[0]
        keys = dict(zip(("g", "g2", "d", "d2", "p", "p2"), jax.random.split(key, 6), strict=True))

        def drown(x, number):
            if mask_noise == 0:
                return x
            noise_key = jax.random.fold_in(key, number)
            return x + mask_noise * jax.random.normal(noise_key, x.shape, x.dtype)

        noisy_masks = drown(masks, 0)

        def generator_loss(generators):
            def image_of(x):
                return again(to_image.apply)({"params": generators["to_image"]}, x)

            def mask_of(x):
                return again(to_mask.apply)({"params": generators["to_mask"]}, x)

            # Instance norm treats each sample alone, so one call on both inputs is exact.
            if identity_weight > 0:
                fake_images, same_images = jnp.split(
                    image_of(jnp.concatenate([noisy_masks, images])), 2
                )
                fake_masks, same_masks = jnp.split(mask_of(jnp.concatenate([images, masks])), 2)
                identity = losses.mean_absolute(same_images, images)
                identity += losses.mean_absolute(same_masks, masks)
            else:
                fake_images, fake_masks = image_of(noisy_masks), mask_of(images)
                identity = jnp.zeros(())
            cycle_mask = losses.mean_absolute(mask_of(fake_images), masks)
            cycle_image = losses.mean_absolute(image_of(drown(fake_masks, 1)), images)
            adversarial_image = losses.least_squares(
                judge("image", state.discriminators["image"], fake_images, keys["g"]), real_target
            )
            adversarial_mask = losses.least_squares(
                judge("mask", state.discriminators["mask"], fake_masks, keys["g2"]), real_target
            )
            loss = (
                adversarial_image
                + adversarial_mask
                + cycle_weight * (cycle_mask + cycle_image)
                + identity_weight * identity
            )
            metrics = {
                "adversarial_image": adversarial_image,
                "adversarial_mask": adversarial_mask,
                "cycle_image": cycle_image,
                "cycle_mask": cycle_mask,
                "identity": identity,
            }
            return loss, (metrics, {"image": fake_images, "mask": fake_masks})

        grads, (metrics, fakes) = jax.grad(generator_loss, has_aux=True)(state.generators)
        updates, opt_generators = tx_generators.update(
            grads, state.opt_generators, state.generators
        )
        generators = optax.apply_updates(state.generators, updates)

        fakes = jax.tree.map(lambda x: x.astype(jnp.float32), fakes)
        pools, pooled = state.pools, state.pooled
        if pool:
            pool_image, shown_image = swap_with_pool(
                pools["image"], pooled, fakes["image"], key=keys["p"]
            )
            pool_mask, shown_mask = swap_with_pool(
                pools["mask"], pooled, fakes["mask"], key=keys["p2"]
            )
            pools, pooled = {"image": pool_image, "mask": pool_mask}, pooled + n
            fakes = {"image": shown_image, "mask": shown_mask}

        def discriminator_loss(discriminators):
            def half(name, real, key):
                logits = judge(
                    name, discriminators[name], jnp.concatenate([real, fakes[name]]), key
                )
                return 0.5 * (
                    losses.least_squares(logits[:n], real_target)
                    + losses.least_squares(logits[n:], fake_target)
                )

            image, mask = half("image", images, keys["d"]), half("mask", masks, keys["d2"])
            return image + mask, {"discriminator_image": image, "discriminator_mask": mask}

        grads, judged = jax.grad(discriminator_loss, has_aux=True)(state.discriminators)
        updates, opt_discriminators = tx_discriminators.update(
            grads, state.opt_discriminators, state.discriminators
        )
        # A young average forgets faster, or it would hold the random start for long.
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        return State(
            step=state.step + 1,
            generators=generators,
            averaged=optax.incremental_update(generators, state.averaged, 1.0 - decay),
            discriminators=optax.apply_updates(state.discriminators, updates),
            opt_generators=opt_generators,
            opt_discriminators=opt_discriminators,
            pools=pools,
            pooled=pooled,
        ), metrics | judged

    return Learner(init, step)
