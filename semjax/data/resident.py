"""Batches for training drawn on the device, from pictures that stay there as uint8.

Beside `semjax.data.batches`, for accelerators that wait for their host otherwise: crops, flips and
grey levels follow the same distributions, and every sample follows from the seed and its position.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from semjax.data.augment import BLOTCH_PX
from semjax.data.crops import Crops
from semjax.synth.place import flat_mask

Array = jax.Array


class Resident(NamedTuple):
    """What lies on the device, and how a sample is made of it.

    Attributes:
        arrays: tree of NumPy arrays, which `semjax.training.fit` puts on every device.
        n_items: items run over 0 .. n_items - 1, each once an epoch, shuffled.
        make: `make(arrays, index, key) -> tree`, one sample; a pure function that JAX traces.
        batch_size: samples a batch; (a, b) stacks them along two axes.
    """

    arrays: Any
    n_items: int
    make: Callable[[Any, Array, Array], Any]
    batch_size: tuple[int, ...]

    def draw(self, arrays: Any, step: Array, key: Array) -> Any:
        """The batch of a step (counted from 0), from `arrays` on the device."""
        total = math.prod(self.batch_size)
        order_key, sample_key = jax.random.split(key)

        def one(at: Array) -> Any:
            epoch, place = at // self.n_items, at % self.n_items
            order = jax.random.permutation(jax.random.fold_in(order_key, epoch), self.n_items)
            return self.make(arrays, order[place], jax.random.fold_in(sample_key, at))

        samples = jax.vmap(one)(step * total + jnp.arange(total))
        return jax.tree.map(lambda x: x.reshape(*self.batch_size, *x.shape[1:]), samples)

    def get_state(self) -> dict:
        """Nothing: the state's own step is the position."""
        return {}

    def set_state(self, state: dict) -> None:
        """See `get_state`."""


def outlines(given: np.ndarray, *, batch_size: tuple[int, int], rotate: bool) -> Resident:
    """Flipped and turned outlines (s, s, 1) in [-1, 1].

    Args:
        given: uint8 0/1 (n, s, s).
        batch_size: critic updates and outlines in each.
        rotate: False flips only.
    """

    def make(arrays: Array, index: Array, key: Array) -> Array:
        (outline,) = dihedral(key, arrays[index], rotate=rotate)
        return outline[..., None].astype(jnp.float32) * 2.0 - 1.0

    return Resident(given, len(given), make, batch_size)


def tiles(
    masks: np.ndarray,
    pictures: Sequence[np.ndarray],
    crops: Crops,
    *,
    tile_px: tuple[int, int],
    batch_size: int,
) -> Resident:
    """Unpaired tiles as `semjax.learners.cyclegan` takes them.

    Args:
        masks: uint8 (n, h, w).
        pictures: images of any sizes in [-1, 1].
        crops: where tiles may be cut of the images.
        tile_px: rows, columns.
        batch_size: tiles of each kind.
    """
    levels, _ = _stack([_to_levels(picture) for picture in pictures])
    corners = np.stack([crops.image, crops.row, crops.col], axis=1).astype(np.int32)

    def make(arrays: dict[str, Array], index: Array, key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 4)
        corner = _corner(keys[0], jnp.array(masks.shape[1:]), tile_px)
        (mask,) = dihedral(keys[1], _cut(arrays["masks"], index, corner, tile_px))
        chosen = arrays["corners"][jax.random.randint(keys[2], (), 0, len(corners))]
        (tile,) = dihedral(keys[3], _cut(arrays["images"], chosen[0], chosen[1:], tile_px))
        return {"images": _to_signed(tile)[..., None], "masks": _to_signed(mask)[..., None]}

    arrays = {"masks": masks, "images": levels, "corners": corners}
    return Resident(arrays, len(masks), make, (batch_size,))


