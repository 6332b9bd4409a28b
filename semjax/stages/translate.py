"""Stage 3: learn to turn masks into micrographs and back, then paint every mask.

With `translate.source="phantom"` nothing is learnt: true masks have their true micrographs, which
shows what the translation costs.
"""

from functools import partial

import jax
import numpy as np
import tifffile
from ml_collections import ConfigDict

from semjax import (
    checkpoints,
    inputs,
    networks,
    optimizers,
    predict,
    processes,
    stacks,
    watch,
)
from semjax.data import augment, batches, resident
from semjax.learners import cyclegan
from semjax.report import figures
from semjax.training import fit
from semjax.workdir import Work, whole

N_SHOWN = 6


def run(config: ConfigDict, work: Work) -> dict:
    """Writes `fakes.tif` (a micrograph for every mask), `gan_masks/` and both generators.

    The true micrographs of the phantom are `fakes.tif` alone.
    """
    c = config.translate
    if c.source == "phantom":
        micrographs = stacks.read(work.masks / "micrographs.tif")
        _write_fakes(micrographs, work)
        return {"fakes": len(micrographs)}
    name = "reliefs.tif" if c.mask_input == "relief" else "masks.tif"
    masks = stacks.read(work.masks / name)
    pictures = inputs.micrographs(config, work)
    seen = inputs.unlabelled(config, pictures)
    crops = inputs.training_crops(config, seen, c.tile_px)
    generator_kwargs = {
        "width": c.generator_width,
        "downs": c.generator_downs,
        "blocks": c.generator_blocks,
        "use_bias": c.generator_bias,
        "skip": c.generator_skip,
        "residual": c.generator_residual,
        "upsample": c.upsample,
        "dtype": c.dtype,
    }
    generator = networks.make(networks.TRANSLATORS, "resnet", generator_kwargs)
    discriminator = networks.make(
        networks.DISCRIMINATORS,
        "patch",
        {
            "version": c.discriminator,
            "width": c.discriminator_width,
            "noise": c.discriminator_noise,
            "dtype": c.dtype,
        },
    )
    schedule = optimizers.constant_then_linear(
        c.learning_rate, steps=c.steps, decay_from=c.decay_from
    )
    learner = cyclegan.cyclegan(
        generator,
        generator,
        discriminator,
        discriminator,
        tile_px=c.tile_px,
        batch_size=c.batch_size,
        tx_generators=optimizers.adam(schedule, b1=0.5),
        tx_discriminators=optimizers.adam(schedule, b1=0.5),
        cycle_weight=c.cycle_weight,
        identity_weight=c.identity_weight,
        label_smoothing=c.label_smoothing,
        pool=c.pool,
        ema_decay=c.ema_decay,
        mask_noise=c.mask_noise,
        remat=c.remat,
    )

    def make(index, rng):
        (mask,) = augment.crop(masks[index], tile_px=c.tile_px, generator=rng)
        (mask,) = augment.dihedral(mask, generator=rng)
        chosen = rng.integers(len(crops.image))
        row, col = crops.row[chosen], crops.col[chosen]
        tile = seen[crops.image[chosen]].image[row : row + c.tile_px[0], col : col + c.tile_px[1]]
        (tile,) = augment.dihedral(tile, generator=rng)
        return {"images": tile[..., None], "masks": _to_signed(mask)[..., None]}

    draw = jax.jit(generator.apply)
    shown = [make(i, np.random.default_rng(i)) for i in range(min(N_SHOWN, len(masks)))]
    shown = jax.tree.map(lambda *x: np.stack(x), *shown)

    def drown(tiles):
        return _drown(np.asarray(tiles), c.mask_noise, np.random.default_rng(config.seed))

    def sample(state, step):
        """Rows: mask, its micrograph, back again; micrograph, its mask, back again."""
        to_image = {"params": state.averaged["to_image"]}
        to_mask = {"params": state.averaged["to_mask"]}
        fake_images = draw(to_image, drown(shown["masks"]))
        fake_masks = draw(to_mask, shown["images"])
        rows = (
            shown["masks"],
            fake_images,
            draw(to_mask, fake_images),
            shown["images"],
            fake_masks,
            draw(to_image, drown(fake_masks)),
        )
        tiles = [np.asarray(tile, np.float32)[..., 0] for row in rows for tile in row]
        figures.write_png(
            work.translate / "samples" / f"{step:06d}.png",
            figures.sheet(tiles, columns=len(shown["masks"])),
        )
        masks, fake_images, images, fake_masks = (
            np.asarray(rows[i], np.float32)[..., 0] for i in (0, 1, 3, 4)
        )
        return watch.translation(
            masks=masks, fake_images=fake_images, images=images, fake_masks=fake_masks
        )

    if config.data.samples == "device":
        images = [picture.image for picture in seen]
        sizes = {"tile_px": c.tile_px, "batch_size": c.batch_size}
        stream = resident.tiles(masks, images, crops, **sizes)
    else:
        stream = batches.training(len(masks), make, batch_size=c.batch_size, seed=config.seed)
    state = fit(
        learner,
        stream,
        work.translate,
        seed=config.seed,
        steps=c.steps,
        log_every=c.log_every,
        save_every=c.save_every,
        sample=sample,
        watch=partial(watch.cyclegan, label_smoothing=c.label_smoothing),
    )
    if not processes.leads():
        return {}
    models = {}
    for name in ("to_image", "to_mask"):
        folder = work.translate / "model" / name
        checkpoints.save_model(
            folder,
            variables={"params": state.averaged[name]},
            network="resnet",
            network_kwargs=generator_kwargs,
            mask_input=c.mask_input,
        )
        models[name] = predict.load(folder)
    _paint(config, models["to_image"], masks, work)
    _segment(models["to_mask"], pictures, work, c.tile_px)
    return {"fakes": len(masks), "tiles to train on": len(crops.image)}


