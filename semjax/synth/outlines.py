"""Outlines of single particles: cleaned, varied, invented, and turned into distances."""

import numpy as np
from scipy import ndimage

# The four neighbours within a picture of a stack.
IN_PLANE = np.zeros((3, 3, 3), bool)
IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)


def clean(outlines: np.ndarray, *, opening_px: int, threshold: float = 0.0) -> np.ndarray:
    """Turn drawn outlines into proper ones: one particle each, without holes and ragged edges.

    Pictures in which nothing is left are dropped. A particle that touches its picture's frame
    stays: given outlines may fill their square, and what is learned from them may as well.

    Args:
      outlines: (n, s, s), particles above the threshold.
      opening_px: side of the square of a morphological opening; 0 or 1 leaves edges as drawn.
      threshold: 0 suits values in [-1, 1], 0.5 values in [0, 1].

    Returns:
      uint8 0/1 (m, s, s) with m <= n, in the given order.
    """
    filled = ndimage.binary_fill_holes(outlines > threshold, IN_PLANE)
    if opening_px > 1:
        # The frame is padded away, so that particles at the frame are opened like all others.
        pad = ((0, 0), (opening_px, opening_px), (opening_px, opening_px))
        opened = ndimage.binary_opening(
            np.pad(filled, pad, mode="edge"), np.ones((1, opening_px, opening_px), bool)
        )
        filled = opened[:, opening_px:-opening_px, opening_px:-opening_px]
    parts, _ = ndimage.label(filled, IN_PLANE)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    flat = parts.reshape(len(parts), -1)
    largest = np.take_along_axis(flat, sizes[flat].argmax(1)[:, None], 1)[:, 0]
    return (parts == largest[:, None, None])[largest > 0].astype(np.uint8)


def transformed(outlines: np.ndarray, n: int, *, seed: int, rotate: bool = True) -> np.ndarray:
    """Draw outlines in random mirror images and, with `rotate`, quarter turns.

    Every outline is used equally often, or once more than others.

    Args:
      outlines: uint8 (k, s, s).
      n: number to draw.
      seed: of the random numbers.
      rotate: whether to turn beside flipping.

    Returns:
      uint8 (n, s, s).
    """
    rng = np.random.default_rng(seed)
    drawn = outlines[rng.permutation(np.arange(n) % len(outlines))]
    turns = [lambda x: x[:, ::-1], lambda x: x[:, :, ::-1]]
    if rotate:
        turns.append(lambda x: x.swapaxes(1, 2))
    for turn in turns:
        drawn = np.where(rng.random(n)[:, None, None] < 0.5, turn(drawn), drawn)
    return drawn


def random_polygons(
    n: int,
    *,
    seed: int,
    outline_px: int,
    areas: np.ndarray,
    n_vertices: tuple[int, int] = (8, 16),
    vertex_noise: float = 0.15,
) -> np.ndarray:
    """Invent outlines: polygons whose vertices lie around a circle, with noisy radii and angles.

    Args:
      n: number of outlines.
      seed: of the random numbers.
      outline_px: side of the square picture.
      areas: areas to draw from, in pixels; those of the user's own outlines.
      n_vertices: least and largest number of vertices, both included.
      vertex_noise: standard deviation of the radii relative to their mean.

    Returns:
      uint8 0/1 (n, outline_px, outline_px), centred. A polygon too large for the square is
      shrunk to fit, and one too small to cover a pixel shows the middle one.

    Raises:
      ValueError: fewer than three vertices.
    """
    low, high = n_vertices
    if not 3 <= low <= high:
        raise ValueError(f"A polygon has at least three vertices; the range was {n_vertices}.")
    rng = np.random.default_rng(seed)
    count = rng.integers(low, high + 1, n)[:, None]
    # Polygons with fewer vertices repeat their first one: edges of no length.
    vertex = np.arange(high) * (np.arange(high) < count)
    radius = np.clip(1 + vertex_noise * rng.standard_normal((n, high)), 0.1, None)
    angle = 2 * np.pi * (vertex + rng.uniform(-0.3, 0.3, (n, high))) / count
    radius, angle = (np.take_along_axis(v, vertex, 1) for v in (radius, angle))
    y, x = radius * np.sin(angle), radius * np.cos(angle)

    area = 0.5 * (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)
    scale = np.sqrt(rng.choice(areas, n) / area)
    scale = np.minimum(scale, (outline_px / 2 - 1) / radius.max(1))[:, None]
    y, x = ((v * scale).astype(np.float32)[:, :, None, None] for v in (y, x))

    # A pixel is inside if a ray to its right crosses an odd number of edges.
    middle = (outline_px - 1) / 2
    grid = np.arange(outline_px, dtype=np.float32) - middle
    row, col = grid[None, :, None], grid[None, None, :]
    inside = np.zeros((n, outline_px, outline_px), bool)
    for i in range(high):
        j = (i + 1) % high
        crosses = (y[:, i] > row) != (y[:, j] > row)
        rise = y[:, j] - y[:, i]
        at = x[:, i] + (row - y[:, i]) * (x[:, j] - x[:, i]) / np.where(rise == 0, 1, rise)
        inside ^= crosses & (col < at)
    inside[:, outline_px // 2, outline_px // 2] |= ~inside.any((1, 2))
    return inside.astype(np.uint8)


def signed_distances(outlines: np.ndarray) -> np.ndarray:
    """Measure the distance of each pixel to its picture's particle's border.

    Args:
      outlines: uint8 (n, s, s), none of them empty.

    Returns:
      float32 (n, s + 4, s + 4), in pixels, positive within the particle; zero lies halfway
      between the outermost pixels of the particle and those around it. The frame of two pixels
      added on each side is outside of every particle.
    """
    inside = np.pad(outlines > 0, ((0, 0), (2, 2), (2, 2)))
    # One by one: SciPy's transform of a whole stack, with pictures far apart, takes 7 times longer.
    transform = ndimage.distance_transform_edt
    distances = [np.where(m, transform(m) - 0.5, 0.5 - transform(~m)) for m in inside]
    return np.stack(distances).astype(np.float32)


def domes(outlines: np.ndarray) -> np.ndarray:
    """Raise a dome over each particle: the root of its normalised distance to the border.

    Args:
      outlines: uint8 (n, s, s), none of them empty.

    Returns:
      float32 (n, s, s), 0 outside, 1 where the particle is deepest.
    """
    depth = np.clip(signed_distances(outlines)[:, 2:-2, 2:-2], 0, None)
    return np.sqrt(depth / depth.max((1, 2), keepdims=True))
