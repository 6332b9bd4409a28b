"""Simulated micrograph: bodies piled into agglomerates, then seen by a scanning microscope.

The contrast follows the common account of secondary electrons: the yield rises as 1/cos(tilt) of
the surface up to a limit, edges glow, surfaces below their surroundings lose electrons to them,
and thin bodies let the edges beneath shine through.
Source: L. Reimer, Scanning Electron Microscopy, 2nd ed., Springer 1998, chapters 4 and 6.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from semjax.phantom.bodies import Body, Projection, draw_body, measure_silhouette, project

_MIN_VISIBLE = 0.2  # share of a particle that stays in sight when others land on it
_YIELD_CAP = 4.5


class Phantom(NamedTuple):
    """A simulated micrograph and its truth.

    image: uint8 (h, w). labels: int32 (h, w), 0 film, 1..n the particle seen at each pixel.
    table: one row a particle: label; row, col (centre of the whole projection, px);
        whole_area_px, visible_area_px (pixels, inside the picture), visible_fraction;
        touches_border; min_feret, max_feret, diameter (of the circle of equal area) and perimeter
        of the whole projection's smooth outline, each _px and _nm, and its area_nm2.
    """

    image: np.ndarray
    labels: np.ndarray
    table: pd.DataFrame


class _Pile(NamedTuple):
    """Canvas (with a margin around the picture) that particles are put down on, all (h, w).

    emission is the electron yield without shading, relative to a level particle.
    """

    height: np.ndarray
    labels: np.ndarray
    emission: np.ndarray


class _Placed(NamedTuple):
    row: int
    col: int
    body: Body
    inside: np.ndarray
    radius: float
    agglomerate: int


def simulate(
    seed,
    *,
    image_px: tuple[int, int] = (384, 384),
    pixel_size_nm: float = 7.5,
    foreground: float = 0.0,
    diameter_px: float = 31.0,
) -> Phantom:
    """Simulate one micrograph.

    Args:
        seed: anything that `numpy.random.default_rng` takes.
        image_px: rows and columns.
        pixel_size_nm: side of a pixel.
        foreground: share of the picture to cover with particles, at most 0.6 and as far as they
            find a place; 0 draws it from 0.03 to 0.27.
        diameter_px: median diameter of the particles.

    Raises:
        ValueError: a size is not positive or the foreground lies outside [0, 0.6].
    """
    if min(image_px) < 1 or pixel_size_nm <= 0 or diameter_px < 4 or not 0 <= foreground <= 0.6:
        raise ValueError(
            "expected a picture of at least 1 x 1 px, a positive pixel size, particles of at least "
            f"4 px and a foreground in [0, 0.6]; got image_px={image_px}, "
            f"pixel_size_nm={pixel_size_nm}, diameter_px={diameter_px}, foreground={foreground}"
        )
    rng = np.random.default_rng(seed)
    foreground = foreground or float(np.exp(rng.uniform(np.log(0.03), np.log(0.27))))
    margin = int(np.ceil(2 * diameter_px))
    pile, placed = _pile_up(rng, image_px, margin, foreground, diameter_px)
    inner = tuple(slice(margin, margin + n) for n in image_px)
    # Rendered with its margin, so that particles beyond the border cast their shadows too.
    image = _render(rng, pile, diameter_px)[inner]

    seen = np.bincount(pile.labels[inner].ravel(), minlength=len(placed) + 1)
    seen[0] = 0
    ids = np.flatnonzero(seen)
    new_label = np.zeros(seen.size, np.int32)
    new_label[ids] = np.arange(1, ids.size + 1)
    labels = new_label[pile.labels[inner]]
    table = _tabulate([placed[i - 1] for i in ids], seen[ids], margin, image_px, pixel_size_nm)
    return Phantom(image, labels, table)


def _pile_up(rng, image_px, margin, foreground, diameter_px) -> tuple[_Pile, list[_Placed]]:
    """Drop particles until they cover the wanted share of the picture."""
    shape = tuple(n + 2 * margin for n in image_px)
    inner = tuple(slice(margin, margin + n) for n in image_px)
    film_level = rng.uniform(0.16, 0.3)
    pile = _Pile(
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int32),
        np.full(shape, film_level, np.float32) * _draw_film(rng, shape, diameter_px),
    )
    placed: list[_Placed] = []
    visible: list[int] = []
    agglomerate, members_left = -1, 0
    mean_members = rng.uniform(4, 14)
    spread = rng.uniform(0.75, 1.0)  # distance of neighbours in sums of their radii
    loose = rng.uniform(0.1, 0.35)  # share of particles that begin an agglomerate of their own
    tone = 1.0
    wanted = foreground * np.prod(image_px)
    for _ in range(int(40 + 12 * np.prod(shape) / diameter_px**2)):
        if np.count_nonzero(pile.labels[inner]) >= wanted:
            break
        if members_left <= 0:
            agglomerate += 1
            members_left = 1 if rng.random() < loose else 1 + rng.poisson(mean_members)
            tone = rng.lognormal(0.0, 0.1)
        solid = draw_body(rng, diameter_px=diameter_px)
        body = project(solid)
        radius = float(np.sqrt(body.inside.sum() / np.pi))
        half = body.inside.shape[0] // 2
        mates = [p for p in placed if p.agglomerate == agglomerate]
        places = _propose_places(rng, mates, radius, spread, shape)
        places = places[((places >= half) & (places < np.array(shape) - half)).all(axis=1)]
        if not len(places):
            members_left -= 1
            continue
        patches = [_patch(place, half) for place in places]
        rests = [_find_rest(pile.height[patch], body) for patch in patches]
        # Particles roll off one another: of a few places the lowest is taken, mostly.
        best = int(np.argmin(rests)) if rng.random() < 0.7 else 0
        sinter = rng.uniform(0.0, 0.5) * radius
        rest = max(rests[best] - sinter, float(-body.lower.min()))
        brightness = tone * rng.lognormal(0.0, 0.12)
        if _put_down(
            rng, pile, placed, visible, patches[best], body, rest, brightness, diameter_px
        ):
            row, col = places[best]
            placed.append(_Placed(int(row), int(col), solid, body.inside, radius, agglomerate))
        members_left -= 1
    return pile, placed


def _propose_places(rng, mates, radius, spread, shape) -> np.ndarray:
    """(n, 2) centres beside an earlier particle, or one anywhere for a new agglomerate."""
    if not mates:
        return rng.integers(0, shape, (1, 2))
    # Late comers are favoured: chains and branches rather than round heaps.
    parent = mates[int(len(mates) * rng.beta(1.6, 1.0))]
    angle = rng.uniform(0, 2 * np.pi, 5)
    distance = (parent.radius + radius) * spread * rng.uniform(0.65, 1.1, 5)
    steps = distance[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return np.rint([parent.row, parent.col] + steps).astype(int)


def _patch(place, half) -> tuple[slice, slice]:
    row, col = place
    return slice(row - half, row + half + 1), slice(col - half, col + half + 1)


def _find_rest(ground: np.ndarray, body: Projection) -> float:
    """Height of a body's origin when it has fallen onto the ground (s, s)."""
    return float((ground - body.lower)[body.inside].max())


