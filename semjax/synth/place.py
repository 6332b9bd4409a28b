"""Placing of particles: label images with known overlaps from a bank of single outlines.

Particles are drawn one after another, each on top of those before. What is drawn is the signed
distance to an outline's border, turned and resized by bilinear sampling: above zero is the
particle, and its square root is the particle's dome.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semjax import devices
from semjax.synth.outlines import signed_distances
from semjax.synth.packing import CELL_PX, LIMIT, Bank, Plan, Rules, place_batch

BATCH = 16  # masks a compiled call on every device, one after the other
TOGETHER = 128  # on an accelerator, all at once
STAMPS = (0.25, 0.4, 0.6, 1.0)  # sizes of stamps beside the largest particle's


class Assembled(NamedTuple):
    """Masks and what is known of their particles; particle k has the label k + 1.

    Labels run without gaps from 1 to `n_placed` in drawing order: of two particles that overlap,
    the one with the higher label lies on top. Tables are as wide as the fullest mask, and zero
    beyond a mask's `n_placed`.
    """

    labels: np.ndarray  # int32 (n, h, w), 0 is background
    domes: np.ndarray  # uint8 (n, h, w), 255 in the middle of a particle, 0 on the background
    n_placed: np.ndarray  # int32 (n,), particles of each mask
    whole_area_px: np.ndarray  # int32 (n, most), with what is covered or beyond the tile
    visible_area_px: np.ndarray  # int32 (n, most), pixels of the label
    row: np.ndarray  # float32 (n, most), centre of the whole outline, in pixels of the tile
    col: np.ndarray  # float32 (n, most); centres may lie beyond the tile
    foreground: np.ndarray  # float32 (n,), the fraction reached


def assemble(
    bank: np.ndarray,
    *,
    key: jax.Array,
    tile_px: tuple[int, int],
    n_masks: int,
    foreground: np.ndarray | None = None,
    n_particles: tuple[int, int] = (100, 149),
    placement: str = "perlin",
    noise_frequency: float = 4.0,
    noise_octaves: int = 1,
    noise_threshold: float = 0.5,
    size: str = "lognormal",
    size_sigma: float = 0.2,
    size_range: tuple[float, float] = (0.4, 1.8),
    rotation: str = "random",
    grid: str = "none",
    grid_spacing: float = 0.6,
    grid_jitter: float = 0.1,
    max_overlap: float = 0.5,
    min_visible: float = 0.33,
) -> Assembled:
    """Assemble masks of many particles from outlines of single ones.

    Centres are drawn over the tile and a margin around it, so that particles are cut by the tile's
    border as in a crop of a larger image. A candidate is turned down if too much of it would lie
    on others, or if too little of another would be left to be seen; it then leaves no trace.

    With `foreground`, a mask is complete once no further particle brings it closer to its target.
    Noise patches that are too small for a target are widened by lowering the threshold of that
    mask. Without, it is complete with its number of particles, those outside the tile not counted.
    Either may fall short where the rules leave no room, or at the end of a grid's points.

    A particle of which nothing is seen in the tile has no label and is not listed.
    Every pixel belongs to the uppermost particle: there is no gap between touching labels, and a
    covered particle may remain as specks or in several pieces, which keep their common label.

    Args:
      bank: uint8 (k, s, s), outlines; each is turned and resized about its centroid.
      key: random key. Mask i depends on the key and on i only, not on `n_masks`.
      tile_px: rows, columns of a mask.
      n_masks: number of masks.
      foreground: (n_masks,) fractions of the tile to be covered.
      n_particles: least and largest number of particles; used without `foreground`.
      placement: "perlin", centres where gradient noise is above a threshold, or "uniform".
      noise_frequency: noise cells across the tile's longer side.
      noise_octaves: octaves of the noise.
      noise_threshold: on the noise stretched to [0, 1] within the tile.
      size: distribution of the factor on an outline's size: "lognormal" (median 1), "normal"
        (mean 1, cut at 3 sigma), "uniform" over `size_range`, or "none".
      size_sigma: of the factor's logarithm (lognormal) or of the factor (normal).
      size_range: bounds of the factor; the distribution is cut there.
      rotation: "random", "none", or "correlated" (the angle follows a noise field).
      grid: "none", "hexagonal" or "cubic": centres on a jittered grid, drawn in random order.
      grid_spacing: distance of grid points, in sides of an outline's square.
      grid_jitter: largest shift along each axis, in sides of an outline's square.
      max_overlap: largest share of a new particle that may lie on others, 1 allows all.
      min_visible: least share of a particle that must stay uncovered.

    Returns:
      The masks, on the host.

    Raises:
      ValueError: an unknown choice, an empty bank, or a value out of range.
    """
    _check(placement=placement, size=size, rotation=rotation, grid=grid)
    bank = np.asarray(bank)
    if bank.ndim != 3 or not len(bank) or not (bank > 0).any((1, 2)).all():
        raise ValueError(
            f"Masks are assembled from outlines (n, s, s) that each hold a particle; got an array "
            f"of shape {bank.shape}" + (" with empty outlines." if bank.size else ".")
        )
    if foreground is not None:
        foreground = np.asarray(foreground, np.float32)
        if foreground.shape != (n_masks,) or foreground.min() < 0 or foreground.max() > 1:
            raise ValueError(
                f"The foreground is a fraction between 0 and 1 for each of the {n_masks} masks; "
                f"got shape {foreground.shape}, values {foreground.min()} to {foreground.max()}."
            )
    least, most = size_range
    if size in ("lognormal", "normal") and not 0 < least <= 1 <= most:
        raise ValueError(f"The bounds of the size factor must enclose 1, not {size_range}.")
    if size == "uniform" and not 0 < least <= most:
        raise ValueError(f"The size factor is positive and rises, unlike {size_range}.")
    if not 0 <= noise_threshold < 1:
        raise ValueError(f"The noise threshold lies in [0, 1), not at {noise_threshold}.")
    if size in ("lognormal", "normal") and size_sigma <= 0:
        size = "none"

    if n_masks < 1:
        raise ValueError(f"At least one mask must be asked for, not {n_masks}.")

    side_px = bank.shape[-1]
    fields, centroids, radii, areas = _measure(bank)
    # The largest factor and the mean of its square.
    largest, square = {
        "none": (1.0, 1.0),
        "uniform": (most, (least**2 + least * most + most**2) / 3),
        "normal": (min(most, 1 + 3 * size_sigma), 1 + size_sigma**2),
        "lognormal": (min(most, np.exp(LIMIT * size_sigma)), np.exp(2 * size_sigma**2)),
    }[size]
    margin_px = CELL_PX * int(np.ceil(radii.max() * square**0.5 / CELL_PX))
    region = np.prod([n + 2 * margin_px for n in tile_px])
    if foreground is None:
        slots = 1.2 * n_particles[1] * region / np.prod(tile_px)
    else:
        slots = 2.5 * region / (areas.mean() * square)  # enough to cover everything
    slots = 64 * (int(slots) // 64 + 1)  # few different shapes, few compilations
    half_px = int(np.ceil(radii.max() * largest)) + 1
    plan = Plan(
        tile_px=tuple(tile_px),
        margin_px=margin_px,
        halves_px=tuple(int(np.ceil(share * half_px)) for share in STAMPS),
        n_candidates=4 * slots,
        slots=slots,
        by_count=foreground is None,
        placement=placement,
        noise_frequency=float(noise_frequency),
        noise_octaves=int(noise_octaves),
        size=size,
        rotation=rotation,
        grid=grid,
        spacing_px=float(grid_spacing * side_px),
    )
    rules = Rules(
        n_particles=tuple(n_particles),
        noise_threshold=float(noise_threshold),
        size_sigma=float(size_sigma),
        size_range=tuple(map(float, size_range)),
        jitter_px=float(grid_jitter * side_px),
        max_overlap=float(max_overlap),
        min_visible=float(min_visible),
    )
    mesh = devices.local_mesh()
    together = _makes_together()
    n_call = (TOGETHER if together else BATCH) * mesh.size
    # Every call has the same shapes: the last one is filled up with masks that are dropped.
    index = np.arange(-(-n_masks // n_call) * n_call)
    targets = np.zeros(len(index), np.float32)
    if foreground is not None:
        targets[:n_masks] = foreground
    made = Bank(fields, centroids, radii.astype(np.float32))
    bank = jax.device_put(made, devices.replicated(mesh))

    def place(start: int) -> dict[str, np.ndarray]:
        part = slice(start, start + n_call)
        placed = place_batch(key, index[part], targets[part], bank, rules, plan, mesh, together)
        return jax.device_get(placed)

    parts = [place(0)]  # compiled here, once for all threads
    # A loop over single particles keeps one core busy: several cores work on several batches.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts += pool.map(place, range(n_call, len(index), n_call))
    whole = {k: np.concatenate([p[k] for p in parts])[:n_masks] for k in Assembled._fields}
    for name in ("whole_area_px", "visible_area_px", "row", "col"):
        whole[name] = whole[name][:, : whole["n_placed"].max()]
    return Assembled(**whole)


def _makes_together() -> bool:
    return jax.default_backend() != "cpu"


def _measure(outlines: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distance fields (1 in the middle), centroids, largest radii and areas of outlines."""
    fields = signed_distances(outlines)
    inside = fields > 0
    areas = inside.sum((1, 2))
    rows, cols = np.indices(inside.shape[1:], dtype=np.float32)
    centroids = np.stack([(inside * x).sum((1, 2)) / areas for x in (rows, cols)], axis=1)
    distance = np.hypot(rows - centroids[:, 0, None, None], cols - centroids[:, 1, None, None])
    radii = (distance * inside).max((1, 2)) + 0.5
    fields /= fields.max((1, 2), keepdims=True)
    return fields, centroids.astype(np.float32), radii, areas


