"""Trained networks applied to images of any size."""

from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from semjax import checkpoints, devices, networks
from semjax.analysis import evidence, regions
from semjax.analysis import split as splitting
from semjax.data import tiles

OVERLAP_PX = 64
BATCH = 4  # tiles a call at most
LARGEST = 1024  # number in a network's settings: ours have widths of some hundred at most
MIN_DISTANCE_PX = 9  # of two particles' centres, for the watershed


class Model(NamedTuple):
    """A trained network: what its folder says of it, and its variables."""

    settings: dict[str, Any]
    network: Any
    variables: Any


def load(folder: Path, *, channels: int = 1) -> Model:
    """Reads a model folder as written by `segment`, `classify` or `translate`.

    Args:
        folder: the model folder.
        channels: of the network's input; the classifier's is an image and a mask.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: it is damaged, or its weights are not those of the network that it declares.
    """
    settings = checkpoints.load_settings(folder)
    table = {**networks.TRANSLATORS, **networks.SEGMENTERS, **networks.CLASSIFIERS}
    try:
        kwargs = settings["network_kwargs"]
        large = [name for name, n in kwargs.items() if isinstance(n, int | float) and n > LARGEST]
        if large:
            raise ValueError(f"{', '.join(large)} above {LARGEST}")
        network = networks.make(table, settings["network"], kwargs)
        image = jax.ShapeDtypeStruct((1, 64, 64, channels), jnp.float32)
        declared = jax.eval_shape(network.init, jax.random.key(0), image)
    except Exception as error:  # a stranger's settings make the libraries raise errors of any type
        raise ValueError(
            f"{folder / 'config.json'} declares a network that cannot be built ({error}); copy the "
            "model folder again"
        ) from error
    return Model(settings, network, jax.device_put(checkpoints.load_variables(folder, declared)))


@partial(jax.jit, static_argnums=(0, 3))
def _run(network: Any, variables: Any, batch: jax.Array, activation: str) -> jax.Array:
    if activation == "sigmoid":
        return jax.nn.sigmoid(network.apply(variables, batch, train=False).astype(jnp.float32))
    return network.apply(variables, batch).astype(jnp.float32)


def run_batches(model: Model, stack: np.ndarray, *, batch_size: int, sigmoid: bool) -> np.ndarray:
    """The network's output for a stack of tiles of one size.

    Args:
        model: the network.
        stack: (n, h, w, c) float32 in [-1, 1].
        batch_size: tiles a call, rounded up to a multiple of the devices of this process; the
            last call is filled up, so that one shape is compiled.
        sigmoid: whether the outputs are logits to be turned into probabilities.

    Returns:
        (n, h, w, k) float32.
    """
    activation = "sigmoid" if sigmoid else "none"
    grid = devices.local_mesh()
    batch_size = grid.size * ceil(batch_size / grid.size)
    variables = jax.device_put(model.variables, devices.replicated(grid))
    out = []
    for start in range(0, len(stack), batch_size):
        batch = stack[start : start + batch_size]
        n = len(batch)
        if n < batch_size:
            batch = np.concatenate([batch, np.zeros((batch_size - n, *batch.shape[1:]), "f4")])
        batch = devices.put_batch(batch, grid)
        out.append(np.asarray(_run(model.network, variables, batch, activation))[:n])
    return np.concatenate(out)


