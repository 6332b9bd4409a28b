"""Bias of the contours for lengths, on simulated particles that are seen whole.

Run from the project's folder: `python benchmarks/contours.py`. Prints, by true diameter in px, the
mean error in px and the error of the mean, as in the docstring of `semjax.analysis.feret.measure`.
"""

import pandas as pd

from semjax.analysis import feret
from semjax.phantom import simulate

SEEDS = 40
BOUNDS = ((0, 16), (16, 24), (24, 32), (32, 1000), (0, 1000))


def measure_particles() -> pd.DataFrame:
    """True sizes beside those of both contours, one row a particle."""
    tables = []
    for seed in range(SEEDS):
        phantom = simulate(seed, image_px=(384, 384), foreground=0.12)
        table = phantom.table
        for contour in feret.CONTOURS:
            found = feret.measure(phantom.labels, contour=contour)
            table[f"min_feret, {contour}"] = found.min_feret
            table[f"max_feret, {contour}"] = found.max_feret
        tables.append(table[(table["visible_fraction"] == 1) & ~table["touches_border"]])
    return pd.concat(tables)


if __name__ == "__main__":
    particles = measure_particles()
    for low, high in BOUNDS:
        chosen = particles[particles["diameter_px"].between(low, high, inclusive="left")]
        line = [f"{low:4d} to {high:4d} px, n = {len(chosen):3d}"]
        for name in ("min_feret", "max_feret"):
            for contour in feret.CONTOURS:
                found, true = chosen[f"{name}, {contour}"].mean(), chosen[f"{name}_px"].mean()
                line.append(f"{name}, {contour}: {found - true:+.2f} ({found / true - 1:+.1%})")
        print("   ".join(line))
