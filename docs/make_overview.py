"""Draws `docs/overview.png` from a finished work folder of the phantom.

python docs/make_overview.py runs/phantom

Of the phantom only: pictures of other materials do not belong into the repository.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile

from semjax import stacks
from semjax.report import figures, finding, making, panels
from semjax.workdir import Work

PICTURE = Path(__file__).with_name("overview.png")


def draw(work: Work) -> bytes:
    """A micrograph, masks and their micrographs, the particles found, and their sizes."""
    table = finding.particles(work)
    name = table["image"].value_counts().index[0]
    image = next(p.image for p in making.micrographs(work) if p.name == name)
    labels = tifffile.imread(work.measure / "labels" / f"{name}.tif").astype(np.int32)
    kept = table[table["image"] == name].sort_values("label")["kept"].to_numpy(bool)
    values, unit = finding.sizes(work)

    reliefs = stacks.read(work.masks / "reliefs.tif")
    fakes = stacks.read(work.translate / "fakes.tif")
    fullest = np.argsort(-(stacks.read(work.masks / "labels.tif") > 0).mean((1, 2)), kind="stable")
    chosen = fullest[len(fullest) // 8 :: len(fullest) // 8][:2]
    pairs = np.concatenate([np.hstack([reliefs[i], fakes[i]]) for i in chosen])

    figure, axes = panels.start(4, columns=4, height=3.3, width=14.0)
    panels.picture(axes[0], image, "a micrograph")
    panels.picture(axes[1], pairs, "masks and synthetic micrographs")
    found = figures.overlay(image, labels, kept)
    panels.picture(axes[2], found, "kept (green) and dropped particles")
    title = f"{len(values)} particles, mean {values.mean():.0f} {unit}"
    panels.diagram(axes[3], f"minimum Feret diameter, {unit}", "particles", title)
    axes[3].hist(values, bins=24, color=panels.TRUE)
    return panels.png(figure)


if __name__ == "__main__":
    PICTURE.write_bytes(draw(Work(Path(sys.argv[1]))))