def run_image(
    model: Model,
    image: np.ndarray,
    *,
    tile_px: tuple[int, int],
    sigmoid: bool = True,
    overlap_px: int = OVERLAP_PX,
) -> np.ndarray:
    """The network's output for one image of any size, in overlapping tiles joined without seams.

    Args:
        model: the network.
        image: (h, w) or (h, w, c) float32 in [-1, 1].
        tile_px: rows and columns of a tile.
        sigmoid: whether the outputs are logits to be turned into probabilities.
        overlap_px: shared by neighbouring tiles; half of it is dropped on each side.

    Returns:
        (h, w, k) float32.
    """
    if image.ndim == 2:
        image = image[..., None]
    overlap_px = min(overlap_px, min(tile_px) // 2)
    pieces, origins = tiles.cut(image, tile_px, overlap_px)
    # Calls of one size that leave few tiles empty: 9 tiles take 3 x 3, not 3 x 4.
    batch_size = ceil(len(pieces) / ceil(len(pieces) / BATCH))
    outputs = run_batches(model, pieces, batch_size=batch_size, sigmoid=sigmoid)
    return tiles.join(outputs, origins, image.shape[:2], overlap_px)


def split_outputs(outputs: np.ndarray, *, method: str, threshold: float = 0.5) -> np.ndarray:
    """Labels from a segmenter's outputs.

    Args:
        outputs: (h, w, 1) particle or (h, w, 3) particle, interior, distance; in [0, 1].
        method: "markers" (needs three outputs) or "watershed" (uses the first alone).
        threshold: a pixel belongs to a particle from this probability on.

    Returns:
        int32 (h, w).
    """
    if method == "watershed":
        mask = outputs[..., 0] >= threshold
        return splitting.watershed(mask, min_distance_px=MIN_DISTANCE_PX)
    return splitting.markers(
        outputs[..., 0],
        outputs[..., 1],
        outputs[..., 2],
        threshold=threshold,
    )


def probabilities(
    model: Model, image: np.ndarray, *, tile_px: tuple[int, int], flips: bool = True
) -> np.ndarray:
    """A segmenter's outputs for one image.

    Args:
        model: a segmenter from a model folder.
        image: (h, w) float32 in [-1, 1].
        tile_px: rows and columns of a tile.
        flips: whether outputs are averaged over the image and its three flips.

    Returns:
        (h, w, k) float32 in [0, 1]; the first channel is the probability of foreground.
    """
    views = (slice(None), slice(None, None, -1)) if flips else (slice(None),)
    flipped = [(rows, cols) for rows in views for cols in views]
    total = np.float32(0)  # one sum, not all of them side by side: images may be large
    for view in flipped:
        total = total + run_image(model, image[view], tile_px=tile_px)[view]
    return np.asarray(total / np.float32(len(flipped)))


def split(model: Model, outputs: np.ndarray) -> np.ndarray:
    """Labels, int32 (h, w), from a segmenter's outputs (h, w, k) by its own thresholds."""
    return split_outputs(
        outputs,
        method=model.settings["split"],
        threshold=model.settings["threshold"],
    )


def classify(
    model: Model,
    image: np.ndarray,
    labels: np.ndarray,
    *,
    tile_px: tuple[int, int],
    table: pd.DataFrame | None = None,
) -> np.ndarray:
    """Score of each particle, in [0, 1]: the more, the better it can be measured.

    Args:
        model: a classifier of (image, mask).
        image: (h, w) float32 in [-1, 1].
        labels: (h, w) int32, 1..N.
        tile_px: rows and columns of a tile.
        table: of the particles, if `regions.measure` has been called already.

    Returns:
        (N,) float: the mean of the network's scores over a particle's pixels, or what becomes of it
        beside the particle's shape (see `weigh`).
    """
    scores = run_image(model, classifier_input(image, labels), tile_px=tile_px)[..., 0]
    if table is None:
        table = regions.measure(labels)
    return weigh(model, mean_by_label(scores, labels), table)


def weigh(model: Model, scores: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """The network's mean scores (N,), weighed with the particles' shapes if the model says how."""
    fitted = model.settings.get("evidence")
    if fitted is None:
        return scores
    at = table["label"].to_numpy() - 1
    weighed = scores.copy()
    weighed[at] = evidence.weigh(evidence.collect(table, scores[at]), fitted)
    return weighed


def classifier_input(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(h, w, 2): the image, and the mask with separating lines as -1 and 1."""
    mask = np.where(splitting.draw_lines(labels), 1.0, -1.0)
    return np.stack([image, mask], axis=-1).astype(np.float32)


def mean_by_label(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of `values` (h, w) over each label 1..N of `labels` (h, w): (N,), 0 without pixels."""
    area = np.bincount(labels.ravel())[1:]
    total = np.bincount(labels.ravel(), weights=values.ravel())[1:]
    return total / np.maximum(area, 1)
