"""Bias of the mean size by particles that the image border cuts, and what weights do against it.

    python benchmarks/border.py

Run from the project's folder; takes a minute. Simulated frames of 128 and of 192 px, four to eight
particle diameters wide. The truth is the mean minimum Feret diameter of all bodies whose centre
lies in the frame, whole or not, hidden in part or not.
"""

import numpy as np
import pandas as pd

from semjax.analysis import regions
from semjax.phantom import simulate

FRAMES = {128: 60, 192: 40}  # side in px: how many


def measure(side: int, n: int) -> tuple[float, float]:
    """Relative errors of the mean: cut particles dropped, and the others weighted."""
    tables = []
    for seed in range(n):
        phantom = simulate(seed, image_px=(side, side), foreground=0.12)
        tables.append(phantom.table.assign(weight=regions.border_weights(phantom.labels)))
    bodies = pd.concat(tables)
    centred = bodies["row"].between(-0.5, side - 0.5) & bodies["col"].between(-0.5, side - 0.5)
    true = bodies[centred]["min_feret_px"].mean()
    kept = bodies[bodies["weight"] > 0]
    weighted = np.average(kept["min_feret_px"], weights=kept["weight"])
    return kept["min_feret_px"].mean() / true - 1, weighted / true - 1


def main() -> None:
    """Prints the errors for every size of frame."""
    for side, n in FRAMES.items():
        dropped, weighted = measure(side, n)
        print(f"{n} frames of {side} px: dropped {dropped:+.1%}, weighted {weighted:+.1%}")


if __name__ == "__main__":
    main()
