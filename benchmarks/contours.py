"""Bias of the lengths measured on pixels, on simulated particles that are seen whole.

    python benchmarks/contours.py [--markdown]

Run from the project's folder; takes a minute or two. By true diameter (of the circle of equal area)
in px: the mean error in px and the error of the mean, of Feret diameters on three contours, of the
equivalent circular diameter and of the perimeter. The truth are the bodies' smooth silhouettes.
"""

import sys

import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull

from semjax.analysis import regions
from semjax.phantom import simulate

SEEDS = 40
CLASSES = {
    "below 16": (0, 16),
    "16 to 24": (16, 24),
    "24 to 32": (24, 32),
    "32 and more": (32, np.inf),
    "all": (0, np.inf),
}
# What is measured, and the column of the truth.
ESTIMATORS = {
    "minimum Feret, inner contour": ("min_feret_px", "min_feret"),
    "minimum Feret, pixel corners": ("min_feret_corners_px", "min_feret"),
    "minimum Feret, pixel centres": ("min_feret_centres_px", "min_feret"),
    "maximum Feret, inner contour": ("max_feret_px", "max_feret"),
    "maximum Feret, pixel corners": ("max_feret_corners_px", "max_feret"),
    "maximum Feret, pixel centres": ("max_feret_centres_px", "max_feret"),
    "equivalent circular diameter": ("equivalent_circular_diameter_px", "diameter"),
    "perimeter": ("perimeter_px", "perimeter"),
}


def measure_centres(labels: np.ndarray, label: int) -> tuple[float, float]:
    """Minimum and maximum Feret diameter of the centres of a particle's pixels, in px."""
    hull = ConvexHull(np.argwhere(labels == label))
    outer = hull.points[hull.vertices]
    # A row of `equations` is the unit normal and the offset of an edge.
    widths = -(hull.equations[:, :2] @ outer.T + hull.equations[:, 2:]).min(axis=1)
    return widths.min(), np.linalg.norm(outer[:, None] - outer, axis=-1).max()


def measure_particles() -> pd.DataFrame:
    """What was measured beside the truth (its columns begin with `true_`), one row a particle."""
    tables = []
    for seed in range(SEEDS):
        phantom = simulate(seed, image_px=(384, 384), foreground=0.12)
        table = phantom.table.add_prefix("true_").join(regions.measure(phantom.labels))
        table = table[(table["true_visible_fraction"] == 1) & ~table["true_touches_border"]]
        centres = [measure_centres(phantom.labels, label) for label in table["label"]]
        table[["min_feret_centres_px", "max_feret_centres_px"]] = np.reshape(centres, (-1, 2))
        tables.append(table)
    return pd.concat(tables)


def tabulate(particles: pd.DataFrame) -> pd.DataFrame:
    """Errors in words, an estimator a row and a class of sizes a column."""
    rows = pd.DataFrame(index=pd.Index(ESTIMATORS, name="true diameter (px)"))
    for name, (low, high) in CLASSES.items():
        chosen = particles[particles["true_diameter_px"].between(low, high, inclusive="left")]
        errors = []
        for column, truth in ESTIMATORS.values():
            found, true = chosen[column].mean(), chosen[f"true_{truth}_px"].mean()
            errors.append(f"{found - true:+.2f} ({found / true - 1:+.1%})".replace("%", " %"))
        rows[f"{name} (n = {len(chosen)})"] = errors
    return rows


def to_markdown(rows: pd.DataFrame) -> str:
    """A table for a page in Markdown."""
    lines = [[rows.index.name, *rows.columns], ["---"] * (1 + rows.shape[1])]
    lines += rows.reset_index().to_numpy().tolist()
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    found = tabulate(measure_particles())
    print(to_markdown(found) if "--markdown" in sys.argv[1:] else found.to_string())