def _put_down(rng, pile, placed, visible, patch, body, rest, brightness, diameter_px) -> bool:
    """Put a body into the pile unless it buries another or stays hidden; says whether it did."""
    height, labels, emission = (canvas[patch] for canvas in pile)
    seen = body.inside & (rest + body.upper > height)
    n_seen = np.count_nonzero(seen)
    lost = np.bincount(labels[seen], minlength=len(placed) + 1)
    for i in np.flatnonzero(lost[1:]):
        if visible[i] - lost[i + 1] < _MIN_VISIBLE * np.count_nonzero(placed[i].inside):
            return False
    if n_seen < 2 * _MIN_VISIBLE * np.count_nonzero(body.inside):
        return False
    for i in np.flatnonzero(lost[1:]):
        visible[i] -= lost[i + 1]
    visible.append(int(n_seen))

    cos_tilt = np.maximum(body.normal[2], 1e-3)
    tilt_yield = 0.85 + 0.6 * (np.minimum(1 / cos_tilt, _YIELD_CAP) - 1)
    # The steep rim is thinner than a pixel; sampled at centres alone it would look like beads.
    weight = gaussian_filter(body.inside.astype(np.float32), 0.7) + 1e-6
    tilt_yield = gaussian_filter(tilt_yield * body.inside, 0.7) / weight
    # The detector stands on one side; whatever lies high is charged and seen by it better.
    side = 1 + 0.12 * (body.normal[0] * -0.6 + body.normal[1] * 0.8)
    raised = 1 + 0.3 * max(float(rest + body.lower[body.inside].min()), 0.0) / diameter_px
    grain = gaussian_filter(rng.normal(size=seen.shape), 1.0) * rng.uniform(0.0, 0.25)
    shine = 0.6 * np.exp(-(body.upper - body.lower) / (0.25 * diameter_px)) * emission
    new = brightness * min(raised, 1.5) * tilt_yield * side * (1 + grain) + shine
    height[seen] = (rest + body.upper)[seen]
    labels[seen] = len(placed) + 1
    emission[seen] = new[seen]
    return True