def pairs(
    images: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    tile_px: tuple[int, int],
    batch_size: int,
    strength: float,
    **grey: float,
) -> Resident:
    """Tiles of images with their targets as `semjax.learners.segmenter` takes them.

    Args:
        images: (h, w) in [-1, 1], of any sizes.
        targets: uint8 (h, w, k), 255 for 1.
        tile_px: rows, columns.
        batch_size: tiles.
        strength: of `blotches`.
        grey: of `photometric`.
    """
    levels, sizes = _stack([_to_levels(image) for image in images])

    def make(arrays: dict[str, Array], index: Array, key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 4)
        corner = _corner(keys[0], arrays["sizes"][index], tile_px)
        image = _to_signed(_cut(arrays["images"], index, corner, tile_px))
        target = _cut(arrays["targets"], index, corner, tile_px)
        image, target = dihedral(keys[1], image, target)
        image = photometric(keys[2], blotches(keys[3], image, strength=strength), **grey)
        return {"images": image[..., None], "targets": target.astype(jnp.float32) / 255.0}

    arrays = {"images": levels, "sizes": sizes, "targets": _stack(targets)[0]}
    return Resident(arrays, len(levels), make, (batch_size,))


def particles(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    good: Sequence[np.ndarray],
    judged: Sequence[np.ndarray],
    *,
    tile_px: tuple[int, int],
    batch_size: int,
    **grey: float,
) -> Resident:
    """Tiles of images with verdicts as `semjax.learners.classifier` takes them.

    Pixels of each judged particle that the tile's border does not cut weigh 1 together, others
    nothing.

    Args:
        images: (h, w) in [-1, 1], of any sizes.
        labels: int32 (h, w).
        good: bool by label, with the background first.
        judged: the same; False where nobody knows.
        tile_px: rows, columns.
        batch_size: tiles.
        grey: of `photometric`.
    """
    levels, sizes = _stack([_to_levels(image) for image in images])
    n_labels = max(len(verdict) for verdict in good)
    is_good, is_judged = (
        np.stack([np.pad(verdict, (0, n_labels - len(verdict))) for verdict in verdicts])
        for verdicts in (good, judged)
    )

    def make(arrays: dict[str, Array], index: Array, key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 3)
        corner = _corner(keys[0], arrays["sizes"][index], tile_px)
        cut = [_cut(arrays[x], index, corner, tile_px) for x in ("images", "labels")]
        image, tile = dihedral(keys[1], *cut)
        mask = flat_mask(tile, line_px=1) > 0  # as `semjax.analysis.split` draws lines
        image = photometric(keys[2], _to_signed(image), **grey)
        area = jnp.zeros(n_labels).at[tile].add(1.0)
        counts = (area > 0) & arrays["judged"][index]
        weight = jnp.where(counts, 1.0 / jnp.maximum(area, 1.0), 0.0).at[0].set(0.0)
        for line in (tile[0], tile[-1], tile[:, 0], tile[:, -1]):
            weight = weight.at[line].set(0.0)
        return {
            "images": jnp.stack([image, jnp.where(mask, 1.0, -1.0)], axis=-1),
            "targets": arrays["good"][index][tile][..., None].astype(jnp.float32),
            "where": weight[tile][..., None],
        }

    arrays = {
        "images": levels,
        "sizes": sizes,
        "labels": _stack([label.astype(np.int32) for label in labels])[0],
        "good": is_good,
        "judged": is_judged,
    }
    return Resident(arrays, len(levels), make, (batch_size,))


def dihedral(key: Array, *arrays: Array, rotate: bool = True) -> tuple[Array, ...]:
    """The same random flip and quarter turn of every array's first two axes.

    Args:
        key: of this sample.
        arrays: (h, w, ...); turned by 90 degrees only where h equals w.
        rotate: False flips only.
    """
    down, across, turn = jax.random.bernoulli(key, 0.5, (3,))
    turned = rotate and arrays[0].shape[0] == arrays[0].shape[1]
    out = []
    for array in arrays:
        array = jnp.where(down, array[::-1], array)
        array = jnp.where(across, array[:, ::-1], array)
        out.append(jnp.where(turn, array.swapaxes(0, 1), array) if turned else array)
    return tuple(out)