def _to_signed(mask: np.ndarray) -> np.ndarray:
    """uint8 0..255 to float32 in [-1, 1]."""
    return mask.astype(np.float32) / 127.5 - 1.0


def _drown(tiles: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Masks (…) with the Gaussian noise under which the generator has learnt; 0 adds none."""
    if noise == 0:
        return tiles
    return tiles + noise * generator.standard_normal(tiles.shape, np.float32)


def _paint(config: ConfigDict, model: predict.Model, masks: np.ndarray, work: Work) -> None:
    """A micrograph for every mask, in the size of the mask."""
    c = config.translate
    fakes = []
    for start in range(0, len(masks), 64):
        some = _to_signed(masks[start : start + 64])[..., None]
        some = _drown(some, c.mask_noise, np.random.default_rng([config.seed, 3, start]))
        outputs = predict.run_batches(model, some, batch_size=c.batch_size, sigmoid=False)
        fakes.append(figures.to_uint8(outputs[..., 0]))
    _write_fakes(np.concatenate(fakes), work)


def _write_fakes(fakes: np.ndarray, work: Work) -> None:
    """The stack, uint8 (n, h, w), and a picture of the first."""
    stacks.write(work.translate / "fakes.tif", fakes)
    n = min(16, len(fakes))
    figures.write_png(work.translate / "fakes.png", figures.sheet(list(fakes[:n]), columns=8))


def _segment(model: predict.Model, pictures, work: Work, tile_px: tuple[int, int]) -> None:
    """The CycleGAN's own masks of the real images (the paper's row "GAN"), 0..255."""
    folder = work.translate / "gan_masks"
    for picture in pictures:
        # Tiles of the size of training: instance norm sees other statistics in larger ones.
        mask = predict.run_image(
            model, picture.image, tile_px=tile_px, sigmoid=False, overlap_px=min(tile_px) // 8
        )[..., 0]
        with whole(folder / f"{picture.name}.tif") as partial:
            tifffile.imwrite(partial, figures.to_uint8(mask))