def _draw_film(rng, shape, diameter_px) -> np.ndarray:
    """Film (h, w) around 1: grain at two scales and faint curled ridges."""
    fine = _draw_field(rng, shape, 0.05 * diameter_px)
    coarse = _draw_field(rng, shape, 0.5 * diameter_px)
    # Ridges are zero lines of a smooth field, broken up by a second field.
    winding = _draw_field(rng, shape, 0.22 * diameter_px)
    slope = np.hypot(*np.gradient(winding)) + 1e-3
    present = np.clip(_draw_field(rng, shape, 0.35 * diameter_px), 0, 1.5)
    ridges = np.exp(-((winding / slope / 0.8) ** 2)) * present
    grain, patches, relief = rng.uniform([0.03, 0.04, 0.3], [0.09, 0.12, 1.1])
    return np.maximum(1 + grain * fine + patches * coarse + relief * ridges, 0.2)


def _draw_field(rng, shape, scale_px) -> np.ndarray:
    """Gaussian noise (h, w) blurred with a Gaussian, mean 0 and SD 1."""
    # Wide blurs are far cheaper in Fourier space.
    frequencies = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1]) ** 2
    blur = np.exp(-2 * (np.pi * scale_px) ** 2 * frequencies)
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * blur, shape)
    return ((field - field.mean()) / (field.std() + 1e-12)).astype(np.float32)


def _render(rng, pile, diameter_px) -> np.ndarray:
    """Micrograph uint8 (h, w) of a pile."""
    signal = pile.emission * _shade(pile.height, diameter_px)
    glow = gaussian_filter(np.maximum(signal - 1, 0), 0.08 * diameter_px)
    signal = signal + 0.25 * glow

    rows, cols = (np.linspace(-1, 1, n, dtype=np.float32) for n in signal.shape)
    tilt = rng.normal(0.0, 0.08, 2)
    charging = 1 + tilt[0] * rows[:, None] + tilt[1] * cols[None]
    charging = charging + 0.05 * _draw_field(rng, signal.shape, 3 * diameter_px)
    lines = gaussian_filter1d(rng.normal(size=signal.shape[0]), 0.7) * rng.uniform(0.005, 0.03)
    drift = gaussian_filter1d(rng.normal(size=signal.shape), 40, axis=1) * rng.uniform(0, 0.15)
    signal = signal * charging * (1 + lines[:, None] + drift)
    signal = gaussian_filter(signal, rng.uniform(0.6, 0.95))

    electrons = rng.uniform(90, 300)  # counted at a level particle, per pixel
    counted = rng.poisson(np.maximum(signal, 0) * electrons) / electrons
    gain, offset = rng.uniform(60, 85), rng.uniform(-3, 22)
    grey = offset + gain * counted + rng.normal(0.0, 1.0, signal.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _shade(height, diameter_px) -> np.ndarray:
    """Share of the electrons (h, w) in (0, 1] that escape from between higher neighbours."""
    shade = np.ones_like(height)
    for scale, strength in ((0.1, 2.5), (0.4, 1.2)):
        around = gaussian_filter(height, scale * diameter_px)
        shade *= np.exp(-strength * np.maximum(around - height, 0) / diameter_px)
    return shade


def _tabulate(particles, seen, margin, image_px, pixel_size_nm) -> pd.DataFrame:
    rows = []
    for label, (particle, visible) in enumerate(zip(particles, seen, strict=True), start=1):
        sizes = measure_silhouette(particle.body)
        whole = np.count_nonzero(particle.inside)
        half = particle.inside.shape[0] // 2
        where = np.argwhere(particle.inside) + [particle.row, particle.col] - half - margin
        first, last = where.min(axis=0), where.max(axis=0)
        rows.append(
            {
                "label": label,
                "row": float(where[:, 0].mean()),
                "col": float(where[:, 1].mean()),
                "whole_area_px": whole,
                "visible_area_px": int(visible),
                "visible_fraction": visible / whole,
                "touches_border": bool(
                    (first <= 0).any() or (last >= np.array(image_px) - 1).any()
                ),
                **{f"{name}_px": sizes[f"{name}_px"] for name in _SIZES},
                **{f"{name}_nm": sizes[f"{name}_px"] * pixel_size_nm for name in _SIZES},
                "area_nm2": sizes["area_px"] * pixel_size_nm**2,
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


_SIZES = ("min_feret", "max_feret", "diameter", "perimeter")
_COLUMNS = [
    "label",
    "row",
    "col",
    "whole_area_px",
    "visible_area_px",
    "visible_fraction",
    "touches_border",
    *(f"{name}_px" for name in _SIZES),
    *(f"{name}_nm" for name in _SIZES),
    "area_nm2",
]
