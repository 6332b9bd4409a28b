"""One micrograph measured with a trained model, and how far the model can be trusted with it."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from skimage.transform import resize

from semjax import predict
from semjax.analysis import bands, edited, scores
from semjax.models import Model

TOLERANCE = 1.1  # ratio of pixel sizes up to which they are held to be the same
MANY = 0.1  # share of particles of other sizes than those trained for that is worth a word
LARGEST_PX = 2**28  # pixels of an image after rescaling


def scale_of(model: Model, pixel_size_nm: float | None) -> float:
    """By what to enlarge an image so that its particles look like those that trained the model.

    Args:
        model: the model.
        pixel_size_nm: of the image; None if not known.

    Returns:
        1 within the range of the training images, or if either is not known; otherwise the image's
        pixel size divided by the nearest one of the range.
    """
    known = model.trained["pixel_size_nm"]
    if known is None or pixel_size_nm is None:
        return 1.0
    low, high = known
    if low / TOLERANCE <= pixel_size_nm <= high * TOLERANCE:
        return 1.0
    return pixel_size_nm / (low if pixel_size_nm < low else high)


def doubt_pixels(model: Model, pixel_size_nm: float | None) -> str:
    """What is to be feared if an image is not rescaled, in words; nothing within the range."""
    scale = scale_of(model, pixel_size_nm)
    if scale == 1.0:
        return ""
    low, high = model.trained["pixel_size_nm"]
    trained = f"{low:.4g} nm" if low == high else f"{low:.4g} to {high:.4g} nm"
    much = f"{scale:.2g} times as small" if scale > 1 else f"{1 / scale:.2g} times as large"
    return (
        f"pixels of {pixel_size_nm:.4g} nm, but the model was trained on {trained}: particles look "
        f"{much} to it, and may be missed or torn apart"
    )


def doubt_calibration(model: Model) -> str:
    """What is to be feared where nobody says by what to calibrate pixel sizes, in words."""
    factor = model.trained.get("calibration", 1.0)
    if factor == 1:
        return ""
    return (
        f"the model's training images were calibrated by a factor of {factor:g}, these are not; if "
        f"they are of the same microscope, give --calibration={factor:g} (in Python, their pixel "
        f"size times {factor:g})"
    )


def doubt_sizes(model: Model, min_feret_px: np.ndarray) -> str:
    """What is to be feared if many particles have other sizes than those trained for, in words.

    Args:
        model: the model.
        min_feret_px: of the particles that are kept, in pixels as the model saw them.

    Returns:
        Nothing if at least nine in ten are as large as those trained for, or no more than two are
        not.
    """
    trained = model.trained["min_feret_px"]
    if trained is None:
        return ""
    low, high = trained["p1"], trained["p99"]
    small, large = np.sum(min_feret_px < low), np.sum(min_feret_px > high)
    if small + large <= max(2, MANY * min_feret_px.size):
        return ""
    return (
        f"of {min_feret_px.size} particles, {small} are smaller across than {low:.3g} px and "
        f"{large} larger than {high:.3g} px, the range that the model was trained for"
    )


def segment(
    model: Model, image: np.ndarray, *, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the particles of an image.

    Args:
        model: the model.
        image: (h, w) float32 in [-1, 1], particles bright.
        scale: the image is enlarged by this first; labels and probability are brought back to its
            own pixels by nearest neighbour.

    Returns:
        Labels, int32 (h, w), 1..N, and the probability of foreground, float32 (h, w).

    Raises:
        ValueError: the enlarged image would be too large.
    """
    found = list(segment_rows(model, _resize(image, scale)))
    labels, probability = (np.concatenate(rows) for rows in zip(*found, strict=True))
    if scale != 1.0:
        # What is smaller than a pixel here is lost, and the numbers are to have no gaps.
        labels = scores.drop_specks(_nearest(labels, image.shape), 1)
        probability = _nearest(probability, image.shape)
    return labels, probability


def segment_rows(model: Model, image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Finds the particles of an image of any size, a few rows after the other.

    Args:
        model: the model.
        image: (h, w) float32 in [-1, 1], particles bright, at the scale of the model's training;
            only rows of it are asked for.

    Yields:
        Labels, int32 (n, w), and the probability of foreground, float32 (n, w), of rows that follow
        each other; see `bands.split`.
    """

    def divide(outputs: np.ndarray) -> np.ndarray:
        return scores.drop_specks(
            predict.split(model.segmenter, outputs), model.recipe["min_area_px"]
        )

    outputs = predict.probability_rows(
        model.segmenter,
        image,
        tile_px=tuple(model.recipe["tile_px"]),
        flips=model.recipe["flips"],
    )
    threshold = model.segmenter.settings["threshold"]
    return bands.split(outputs, divide, height=len(image), threshold=threshold)


def judge(
    model: Model,
    image: np.ndarray,
    labels: np.ndarray,
    table: pd.DataFrame,
    *,
    scale: float = 1.0,
) -> pd.DataFrame:
    """Adds `class_score`, `kept` and `reason` to a table of `regions.measure`.

    Args:
        model: the model.
        image: (h, w) float32 in [-1, 1], particles bright.
        labels: (h, w) int32, 1..N.
        table: of the same labels.
        scale: as for `segment`.
    """
    seen = labels if scale == 1.0 else _nearest(labels, _scaled(labels.shape, scale))
    score = np.zeros(int(labels.max(initial=0)))
    found = predict.classify(
        model.classifier,
        _resize(image, scale),
        seen,
        tile_px=tuple(model.recipe["tile_px"]),
        table=table if scale == 1.0 else None,
    )
    score[: found.size] = found
    score = score[table["label"].to_numpy(int) - 1]
    low, border = score < model.classifier.settings["threshold"], table["border"].to_numpy(bool)
    reason = np.where(border, edited.BORDER, np.where(low, "class score", ""))
    return table.assign(class_score=score.round(4), kept=~(low | border), reason=reason)


def _scaled(shape: Sequence[int], scale: float) -> tuple[int, int]:
    h, w = (max(1, round(n * scale)) for n in shape)
    if h * w > LARGEST_PX and scale > 1:
        raise ValueError(
            f"an image of {shape[0]} x {shape[1]} px would have {h} x {w} px at the pixel size of "
            "the model's training, which is too large; crop it, or train a model for its pixel size"
        )
    return h, w


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return image
    resized = resize(
        np.asarray(image), _scaled(image.shape, scale), order=1, anti_aliasing=scale < 1
    )
    return resized.astype(np.float32)


def _nearest(pixels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An array (h, w) in another shape, each new pixel the old one at its centre."""
    rows, cols = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, pixels.shape, strict=True)
    )
    return pixels[rows[:, None], cols]
