"""Four verbs for notebooks and scripts: `load`, `segment`, `measure`, `score`.

    import semjax

    model = semjax.load("runs/phantom")
    labels = semjax.segment(model, "image.tif")
    particles = semjax.measure(labels, "image.tif", model=model)
    print(particles[particles["kept"]]["min_feret_nm"].describe())
    print(semjax.score(labels, truth)["f1_50"])

Images and labels are arrays of rows and columns as in scikit-image, tables are pandas'.
"""

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semjax import measuring, models
from semjax.analysis import regions, scores
from semjax.data import images
from semjax.models import Model

Picture = np.ndarray | str | PathLike[str]


def load(path: str | Path) -> Model:
    """Reads a model folder, or the model of a finished work folder.

    Raises:
        FileNotFoundError: the folder is neither.
        ValueError: it is damaged, was changed, or was written by a newer semjax.
    """
    return models.load(path)


def segment(
    model: Model, image: Picture, *, pixel_size_nm: float | None = None, rescale: bool = False
) -> np.ndarray:
    """Finds the particles of a micrograph.

    Args:
        model: from `load`.
        image: (h, w) grey levels in any unit, without information bar; or a file, whose bar is cut
            and whose tags are read.
        pixel_size_nm: side of a pixel; None takes it from the file's tags, if there are any.
        rescale: whether an image of another pixel size than those that the model was trained on is
            resampled; otherwise a warning says so.

    Returns:
        Labels, int32 (h, w), 0 background, 1..N.

    Raises:
        ValueError: no image, or nothing to rescale by.
    """
    seen, _, size = _prepare(model, image, pixel_size_nm)
    return measuring.segment(model, seen, scale=_scale(model, size, rescale))[0]


def measure(
    labels: np.ndarray,
    image: Picture | None = None,
    *,
    pixel_size_nm: float | None = None,
    model: Model | None = None,
    rescale: bool = False,
) -> pd.DataFrame:
    """Measures every particle.

    Args:
        labels: (h, w) integers, 0 background.
        image: as for `segment`; it gives the mean intensity.
        pixel_size_nm: side of a pixel; None takes it from the image's file, or else lengths stay in
            pixels.
        model: says which particles can be measured, if the image is given too.
        rescale: as for `segment`.

    Returns:
        One row a particle with the columns of `analysis.regions.measure`; with a model also
        `class_score`, in [0, 1], `kept` and the `reason` why not.

    Raises:
        ValueError: no labels, an image of another shape, or a model without an image.
    """
    labels = _expect_labels(labels)
    if image is None:
        if model is not None:
            raise ValueError("a model judges particles by their image; give the image, too")
        return regions.measure(labels, pixel_size_nm=pixel_size_nm)
    if model is None and not isinstance(image, np.ndarray):
        picture = images.read_micrograph(image, pixel_size_nm=pixel_size_nm or 0.0)
        return regions.measure(labels, picture.raw, pixel_size_nm=picture.pixel_size_nm)
    if model is None:
        return regions.measure(labels, image, pixel_size_nm=pixel_size_nm)
    seen, raw, size = _prepare(model, image, pixel_size_nm)
    table = regions.measure(labels, raw, pixel_size_nm=size)
    scale = _scale(model, size, rescale)
    table = measuring.judge(model, seen, labels.astype(np.int32), table, scale=scale)
    kept = table[table["kept"]]
    sizes = kept["min_feret_px"] if size is None else kept["min_feret_nm"] / size
    _doubt(measuring.doubt_sizes(model, scale * sizes.to_numpy()))
    return table


def score(
    labels: np.ndarray, truth: np.ndarray, *, min_area_px: int = scores.MIN_AREA_PX
) -> dict[str, Any]:
    """Scores of found particles against the true ones; missed particles count.

    Args:
        labels: found, (h, w) integers, 0 background.
        truth: (h, w) labels, or a mask (black and white, its edges may be soft), whose particles
            are its 4-connected pieces.
        min_area_px: particles of fewer pixels are dropped on both sides.

    Returns:
        Plain numbers, see `analysis.scores.score`: image_iou, f1_50, pq and more.

    Raises:
        ValueError: labels that are no integers, or another shape of the truth.
    """
    labels, truth = _expect_labels(labels), np.asarray(truth)
    if images.is_mask(truth):
        truth = scores.label_truth(truth > truth.max() / 2)
    found, true = (scores.drop_specks(x.astype(np.int32), min_area_px) for x in (labels, truth))
    return scores.score(found, true)


def _expect_labels(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, got {labels.dtype}; label a mask first "
            "(skimage.measure.label)"
        )
    return labels


def _prepare(
    model: Model, image: Picture, pixel_size_nm: float | None
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """The image as the model sees it, its grey levels and its pixel size."""
    recipe = model.recipe
    contrast = {**recipe["contrast"], "dark_particles": recipe["dark_particles"]}
    if not isinstance(image, np.ndarray):
        picture = images.read_micrograph(
            image,
            pixel_size_nm=pixel_size_nm or 0.0,
            info_bar_px=recipe["info_bar_px"],
            **contrast,
        )
        if not pixel_size_nm and picture.pixel_size_nm:
            _doubt(measuring.doubt_calibration(model))
        return picture.image, picture.raw, picture.pixel_size_nm
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "biuf":
        raise ValueError(
            f"expected an image of grey levels in rows and columns, got {image.dtype} of the shape "
            f"{image.shape}; take one channel (skimage.color.rgb2gray)"
        )
    if not np.isfinite(image).all():
        raise ValueError("the image has NaN or infinite pixels; replace or crop them")
    return images.stretch_contrast(image, **contrast), image, pixel_size_nm


def _scale(model: Model, pixel_size_nm: float | None, rescale: bool) -> float:
    if not rescale:
        _doubt(measuring.doubt_pixels(model, pixel_size_nm))
        return 1.0
    if pixel_size_nm is None or model.trained["pixel_size_nm"] is None:
        unknown = "image" if pixel_size_nm is None else "model's training images"
        raise ValueError(f"rescale needs the pixel size of the {unknown}; give it, or leave it out")
    return measuring.scale_of(model, pixel_size_nm)


def _doubt(text: str) -> None:
    if text:
        warnings.warn(text, stacklevel=4)
