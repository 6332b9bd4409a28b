"""Stage 2: masks of many touching and overlapping particles, assembled from outlines.

With `masks.source="phantom"` they are the true masks of newly simulated micrographs instead, which
shows what the assembled ones cost.
"""

from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from semjax import inputs, phantom, stacks
from semjax.analysis import split, threshold
from semjax.data import images
from semjax.report import figures
from semjax.synth import place, relief
from semjax.workdir import Work, write_text

N_SHOWN = 8
N_COMPARED = 500  # masks, and tiles of the images, whose pieces are counted
FEWEST = 0.1  # tiles a simulated micrograph has to yield on average


class _Made(NamedTuple):
    """Masks of either source.

    labels: int32 (n, h, w). domes: uint8 (n, h, w), 255 in the middle of a particle.
    particles: one row a particle that can be seen. wanted: mean foreground fraction aimed at.
    pieces: of foreground per 1000 px of it, in the micrographs.
    micrographs: uint8 (n, h, w) of the masks, where there are any.
    """

    labels: np.ndarray
    domes: np.ndarray
    particles: pd.DataFrame
    wanted: float | None = None
    pieces: float | None = None
    micrographs: np.ndarray | None = None


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the stacks `labels.tif`, `masks.tif`, `reliefs.tif`, and `particles.csv`.

    True masks of the phantom come with `micrographs.tif`, what they look like under the microscope.
    """
    c = config.masks
    made = _simulate(config) if c.source == "phantom" else _assemble(config, work)
    flat = np.asarray(place.flat_mask(made.labels, line_px=c.line_px), np.uint8) * 255
    area_px = made.particles["whole_area_px"].sum() / max(len(made.particles), 1)
    shown = relief.reliefs(
        made.domes,
        made.labels,
        seed=config.seed,
        domed=c.domed,
        diameter_px=max(float(np.sqrt(area_px * 4 / np.pi)), 1.0),
    )
    reliefs = np.rint(shown * 255).astype(np.uint8)
    stacks.write(work.masks / "labels.tif", made.labels.astype(np.uint16))
    stacks.write(work.masks / "masks.tif", flat)
    stacks.write(work.masks / "reliefs.tif", reliefs)
    shown = [*map(figures.color_labels, made.labels[:N_SHOWN]), *flat[:N_SHOWN]]
    shown += list(reliefs[:N_SHOWN])
    if made.micrographs is not None:
        stacks.write(work.masks / "micrographs.tif", made.micrographs)
        shown += list(made.micrographs[:N_SHOWN])
    write_text(work.masks / "particles.csv", made.particles.to_csv(index=False))
    figures.write_png(
        work.masks / "masks.png", figures.sheet(shown, columns=min(N_SHOWN, c.n_masks))
    )
    visible = made.particles.visible_area_px / made.particles.whole_area_px
    return {
        "masks": c.n_masks,
        "particles": len(made.particles),
        "foreground fraction": float((made.labels > 0).mean()),
        "foreground wanted": made.wanted,
        "pieces per 1000 px": threshold.pieces(made.labels[:N_COMPARED]),
        "pieces of the images": made.pieces,
        "mean visible fraction": float(visible.mean()),
    }


def _assemble(config: ConfigDict, work: Work) -> _Made:
    """Masks assembled from the outlines of stage 1."""
    c = config.masks
    with np.load(work.outlines, allow_pickle=False) as file:
        bank = file["outlines"]
    foreground = pieces = None
    if c.density == "match":
        pictures = inputs.unlabelled(config, inputs.micrographs(config, work))
        crops = inputs.training_crops(config, pictures, c.tile_px)
        rng = np.random.default_rng([config.seed, 2])
        foreground = rng.choice(crops.fraction, c.n_masks)
        seen = [threshold.foreground(picture.image) for picture in pictures]
        height, width = c.tile_px
        pieces = threshold.pieces(
            seen[crops.image[i]][crops.row[i] :, crops.col[i] :][:height, :width]
            for i in rng.integers(len(crops.image), size=N_COMPARED)
        )
    made = place.assemble(
        bank,
        key=jax.random.key(config.seed),
        tile_px=c.tile_px,
        n_masks=c.n_masks,
        foreground=foreground,
        n_particles=c.n_particles,
        placement=c.placement,
        noise_frequency=c.noise_frequency,
        noise_octaves=c.noise_octaves,
        noise_threshold=c.noise_threshold,
        size=c.size,
        size_sigma=c.size_sigma,
        size_range=c.size_range,
        rotation=c.rotation,
        grid=c.grid,
        grid_spacing=c.grid_spacing,
        grid_jitter=c.grid_jitter,
        max_overlap=c.max_overlap,
        min_visible=c.min_visible,
    )
    wanted = None if foreground is None else float(foreground.mean())
    return _Made(made.labels, made.domes, _table(made), wanted, pieces)


def _table(made: place.Assembled) -> pd.DataFrame:
    """One row a particle that can be seen in its mask."""
    mask, particle = np.nonzero(made.visible_area_px > 0)
    return pd.DataFrame(
        {
            "mask": mask,
            "label": particle + 1,
            "row": made.row[mask, particle].round(2),
            "col": made.col[mask, particle].round(2),
            "whole_area_px": made.whole_area_px[mask, particle],
            "visible_area_px": made.visible_area_px[mask, particle],
        }
    )


def _simulate(config: ConfigDict) -> _Made:
    """True masks of micrographs that are simulated for it: others than those that are measured.

    A dome rises from the border of what is seen of a particle; in an assembled mask, from that of
    its whole outline. The two differ where a particle is partly covered.
    """
    tiles = list(islice(_simulated_tiles(config), config.masks.n_masks))
    labels, domes, micrographs, tables = map(list, zip(*tiles, strict=True))
    for i, table in enumerate(tables):
        table.insert(0, "mask", i)
    return _Made(
        np.stack(labels),
        np.stack(domes),
        pd.concat(tables, ignore_index=True).round(2),
        micrographs=np.stack(micrographs),
    )


def _simulated_tiles(config: ConfigDict) -> Iterator[tuple]:
    """Labels, dome, micrograph and table of one tile after the other.

    Raises:
        ValueError: hardly a tile has the foreground that is asked for.
    """
    d, t = config.data, config.translate
    # Tiles too sparse or too dense are left out as those of the measured micrographs are.
    least, most = t.foreground_range if t.tiles == "foreground" else (0.0, 1.0)
    n_tiles = 0
    for i in count():
        if n_tiles < FEWEST * i - 5:
            raise ValueError(
                f"masks: of {i} simulated micrographs, only {n_tiles} tiles have a foreground from "
                f"{least} to {most}; widen translate.foreground_range."
            )
        made = phantom.simulate([config.seed, 7, i], image_px=d.phantom_px)
        # The contrast of a whole micrograph, as that of those which are measured.
        image = images.stretch_contrast(
            made.image,
            low=d.contrast_low,
            high=d.contrast_high,
            knee=d.contrast_knee,
            dark_particles=d.dark_particles,
        )
        image = figures.to_uint8(image)
        dome = np.rint(255 * np.sqrt(split.targets(made.labels)[2])).astype(np.uint8)
        for tile in phantom.cut_tiles(made, tile_px=config.masks.tile_px):
            if least <= (tile.labels > 0).mean() <= most:
                n_tiles += 1
                yield tile.labels, dome[tile.where], image[tile.where], tile.table
