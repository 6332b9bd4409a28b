"""Simulated inputs of the workflow as files: micrographs, hand-drawn outlines and the truth."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from skimage.io import imsave

from semjax.phantom.bodies import draw_outline
from semjax.phantom.micrograph import simulate

_OUTLINE_PX = 64
_FOREGROUND = (0.03, 0.27)


def write_inputs(
    folder,
    *,
    seed: int,
    n_images: int,
    n_outlines: int,
    image_px: tuple[int, int],
    pixel_size_nm: float,
) -> None:
    """Write simulated inputs; the same seed gives the same bytes.

    images/phantom_000.tif are 8-bit micrographs calibrated as ImageJ does, truth/ holds label
    images (uint16) of the same names, truth.csv one row a particle (`image` and the columns of
    `Phantom.table`), outlines/000.png silhouettes of other particles of the same kind. The
    folder appears whole or not at all.

    Raises:
        FileExistsError: the folder exists and is not empty.
        ValueError: no images or outlines are asked for.
    """
    folder = Path(folder)
    if n_images < 1 or n_outlines < 1:
        raise ValueError(
            f"expected at least one image and one outline; got n_images={n_images}, "
            f"n_outlines={n_outlines}"
        )
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; remove it or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write_all(unfinished, seed, n_images, n_outlines, image_px, pixel_size_nm)
        unfinished.chmod(0o755)  # mkdtemp shuts out everyone else
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _write_all(folder, seed, n_images, n_outlines, image_px, pixel_size_nm) -> None:
    for name in ("images", "outlines", "truth"):
        (folder / name).mkdir()
    order, outlines, *images = np.random.SeedSequence(seed).spawn(2 + n_images)
    # From sparse to dense in every set, however small, in shuffled order.
    shares = np.geomspace(*_FOREGROUND, n_images) if n_images > 1 else np.array([0.15])
    shares = np.random.default_rng(order).permutation(shares)
    tables = []
    for i, (sequence, share) in enumerate(zip(images, shares, strict=True)):
        phantom = simulate(
            sequence, image_px=image_px, pixel_size_nm=pixel_size_nm, foreground=float(share)
        )
        name = f"phantom_{i:03d}"
        calibration = {"resolution": (1 / pixel_size_nm,) * 2, "metadata": {"unit": "nm"}}
        tifffile.imwrite(
            folder / "images" / f"{name}.tif", phantom.image, imagej=True, **calibration
        )
        truth = phantom.labels.astype(np.uint16)
        tifffile.imwrite(folder / "truth" / f"{name}.tif", truth, imagej=True, **calibration)
        phantom.table.insert(0, "image", name)
        tables.append(phantom.table)
    pd.concat(tables, ignore_index=True).to_csv(
        folder / "truth.csv", index=False, float_format="%.6g", lineterminator="\n"
    )
    rng = np.random.default_rng(outlines)
    for i in range(n_outlines):
        outline = draw_outline(rng, side_px=_OUTLINE_PX)
        imsave(folder / "outlines" / f"{i:03d}.png", outline, check_contrast=False)