def _check(**chosen: str) -> None:
    """Raise ValueError for a choice that does not exist."""
    known = {
        "placement": ("perlin", "uniform"),
        "size": ("lognormal", "normal", "uniform", "none"),
        "rotation": ("random", "none", "correlated"),
        "grid": ("none", "hexagonal", "cubic"),
    }
    for name, value in chosen.items():
        if value not in known[name]:
            raise ValueError(f"{name} is one of {', '.join(known[name])}; got {value!r}.")


@partial(jax.jit, static_argnames="line_px")
def flat_mask(labels: jax.Array, *, line_px: int) -> jax.Array:
    """Flatten labels to a mask in which lines keep touching particles apart.

    A pixel turns to background if another particle lies within half a line's width to its left or
    above, or within the other half to its right or below. For every width from 1, a 4-connected
    component then holds pixels of one particle only. Remnants as thin as the line vanish.

    Args:
      labels: int32 (..., h, w).
      line_px: width of the lines; 0 draws none.

    Returns:
      uint8 0/1 (..., h, w).
    """
    before, after = line_px // 2, -(-line_px // 2)
    line = jnp.zeros(labels.shape, bool)
    for axis in (-2, -1):
        size = labels.shape[axis]
        pad = [(0, 0)] * labels.ndim
        pad[axis] = (before, after)
        padded = jnp.pad(labels, pad)
        for start in range(before + after + 1):
            other = jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            line |= (other > 0) & (other != labels)
    return ((labels > 0) & ~line).astype(jnp.uint8)
