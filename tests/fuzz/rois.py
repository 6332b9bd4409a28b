"""ImageJ's ROIs, single and in zips."""

from pathlib import Path

import numpy as np
import roifile

from semjax.data import annotations, outlines
from tests.fuzz import damage


def draw(rng: np.random.Generator) -> bytes:
    """One ROI of any type."""
    n = int(rng.integers(0, 40))
    points = rng.uniform(-5, damage.pick(rng, (50,) * 40 + (3000, 40_000)), (n, 2))
    if rng.random() < 0.5:
        points = points.round()
    if rng.random() < 0.05:
        points[: n // 2] = damage.pick(rng, (np.nan, np.inf, 1e30, -1e30))
    try:
        roi = roifile.ImagejRoi.frompoints(points)
    except (ValueError, OverflowError, IndexError):
        roi = roifile.ImagejRoi.frompoints([[0, 0], [9, 0], [9, 9]])
    if rng.random() < 0.5:
        roi.roitype = damage.pick(rng, list(roifile.ROI_TYPE))
    if rng.random() < 0.2:
        roi.subtype = damage.pick(rng, list(roifile.ROI_SUBTYPE))
    if rng.random() < 0.2:
        roi.options = roifile.ROI_OPTIONS(damage.pick(rng, (0, 1, 4, 128, 256)))
    if rng.random() < 0.2:
        box = (damage.pick(rng, (-32768, -1, 0, 9, 50, 50, 500, 32767)) for _ in range(4))
        roi.top, roi.left, roi.bottom, roi.right = box
    roi.name = damage.pick(rng, ("a", "", "../a", "x" * 300))
    try:
        content = roi.tobytes()
    except Exception:  # what this writer refuses
        content = roifile.ImagejRoi.frompoints([[0, 0], [9, 0], [9, 9]]).tobytes()
    return damage.some_bytes(rng, content) if rng.random() < 0.35 else content


def make(rng: np.random.Generator, folder: Path) -> None:
    """A ROI or a zip of up to 20."""
    if rng.random() < 0.4:
        (folder / "case.roi").write_bytes(draw(rng))
        return
    members = [(f"{i:04d}.roi", draw(rng)) for i in range(int(rng.integers(0, 20)))]
    damage.write_zip(rng, folder / "case_RoiSet.zip", members)


def read_particles(folder: Path) -> None:
    """The particles as they are drawn."""
    for path in folder.iterdir():
        if path.suffix not in annotations.SUFFIXES:
            continue
        for particle in annotations.read(path):
            assert particle.mask.dtype == bool and particle.mask.any()


def read_outlines(folder: Path) -> None:
    """As the stage `shapes` reads them."""
    found = outlines.read_outlines(folder)
    assert found.dtype == np.uint8 and found.max() == 1


READERS = (read_particles, read_outlines)
