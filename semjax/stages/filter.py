"""Stage 4: remove from the masks every particle that its picture does not show.

The edges of those that stay are moved to where the picture has them.
"""

import numpy as np
import pandas as pd
import tifffile
from absl import logging
from ml_collections import ConfigDict

from semjax import inputs, stacks, watch
from semjax.analysis import edges, split, threshold
from semjax.report import figures
from semjax.synth import place
from semjax.workdir import Work, whole, write_json, write_text

N_SHOWN = 8


def run(config: ConfigDict, work: Work) -> dict:
    """Writes filtered `labels.tif`, `masks.tif`, `particles.csv`; the same for the GAN's masks."""
    c = config.filter
    labels = stacks.read(work.masks / "labels.tif").astype(np.int32)
    fakes = stacks.read(work.translate / "fakes.tif")
    particles = pd.read_csv(work.masks / "particles.csv")
    filtered = np.empty_like(labels)
    new_label = np.zeros(len(particles), np.int32)
    for i, (image, mask) in enumerate(zip(fakes, labels, strict=True)):
        keep = threshold.keep_shown(image, mask, threshold=c.threshold)
        filtered[i], renamed = threshold.remove(mask, keep)
        if c.snap_edges:
            filtered[i] = edges.snap(image, filtered[i])
        rows = (particles["mask"] == i).to_numpy()
        new_label[rows] = renamed[particles.loc[rows, "label"]]
    shown = new_label > 0
    if not shown.any():
        raise ValueError(
            "filter: the fake micrographs show none of the particles. Look at "
            "3_translate/fakes.png: train longer (translate.steps), or set filter.threshold='none'."
        )
    stacks.write(work.filter / "labels.tif", filtered.astype(np.uint16))
    flat = np.asarray(place.flat_mask(filtered, line_px=config.masks.line_px), np.uint8) * 255
    stacks.write(work.filter / "masks.tif", flat)
    kept = particles[shown].assign(label=new_label[shown])
    write_text(work.filter / "particles.csv", kept.to_csv(index=False))
    _show(work, fakes, labels, filtered)

    share = 1.0 - shown.mean() if len(shown) else 0.0
    for finding in watch.ghosts(share):
        logging.warning("filter: %s", finding.text)
    summary = {
        "particles": len(particles),
        "removed share": float(share),
        "removed share of the CycleGAN's masks": _filter_gan_masks(config, work),
    }
    write_json(work.filter / "summary.json", summary)
    return summary


def _show(work: Work, fakes: np.ndarray, labels: np.ndarray, filtered: np.ndarray) -> None:
    """Fakes with the outlines of kept (green) and removed (red) particles."""
    n = min(N_SHOWN, len(fakes))
    sheets = list(fakes[:n])
    for image, before, after in zip(fakes[:n], labels[:n], filtered[:n], strict=True):
        kept = np.zeros(before.max(initial=0), bool)
        kept[np.unique(before[(before > 0) & (after > 0)]) - 1] = True
        sheets.append(figures.overlay(image, before, kept))
    figures.write_png(work.filter / "sample.png", figures.sheet(sheets, columns=n))


def _filter_gan_masks(config: ConfigDict, work: Work) -> float | None:
    """Splits and filters the CycleGAN's masks of the real images; returns the share removed.

    None where there are no such masks, because no CycleGAN was trained.
    """
    if not (work.translate / "gan_masks").is_dir():
        return None
    folder = work.filter / "gan_labels"
    before = after = 0
    for picture in inputs.micrographs(config, work):
        mask = tifffile.imread(work.translate / "gan_masks" / f"{picture.name}.tif")
        labels = split.watershed(mask > threshold.otsu(mask), min_distance_px=9)
        keep = threshold.keep_shown(picture.image, labels, threshold=config.filter.threshold)
        labels, _ = threshold.remove(labels, keep)
        before, after = before + keep.size, after + int(keep.sum())
        with whole(folder / f"{picture.name}.tif") as partial:
            tifffile.imwrite(partial, labels.astype(np.uint16), compression="zlib")
    return 1.0 - after / before if before else 0.0
