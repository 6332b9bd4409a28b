"""Convex bodies, facetted or rounded, and what is seen of them from above.

A body is the set of points p with

    g(p) = (sum_i max(0, a_i . p)^k)^(1/k) <= 1,

a polyhedron of half-spaces a_i . p <= 1 whose edges are the rounder the smaller the exponent k.
With the six planes of a box, k = 2 is an ellipsoid and k = 4 a superellipsoid. g is convex, so the
surface above each point of the ground is found by a few Newton steps for all pixels at once.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull

_NEWTON_STEPS = 12


class Body(NamedTuple):
    """A convex body around the origin.

    planes: (k, 3) normals (row, column, height) divided by their distance, 1/px.
    exponent: power of two from 2 (round) upwards (facetted).
    """

    planes: np.ndarray
    exponent: int


class Projection(NamedTuple):
    """A body seen from above on a square patch, heights relative to its origin, in pixels.

    inside: bool (s, s), the silhouette. upper, lower: float32 (s, s), 0 outside.
    normal: float32 (3, s, s), unit normal of the upper surface (row, column, height).
    """

    inside: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    normal: np.ndarray


def make_ellipsoid(semi_axes_px: tuple[float, float, float]) -> Body:
    """Ellipsoid with axes along row, column and height."""
    inverse = np.diag(1.0 / np.asarray(semi_axes_px, np.float64))
    return Body(np.concatenate([inverse, -inverse]), 2)


def draw_body(rng: np.random.Generator, *, diameter_px: float = 31.0, sigma: float = 0.3) -> Body:
    """Draw a body of the population.

    The diameter of the sphere of equal volume is log-normal around `diameter_px`; one body in seven
    is a fragment of about half that size. No body is longer than 1.9 times `diameter_px`.

    Args:
        diameter_px: median diameter in pixels.
        sigma: standard deviation of the diameter's logarithm.
    """
    planes, exponent = _draw_planes(rng)
    radii = 1.0 / np.maximum(_gauge(planes, exponent, _spread_directions(400)), 1e-6)
    while radii.max() > 2.2 * radii.min():  # a needle, a flake, or even open on a side
        planes, exponent = _draw_planes(rng)
        radii = 1.0 / np.maximum(_gauge(planes, exponent, _spread_directions(400)), 1e-6)
    radius = 0.5 * diameter_px * rng.lognormal(0.0, sigma)
    if rng.random() < 1 / 7:
        radius *= rng.uniform(0.4, 0.65)
    scale = min(radius / np.mean(radii**3) ** (1 / 3), 0.93 * diameter_px / radii.max())
    return Body(planes / scale, exponent)


def project(body: Body) -> Projection:
    """Heights and normals of a body over a patch of odd side with its origin in the middle."""
    planes = body.planes.astype(np.float32)
    # A sampled radius may miss a corner by a little; the start of Newton's method must not.
    bound = 1.15 / _gauge(planes, body.exponent, _spread_directions(400)).min()
    half = int(np.ceil(bound))
    rows, cols = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    inside = rows**2 + cols**2 < bound**2
    ground = np.stack([rows[inside], cols[inside]])

    above = _solve_height(planes, body.exponent, ground, bound)
    inside[inside] = ~np.isnan(above)
    ground = ground[:, ~np.isnan(above)]
    above = above[~np.isnan(above)]
    # The lower surface is the upper one of the body turned upside down.
    below = -_solve_height(planes * np.float32([1, 1, -1]), body.exponent, ground, bound)
    below = np.where(np.isnan(below), above, below)

    slopes = np.maximum(planes @ np.vstack([ground, above]), 0) ** (body.exponent - 1)
    gradient = planes.T @ slopes
    gradient /= np.linalg.norm(gradient, axis=0)
    upper, lower = np.zeros_like(rows), np.zeros_like(rows)
    normal = np.zeros((3, *rows.shape), np.float32)
    upper[inside], lower[inside], normal[:, inside] = above, below, gradient
    return Projection(inside, upper, lower, normal)


def silhouette(body: Body) -> np.ndarray:
    """(v, 2) corners of a body's silhouette, row and column in pixels around the origin, in order.

    The shadow of a convex body is the convex hull of the shadows of its surface's points. Those in
    20 000 directions give lengths to a few thousandths of a pixel.
    """
    directions = _spread_directions(20_000)
    surface = directions / _gauge(body.planes, body.exponent, directions)[:, None]
    return surface[ConvexHull(surface[:, :2]).vertices, :2]


def measure_silhouette(body: Body) -> dict[str, float]:
    """Sizes of a body's silhouette in pixels, of its smooth outline: no pixel takes part.

    Returns:
        area_px, diameter_px (of the circle of equal area), min_feret_px, max_feret_px,
        perimeter_px.
    """
    hull = silhouette(body)
    following = np.roll(hull, -1, axis=0)
    edges = following - hull
    lengths = np.linalg.norm(edges, axis=1)
    across = np.stack([-edges[:, 1], edges[:, 0]], 1) / lengths[:, None]
    # The narrowest caliper lies flat on an edge of the hull.
    widths = np.ptp(hull @ across.T, axis=0)
    spans = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    area = float(np.abs(hull[:, 0] * following[:, 1] - hull[:, 1] * following[:, 0]).sum() / 2)
    return {
        "area_px": area,
        "diameter_px": float(np.sqrt(4 * area / np.pi)),
        "min_feret_px": float(widths.min()),
        "max_feret_px": float(spans.max()),
        "perimeter_px": float(lengths.sum()),
    }


def draw_outline(
    rng: np.random.Generator, *, side_px: int, diameter_px: float = 31.0
) -> np.ndarray:
    """Draw the outline of one whole particle as a person would: its silhouette, smoothed a little.

    Returns:
        uint8 (side_px, side_px), 0 or 255, the particle centred.
    """
    inside = project(draw_body(rng, diameter_px=diameter_px)).inside
    hand_drawn = gaussian_filter(np.pad(inside, 4).astype(np.float32), 1.0) > 0.5
    rows, cols = np.nonzero(hand_drawn)
    particle = hand_drawn[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    height, width = particle.shape
    if max(height, width) > side_px:
        raise ValueError(
            f"an outline is {height} x {width} px, larger than the picture's side of {side_px} px; "
            "draw it in a larger picture or from smaller particles"
        )
    top, left = (side_px - height) // 2, (side_px - width) // 2
    outline = np.zeros((side_px, side_px), np.uint8)
    outline[top : top + height, left : left + width] = particle * np.uint8(255)
    return outline


def _draw_planes(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    n_planes = int(rng.integers(11, 26))
    normals = _spread_directions(n_planes) + rng.normal(0.0, 0.18, (n_planes, 3))
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    planes = normals / rng.uniform(0.85, 1.15, (n_planes, 1))
    # Stretched first and turned afterwards: long bodies lie rather than stand.
    stretch = np.array([rng.uniform(0.95, 1.75), 1.0, rng.uniform(0.8, 1.05)])
    planes = planes / stretch @ _draw_rotation(rng).T
    return planes, int(rng.choice([4, 8, 16], p=[0.3, 0.45, 0.25]))


def _solve_height(planes, exponent, ground, bound) -> np.ndarray:
    """Upper surface (n,) over the points ground (2, n); NaN where the body is not met."""
    base = planes[:, :2] @ ground
    rise = planes[:, 2:]
    height = np.full(ground.shape[1], bound, np.float32)
    result = np.full_like(height, np.nan)
    left = np.arange(height.size)
    excess = np.ones_like(height)
    for _ in range(_NEWTON_STEPS):
        reach = np.maximum(base + rise * height, 0)
        slopes = reach.copy()
        square = reach
        for _ in range(exponent.bit_length() - 2):
            square = square * square
            slopes *= square
        gauge = np.einsum("kn,kn->n", slopes, reach) ** (1 / exponent)
        slope = (rise.T @ slopes)[0] / gauge ** (exponent - 1)
        excess = gauge - 1
        # From above, a convex function falls; where it rises again without a root there is none.
        keep = (slope > 1e-6) | (excess <= 1e-4)
        left, height, base = left[keep], height[keep], base[:, keep]
        excess, slope = excess[keep], slope[keep]
        step = np.where(excess > 1e-6, excess / np.maximum(slope, 1e-6), 0)
        height = np.maximum(height - step, -bound)
    found = excess < 2e-3
    result[left[found]] = height[found]
    return result


def _gauge(planes, exponent, points) -> np.ndarray:
    return (np.maximum(points @ planes.T, 0) ** exponent).sum(axis=1) ** (1 / exponent)


def _spread_directions(n: int) -> np.ndarray:
    """(n, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    height = 1 - (2 * np.arange(n) + 1) / n
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """(3, 3) a random turn about the vertical after a tilt of some 20 degrees."""
    turn, tilt = rng.uniform(0, 2 * np.pi), rng.normal(0.0, 0.35)
    c, s = np.cos(turn), np.sin(turn)
    about_vertical = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(tilt), np.sin(tilt)
    about_column = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return about_vertical @ about_column
