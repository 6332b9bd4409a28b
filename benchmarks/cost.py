"""Cost of the trainings of every variant in floating point operations, as XLA counts them.

    python benchmarks/cost.py

Nothing is trained or compiled. `semjax.health.PETAFLOP` holds the sums.
"""

import jax
import jax.numpy as jnp

from semjax import networks, optimizers, settings, variants
from semjax.learners import classifier, cyclegan, segmenter, wgan_gp

OUTLINE_PX = 64


def count(learner, batch):
    """Floating point operations of one step."""
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key)
    return jax.jit(learner.step).lower(state, batch, key).cost_analysis()["flops"]


def zeros(*shape):
    """An array that is never made."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def count_shapes(c):
    """One generator update and its critic updates."""
    kwargs = {"outline_px": OUTLINE_PX, "width": c.generator_width}
    learner = wgan_gp.wgan_gp(
        networks.make(networks.OUTLINE_GENERATORS, "wgan", kwargs),
        networks.make(networks.OUTLINE_CRITICS, "wgan", {"width": c.critic_width}),
        outline_px=OUTLINE_PX,
        latent=c.latent,
        tx_generator=optimizers.adam(c.learning_rate),
        tx_critic=optimizers.adam(c.learning_rate),
        penalty_weight=c.gradient_penalty,
    )
    return count(learner, zeros(c.n_critic, c.batch_size, OUTLINE_PX, OUTLINE_PX, 1))


def count_translate(c):
    """One update of both generators and both discriminators."""
    kwargs = {
        "width": c.generator_width,
        "downs": c.generator_downs,
        "blocks": c.generator_blocks,
        "use_bias": c.generator_bias,
        "skip": c.generator_skip,
        "upsample": c.upsample,
        "dtype": c.dtype,
    }
    generator = networks.make(networks.TRANSLATORS, "resnet", kwargs)
    kwargs = {"version": c.discriminator, "width": c.discriminator_width, "dtype": c.dtype}
    discriminator = networks.make(networks.DISCRIMINATORS, "patch", kwargs | {"noise": 0.0})
    learner = cyclegan.cyclegan(
        *(generator, generator, discriminator, discriminator),
        tile_px=c.tile_px,
        batch_size=c.batch_size,
        tx_generators=optimizers.adam(c.learning_rate),
        tx_discriminators=optimizers.adam(c.learning_rate),
        cycle_weight=c.cycle_weight,
        identity_weight=c.identity_weight,
        label_smoothing=c.label_smoothing,
        pool=c.pool,
        ema_decay=c.ema_decay,
    )
    tiles = zeros(c.batch_size, *c.tile_px, 1)
    return count(learner, {"masks": tiles, "images": tiles})


def count_unet(make, names, c, outputs):
    """One update of a segmenter or classifier."""
    kwargs = {"filters": c.filters, "outputs": outputs, "decoder": c.decoder, "dtype": c.dtype}
    network = networks.make(names, "multires_unet", kwargs)
    learner = make(
        network, optimizers.adam(c.learning_rate), tile_px=c.tile_px, positive_weight=1.0
    )
    tiles = (c.batch_size, *c.tile_px)
    batch = {"images": zeros(*tiles, 1), "targets": zeros(*tiles, outputs)}
    if make is classifier.classifier:
        batch = {"images": zeros(*tiles, 2), "targets": zeros(*tiles, 1), "where": zeros(*tiles, 1)}
    return count(learner, batch)


def main():
    """Prints a line a variant: 1e15 operations of each training, and their sum."""
    print(f"{'':6}{'shapes':>10}{'translate':>11}{'segment':>10}{'classify':>10}{'sum':>10}")
    for name in variants.VARIANTS:
        config = settings.get_config()
        variants.lay(config, name, {})
        outputs = 3 if config.segment.target == "instances" else 1
        c = config
        costs = [
            c.shapes.steps * count_shapes(c.shapes),
            c.translate.steps * count_translate(c.translate),
            c.segment.steps
            * count_unet(segmenter.segmenter, networks.SEGMENTERS, c.segment, outputs),
            c.classify.steps
            * count_unet(classifier.classifier, networks.CLASSIFIERS, c.classify, 1),
        ]
        print(f"{name:6}" + "".join(f"{cost / 1e15:10.3g}" for cost in [*costs, sum(costs)]))


if __name__ == "__main__":
    main()