def blotches(key: Array, image: Array, *, strength: float) -> Array:
    """Smooth patches brighter and darker; see `semjax.data.augment`.

    Here one Gaussian, as wide as that one's two steps together, turns the grid into a field.
    """
    if strength == 0:
        return image
    keys = jax.random.split(key, 3)
    shortest, longest = BLOTCH_PX
    low, high = math.log(shortest), math.log(longest)
    cell = jnp.exp(jax.random.uniform(keys[0], minval=low, maxval=high))
    n_rows, n_cols = (int(n / shortest) + 3 for n in image.shape)
    width = math.sqrt(1 / 6 + 1 / 16)  # of linear interpolation, and of a quarter of a cell

    def spread(n_px: int, n: int) -> Array:
        """(n_px, n): what each point of the grid counts in each row or column."""
        apart = jnp.arange(n_px)[:, None] / cell - jnp.arange(n)[None]
        return jnp.exp(-0.5 * (apart / width) ** 2) / (width * math.sqrt(2 * math.pi))

    grid = jax.random.normal(keys[1], (n_rows, n_cols))
    field = spread(image.shape[0], n_rows) @ grid @ spread(image.shape[1], n_cols).T
    return (image + 1.0) * jnp.exp(jax.random.uniform(keys[2], maxval=strength) * field) - 1.0


def photometric(
    key: Array, image: Array, *, brightness: float, contrast: float, noise: float, blur_px: float
) -> Array:
    """Random blur, contrast about the mean, brightness and noise; see `semjax.data.augment`."""
    keys = jax.random.split(key, 5)
    sigma = jax.random.uniform(keys[0], minval=-blur_px, maxval=blur_px)
    # A narrower Gaussian changes nothing.
    image = jnp.where(sigma > 0.2, blur(image, jnp.maximum(sigma, 0.2), blur_px), image)
    mean = image.mean()
    image = (image - mean) * jnp.exp(contrast * jax.random.normal(keys[1])) + mean
    image = image + brightness * jax.random.normal(keys[2])
    sigma = jax.random.uniform(keys[3], maxval=noise)
    image = image + sigma * jax.random.normal(keys[4], image.shape)
    return jnp.clip(image, -1.0, 1.0)


def blur(image: Array, sigma: Array, largest: float) -> Array:
    """`scipy.ndimage.gaussian_filter` of an image (h, w) for a `sigma` of at most `largest` px."""
    radius = int(4.0 * largest + 0.5)
    offsets = jnp.arange(-radius, radius + 1)
    weights = jnp.exp(-0.5 * (offsets / sigma) ** 2)
    weights = jnp.where(jnp.abs(offsets) <= jnp.floor(4.0 * sigma + 0.5), weights, 0.0)
    weights = weights / weights.sum()
    h, w = image.shape
    image = jnp.pad(image, radius, mode="symmetric")
    shifts = range(2 * radius + 1)
    image = jnp.einsum("i,ihw", weights, jnp.stack([image[i : i + h] for i in shifts]))
    return jnp.einsum("i,ihw", weights, jnp.stack([image[:, i : i + w] for i in shifts]))


def _corner(key: Array, size: Array, tile_px: tuple[int, int]) -> Array:
    """The upper left corner of a random tile of an image of `size` (rows, columns)."""
    return jax.random.randint(key, (2,), 0, size - jnp.array(tile_px) + 1)


def _cut(stack: Array, index: Array, corner: Array, tile_px: tuple[int, int]) -> Array:
    """A tile of one of a stack's images."""
    rest = stack.shape[3:]
    start = (index, corner[0], corner[1], *(0 for _ in rest))
    return lax.dynamic_slice(stack, start, (1, *tile_px, *rest))[0]


def _stack(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (h, w, ...) in one, each in the upper left corner, and their sizes (n, 2)."""
    sizes = np.array([array.shape[:2] for array in arrays], np.int32)
    first = arrays[0]
    out = np.zeros((len(arrays), *sizes.max(axis=0), *first.shape[2:]), first.dtype)
    for array, (h, w), place in zip(arrays, sizes, out, strict=True):
        place[:h, :w] = array
    return out, sizes


def _to_levels(image: np.ndarray) -> np.ndarray:
    """[-1, 1] to grey levels 0..255."""
    return np.clip(np.rint((image + 1.0) * 127.5), 0, 255).astype(np.uint8)


def _to_signed(levels: Array) -> Array:
    """uint8 0..255 to float32 in [-1, 1]."""
    return levels.astype(jnp.float32) / 127.5 - 1.0
