"""Particles that touch in the image: which, how many, and how large they are together."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semjax.analysis import bands, feret

TOUCHING = (
    "Particles whose pixels share an edge or a corner in the image. An image does not tell "
    "agglomerates (loosely bound) from aggregates (fused) or particles that only lie together "
    "on the support."
)


def groups(labels: np.ndarray, *, pixel_size_nm: float | None = None) -> pd.DataFrame:
    """Finds groups of touching particles, single ones among them.

    Two particles touch where pixels of both are neighbours, also across a corner: what ImageJ's
    particle analyser, which joins pixels at corners, would count as one.

    Args:
        labels: (h, w), 0 background, 1..N; numbers without pixels are left out.
        pixel_size_nm: side of a pixel; without it, lengths stay in pixels.

    Returns:
        One row a group; `u` is nm or px:

        - `group`: 1, 2, ...;
        - `particles`: number of particles, 1 for one that touches no other;
        - `border`: the group touches the image's border, so its numbers are lower bounds;
        - `area_px`, and with a pixel size `area_nm2`: of all its pixels;
        - `max_feret_u`: of the whole group, on the same contour as that of particles.

    Raises:
        ValueError: for labels that are not two-dimensional or a pixel size that is not positive.
    """
    if labels.ndim != 2:
        raise ValueError(f"labels must be two-dimensional, got the shape {labels.shape}")
    if pixel_size_nm is not None and not (0 < pixel_size_nm < np.inf):
        raise ValueError(f"pixel_size_nm must be positive, or None if unknown, got {pixel_size_nm}")
    area = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    links_found = []
    for rows in bands.rows(labels):
        area += np.bincount(labels[rows].ravel(), minlength=area.size)
        links_found.append(_neighbours(labels[rows.start : rows.stop + 1]))
    area[0] = 0
    first, second = np.concatenate(links_found, axis=1)
    links = coo_array((np.ones(first.size), (first, second)), shape=(area.size, area.size))
    _, group = connected_components(links, directed=False)
    # Renumbered in the order of labels; the background and missing numbers become 0.
    present = area > 0
    _, start, inverse = np.unique(group[present], return_index=True, return_inverse=True)
    rank = np.empty(start.size, int)
    rank[np.argsort(start)] = np.arange(1, start.size + 1)
    number = np.zeros(area.size, np.int64)
    number[present] = rank[inverse]
    sides = [labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]
    edge = number[np.concatenate(sides)]
    area_px = np.bincount(number, area, minlength=start.size + 1)[1:].astype(np.int64)
    max_feret = np.full(start.size, np.nan)
    for _, groups_there, numbers in bands.whole(labels, number):
        max_feret[numbers - 1] = feret.measure(groups_there).max_feret
    u, scale = ("px", 1.0) if pixel_size_nm is None else ("nm", float(pixel_size_nm))
    columns = {
        "group": np.arange(1, start.size + 1),
        "particles": np.bincount(number[present], minlength=start.size + 1)[1:],
        "border": np.isin(np.arange(1, start.size + 1), edge),
        "area_px": area_px,
    }
    if pixel_size_nm is not None:
        columns["area_nm2"] = area_px * scale**2
    columns[f"max_feret_{u}"] = scale * max_feret
    return pd.DataFrame(columns)


def _neighbours(labels: np.ndarray) -> np.ndarray:
    """Pairs of different labels (2, n) whose pixels share an edge or a corner, each once."""
    padded = np.pad(labels, ((0, 1), (1, 1))).astype(np.int64)
    here = padded[:-1, 1:-1]
    around = (padded[:-1, 2:], padded[1:, 1:-1], padded[1:, 2:], padded[1:, :-2])
    pairs = [
        np.stack([here, there])[:, (here > 0) & (there > 0) & (here != there)] for there in around
    ]
    return np.unique(np.concatenate(pairs, axis=1), axis=1)


def describe(table: pd.DataFrame | None, *, unit: str) -> dict[str, Any]:
    """Summarizes the groups of all images; those of two or more particles are agglomerates.

    Args:
        table: rows of `groups` of all images; None if nobody looked.
        unit: nm or px.

    Returns:
        See `summary.describe`, `agglomerates`.
    """
    names = ("particles", "groups", "share_in_groups", "members", "members_mean", "members_max")
    sizes = (f"max_feret_{unit}", "area_nm2" if unit == "nm" else "area_px")
    empty: dict[str, Any] = dict.fromkeys([*names, "max_feret", "area", "at_border"])
    if table is None:
        return empty | {"definition": TOUCHING, "note": "Touching particles were not counted."}
    if not len(table):
        return empty | {
            "definition": TOUCHING,
            "note": "No particles.",
            "particles": 0,
            "groups": 0,
        }
    touching = table[table["particles"] > 1]
    members = touching["particles"].to_numpy()
    counted = touching["particles"].value_counts().sort_index()
    result: dict[str, Any] = {
        "particles": int(table["particles"].sum()),
        "groups": len(touching),
        "share_in_groups": float(members.sum() / table["particles"].sum()),
        "members": {str(k): int(n) for k, n in counted.items()},
        "members_mean": float(members.mean()) if members.size else None,
        "members_max": int(members.max()) if members.size else None,
        "at_border": int(touching["border"].sum()),
        "definition": TOUCHING,
        "note": None,
    }
    for name, column in zip(("max_feret", "area"), sizes, strict=True):
        values = touching[column].to_numpy(float)
        d10, d50, d90 = np.percentile(values, (10, 50, 90)) if values.size else (None,) * 3
        mean, top = (values.mean(), values.max()) if values.size else (None, None)
        result[name] = {"mean": mean, "d10": d10, "d50": d50, "d90": d90, "max": top}
    if len(touching) == 0:
        result["note"] = "No particles touch."
    return result
