"""Trained networks applied to images of any size."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from math import ceil, gcd
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from semjax import checkpoints, devices, networks
from semjax.analysis import evidence, regions
from semjax.analysis import split as splitting
from semjax.data import tiles

GRID_PX = 16  # the networks' smallest maps have a pixel for so many; tiles begin on this grid
# Half of it is what a tile's pixels are told of their surroundings. The segmenter's outputs differ
# by 0.01 at most from those of the image in one piece then; with 64 px by 0.12 (docs/experiments).
OVERLAP_PX = 128
BATCH_PX = 2**20  # of tiles a call on an accelerator
CPU_BATCH_PX = 2**17
CALLS = 2  # at once
LARGEST = 1024  # number in a network's settings: ours have widths of some hundred at most
MIN_DISTANCE_PX = 9  # of two particles' centres, for the watershed

_dispatching = Lock()


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


def per_call(tile_px: tuple[int, ...]) -> int:
    """Tiles of so many rows and columns that a device gets at once."""
    pixels = CPU_BATCH_PX if jax.default_backend() == "cpu" else BATCH_PX
    return max(1, pixels // (tile_px[0] * tile_px[1]))


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
    return np.stack(list(_run_each(model, stack, batch_size=batch_size, sigmoid=sigmoid)))


def _run_each(
    model: Model, pieces: Iterable[np.ndarray], *, batch_size: int, sigmoid: bool
) -> Iterator[np.ndarray]:
    """The network's output (h, w, k) for each of many tiles (h, w, c), in their order.

    Several calls run at once, each from a thread of its own, since a device computes the calls of
    one thread one after the other: an accelerator finds the next one waiting, and on a CPU the
    operations of one fill the cores that those of another leave idle.
    """
    activation = "sigmoid" if sigmoid else "none"
    grid = devices.local_mesh()
    batch_size = grid.size * ceil(batch_size / grid.size)
    variables = jax.device_put(model.variables, devices.replicated(grid))

    def call(batch: list[np.ndarray]) -> np.ndarray:
        filled = np.zeros((batch_size, *batch[0].shape), np.float32)
        filled[: len(batch)] = batch
        # Or the first two would both compile, and devices could get calls in different orders.
        with _dispatching:
            outputs = _run(model.network, variables, devices.put_batch(filled, grid), activation)
        return np.asarray(outputs)[: len(batch)]

    pieces, running = iter(pieces), deque()
    batches = iter(lambda: list(islice(pieces, batch_size)), [])
    with ThreadPoolExecutor(CALLS) as threads:
        running.extend(threads.submit(call, batch) for batch in islice(batches, CALLS))
        while running:
            outputs = running.popleft().result()
            running.extend(threads.submit(call, batch) for batch in islice(batches, 1))
            yield from outputs


def run_rows(
    model: Model,
    read: Callable[[int, int], np.ndarray],
    shape: tuple[int, int],
    *,
    tile_px: tuple[int, int],
    sigmoid: bool = True,
    flips: bool = False,
    overlap_px: int = OVERLAP_PX,
) -> Iterator[np.ndarray]:
    """The network's output for one image of any size, a few rows after the other.

    Only a row of tiles is held at a time. All calls have one shape, whatever the image's.

    Args:
        model: the network.
        read: gives the image from one row on and up to another, (n, w) or (n, w, c) float32 in
            [-1, 1].
        shape: rows and columns of the image.
        tile_px: rows and columns of a tile.
        sigmoid: whether the outputs are logits to be turned into probabilities.
        flips: whether outputs are averaged over the image and its three flips.
        overlap_px: shared by neighbouring tiles; half of it is dropped on each side.

    Yields:
        (n, w, k) float32, from the first row to the last.
    """
    h, w = shape
    overlap_px = min(overlap_px, min(tile_px) // 2)
    half, grid_px = overlap_px // 2, gcd(GRID_PX, *tile_px)
    if grid_px == min(tile_px):
        grid_px = max(grid_px // 2, 1)  # or such tiles could only lie side by side
    steps = (1, -1) if flips else (1,)
    views = [(slice(None, None, a), slice(None, None, b)) for a in steps for b in steps]
    starts = tiles.starts(h, tile_px[0], overlap_px, grid_px)
    ends = np.minimum(starts + tile_px[0], h)
    bounds = np.array([0, *(starts[1:] + half), h])  # of what is kept of each row of tiles
    # In a flipped image all are counted from its end.
    read_rows = {1: (starts, ends), -1: (h - ends[::-1], h - starts[::-1])}
    kept = {1: bounds, -1: h - bounds[::-1]}
    n_columns = len(tiles.starts(w, tile_px[1], overlap_px, grid_px))

    def pieces() -> Iterator[np.ndarray]:
        for i in range(len(starts)):
            for view in views:
                first, last = (edge[i] for edge in read_rows[view[0].step])
                rows = read(first, last)[view]
                rows = rows[..., None] if rows.ndim == 2 else rows
                yield from tiles.cut(rows, tile_px, overlap_px, grid_px)[0]

    # On a CPU tiles one by one are as fast, and no empty ones fill a call up.
    batch_size = 1 if jax.default_backend() == "cpu" else per_call(tile_px)
    outputs = _run_each(model, pieces(), batch_size=batch_size, sigmoid=sigmoid)
    waiting: list[list[np.ndarray]] = [[] for _ in views]
    for i in range(len(starts)):
        for view, rows in zip(views, waiting, strict=True):
            row = np.stack(list(islice(outputs, n_columns)))
            top, end = (edge[i] for edge in read_rows[view[0].step])
            joined = tiles.join(row, (end - top, w), overlap_px, grid_px)[view]
            first, last = kept[view[0].step][i : i + 2] - top
            rows.append(joined[first:last])
        known = [np.concatenate(rows) for rows in waiting]
        n = min(map(len, known))  # flipped rows of tiles lie beside the others
        yield _average([rows[:n] for rows in known])
        waiting = [[rows[n:].copy()] for rows in known]


def _average(outputs: list[np.ndarray]) -> np.ndarray:
    total = outputs[0]
    for more in outputs[1:]:
        total = total + more
    return total / np.float32(len(outputs)) if len(outputs) > 1 else total


def run_image(
    model: Model,
    image: np.ndarray,
    *,
    tile_px: tuple[int, int],
    sigmoid: bool = True,
    overlap_px: int = OVERLAP_PX,
) -> np.ndarray:
    """The network's output for one image, in overlapping tiles joined without seams.

    Args:
        model: the network.
        image: (h, w) or (h, w, c) float32 in [-1, 1].
        tile_px: rows and columns of a tile.
        sigmoid: whether the outputs are logits to be turned into probabilities.
        overlap_px: shared by neighbouring tiles; half of it is dropped on each side.

    Returns:
        (h, w, k) float32.
    """
    read, shape = _reader(image), image.shape[:2]
    options = {"tile_px": tile_px, "sigmoid": sigmoid, "overlap_px": overlap_px}
    return np.concatenate(list(run_rows(model, read, shape, **options)))


def _reader(image: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda first, last: image[first:last]


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
    return np.concatenate(list(probability_rows(model, image, tile_px=tile_px, flips=flips)))


def probability_rows(
    model: Model, image: np.ndarray, *, tile_px: tuple[int, int], flips: bool
) -> Iterator[np.ndarray]:
    """`probabilities` a few rows after the other, (n, w, k); of images of any size."""
    read = _reader(image)
    return run_rows(model, read, image.shape, tile_px=tile_px, flips=flips)


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

    def read(first: int, last: int) -> np.ndarray:
        # Lines between particles depend on the row below, too.
        return classifier_input(image[first:last], labels[first : last + 1])

    rows = run_rows(model, read, labels.shape, tile_px=tile_px)
    scores = mean_by_label((outputs[..., 0] for outputs in rows), labels)
    if table is None:
        table = regions.measure(labels)
    return weigh(model, scores, table)


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
    """(h, w, 2): the image, and the mask with separating lines as -1 and 1.

    Args:
        image: (h, w) float32 in [-1, 1].
        labels: (h, w), or with the rows below the image if there are any.
    """
    mask = np.where(splitting.draw_lines(labels)[: len(image)], 1.0, -1.0)
    return np.stack([image, mask], axis=-1).astype(np.float32)


def mean_by_label(values: Iterable[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Mean of values over each label 1..N of `labels` (h, w): (N,), 0 without pixels.

    Args:
        values: (n, w) each, rows from the first to the last.
        labels: (h, w).
    """
    total, area = np.zeros((2, int(labels.max(initial=0)) + 1))
    row = 0
    for some in values:
        here = labels[row : row + len(some)].ravel().astype(np.int64)
        area += np.bincount(here, minlength=area.size)
        np.add.at(total, here, some.ravel().astype(np.float64))  # one by one: bands change nothing
        row += len(some)
    return total[1:] / np.maximum(area[1:], 1)
