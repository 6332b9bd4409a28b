"""Stage 2: masks of many touching and overlapping particles, assembled from outlines."""

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from semjax import inputs, stacks
from semjax.report import figures
from semjax.synth import place
from semjax.workdir import Work

N_SHOWN = 8


def run(config: ConfigDict, work: Work) -> dict:
    """Writes the stacks `labels.tif`, `masks.tif`, `domes.tif`, and `particles.csv`."""
    c = config.masks
    with np.load(work.outlines, allow_pickle=False) as file:
        bank = file["outlines"]
    foreground = None
    if c.density == "match":
        pictures = inputs.unlabelled(config, inputs.micrographs(config, work))
        fractions = inputs.training_crops(config, pictures, c.tile_px).fraction
        rng = np.random.default_rng([config.seed, 2])
        foreground = rng.choice(fractions, c.n_masks)
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
    flat = np.asarray(place.flat_mask(made.labels, line_px=c.line_px), np.uint8) * 255
    domes = np.asarray(place.dome_input(made.domes, made.labels, line_px=c.line_px))
    domes = np.rint(domes * 255).astype(np.uint8)
    stacks.write(work.masks / "labels.tif", made.labels.astype(np.uint16))
    stacks.write(work.masks / "masks.tif", flat)
    stacks.write(work.masks / "domes.tif", domes)
    particles = _table(made)
    particles.to_csv(work.masks / "particles.csv", index=False)
    shown = [
        picture
        for row in (
            map(figures.color_labels, made.labels[:N_SHOWN]),
            flat[:N_SHOWN],
            domes[:N_SHOWN],
        )
        for picture in row
    ]
    figures.write_png(
        work.masks / "masks.png", figures.sheet(shown, columns=min(N_SHOWN, c.n_masks))
    )
    visible = particles.visible_area_px / particles.whole_area_px
    return {
        "masks": c.n_masks,
        "particles": len(particles),
        "foreground fraction": float(made.foreground.mean()),
        "foreground wanted": None if foreground is None else float(foreground.mean()),
        "mean visible fraction": float(visible.mean()),
    }


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
