"""What training over many devices and measuring a million micrographs would cost.

    python -m benchmarks.scaling

Operations are counted by XLA and bytes from the parameters' shapes; nothing is compiled or trained.
docs/scaling.md explains the model and what is assumed.
"""

import math

import jax
import jax.numpy as jnp

from benchmarks import cases, cost
from semjax import networks, predict, settings, variants
from semjax.data import tiles

RATES = {  # FLOP/s a device, assumed: a third of an H200's data sheet in bf16; TF32 for the first
    "shapes": 80e12,
    "translate": 316e12,
    "segment": 316e12,
    "classify": 316e12,
}
LINKS = {  # bytes/s a device can send, s for a message; assumed, from the makers' data sheets
    "NVLink 4": (450e9, 10e-6),
    "ICI, TPU v5e": (100e9, 5e-6),
    "Ethernet, 100 Gbit/s": (12.5e9, 50e-6),
}
# Messages of a step on several devices, as `python -m benchmarks.collectives` counts them: every
# batch norm asks for the sums of all, forward and backward, and what follows waits for them.
MESSAGES = {"shapes": 39, "translate": 40, "segment": 123, "classify": 125}
DEVICES = (1, 2, 4, 5, 8, 16, 32, 64)
IMAGE_PX, TILE_PX = (712, 1024), (720, 576)  # as in configs/tio2.py


def count_bytes(network, shape, **kwargs):
    """Bytes of a network's parameters in float32, which are those of its gradients."""
    key = jax.random.key(0)
    variables = jax.eval_shape(
        lambda: network.init({"params": key, "noise": key}, jnp.zeros(shape), **kwargs)
    )
    return sum(4 * math.prod(x.shape) for x in jax.tree.leaves(variables["params"]))


def trainings(c):
    """By name: settings, operations a step, bytes of gradients to add up in a step."""
    outline = (1, 64, 64, 1)
    generator = networks.make(
        networks.OUTLINE_GENERATORS, "wgan", {"outline_px": 64, "width": c.shapes.generator_width}
    )
    critic = networks.make(networks.OUTLINE_CRITICS, "wgan", {"width": c.shapes.critic_width})
    drawn = count_bytes(generator, (2, c.shapes.latent), train=False)
    judged = count_bytes(critic, outline, train=False)
    t = c.translate
    kwargs = {"width": t.generator_width, "downs": t.generator_downs, "blocks": t.generator_blocks}
    kwargs |= {"use_bias": t.generator_bias, "skip": t.generator_skip, "upsample": t.upsample}
    kwargs |= {"residual": t.generator_residual}
    painter = networks.make(networks.TRANSLATORS, "resnet", kwargs)
    kwargs = {"version": t.discriminator, "width": t.discriminator_width, "noise": 0.0}
    patches = networks.make(networks.DISCRIMINATORS, "patch", kwargs)
    tile = (1, *t.tile_px, 1)
    both = 2 * count_bytes(painter, tile) + 2 * count_bytes(patches, tile, train=False)
    found = {
        "shapes": (c.shapes, cost.count("wgan_gp", "gpu")[1], c.shapes.n_critic * judged + drawn),
        "translate": (t, cost.count("cyclegan", "gpu")[1], both),
    }
    for name, kind, table, outputs in (
        ("segment", "segmenter", networks.SEGMENTERS, 3),
        ("classify", "classifier", networks.CLASSIFIERS, 1),
    ):
        part = c[name]
        kwargs = {"filters": part.filters, "outputs": outputs, "decoder": part.decoder}
        unet = networks.make(table, "multires_unet", kwargs)
        channels = 1 if name == "segment" else 2
        size = count_bytes(unet, (1, *part.tile_px, channels), train=False)
        found[name] = (part, cost.count(kind, "gpu")[1], size)
    return found


def seconds(n, batch, flops, size, messages, rate, bandwidth, latency):
    """A step on n devices: arithmetic of the fullest device, then all messages round the ring."""
    share = math.ceil(batch / n) / batch
    ring = 2 * (n - 1) / n * size / bandwidth + messages * 2 * (n - 1) * latency
    return flops * share / rate + ring


def predict_flops(c):
    """Operations for one micrograph: four views by the segmenter, one by the classifier."""
    tile = TILE_PX
    n_tiles = len(tiles.origins(IMAGE_PX, tile, predict.OVERLAP_PX, predict.GRID_PX))
    total = 0.0
    for part, table, channels, outputs, views in (
        (c.segment, networks.SEGMENTERS, 1, 3, 4 if c.measure.flips else 1),
        (c.classify, networks.CLASSIFIERS, 2, 1, 1),
    ):
        kwargs = {"filters": part.filters, "outputs": outputs, "decoder": part.decoder}
        network = networks.make(table, "multires_unet", kwargs)
        shape = jax.ShapeDtypeStruct((1, *tile, channels), jnp.float32)
        variables = jax.eval_shape(
            lambda network=network, shape=shape: network.init(
                jax.random.key(0), jnp.zeros(shape.shape), train=False
            )
        )

        def apply(variables, tiles, network=network):
            return network.apply(variables, tiles, train=False)

        total += views * n_tiles * cases.count(apply, variables, shape)
    return n_tiles, total


def main():
    """Prints the tables of docs/scaling.md."""
    config = settings.get_config()
    variants.lay(config, "gpu", {})
    found = trainings(config)
    print(f"{'':10}{'steps':>7}{'batch':>6}{'TFLOP a step':>14}{'PFLOP':>8}{'MB of gradients':>17}")
    for name, (c, flops, size) in found.items():
        total = c.steps * flops / 1e15
        row = f"{c.steps:7}{c.batch_size:6}{flops / 1e12:14.3f}{total:8.2f}{size / 1e6:17.1f}"
        print(f"{name:10}{row}")
    for batches in ("as they are", "of 64"):
        print(f"\nminutes of training, batches {batches}; in brackets the share of ideal speed")
        print(f"{'':22}" + "".join(f"{n:>13}" for n in DEVICES))
        for link, (bandwidth, latency) in LINKS.items():
            cells = []
            for n in DEVICES:
                whole = ideal = 0.0
                for name, (c, flops, size) in found.items():
                    batch = c.batch_size if batches == "as they are" else 64
                    work = flops * batch / c.batch_size
                    rate = RATES[name]
                    told = (size, MESSAGES[name], rate, bandwidth, latency)
                    whole += c.steps * seconds(n, batch, work, *told)
                    ideal += c.steps * work / n / rate
                cells.append(f"{whole / 60:.1f} ({100 * ideal / whole:.0f} %)")
            print(f"{link:22}" + "".join(f"{cell:>13}" for cell in cells))
    n_tiles, flops = predict_flops(config)
    print(f"\na micrograph of {IMAGE_PX}: {n_tiles} tiles, {flops / 1e12:.3f} TFLOP")
    hours = flops * 1e6 / RATES["segment"] / 3600
    print(f"a million of them: {hours:.1f} device hours at the assumed rate")


if __name__ == "__main__":
    main()
