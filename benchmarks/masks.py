"""Time the assembly of masks: `python benchmarks/masks.py [n_masks]`.

Prints milliseconds a mask for two sizes of tile and three densities, the compilation apart.
"""

import sys
import time

import jax
import numpy as np

from semjax.synth.outlines import random_polygons
from semjax.synth.place import BATCH, assemble


def main(n_masks: int = 1000) -> None:
    """Assemble masks of random polygons about as large as the paper's particles."""
    areas = np.random.default_rng(0).uniform(350, 1700, 200)
    bank = random_polygons(2000, seed=0, outline_px=64, areas=areas)
    print(f"{jax.default_backend()}, {n_masks} masks of 2000 outlines")
    print(f"{'tile':>10} {'foreground':>10} {'particles':>10} {'compile s':>10} {'ms a mask':>10}")
    for side in (128, 384):
        for fraction in (0.1, 0.25, 0.45):

            def place(n: int, side: int = side, fraction: float = fraction):
                start = time.perf_counter()
                masks = assemble(
                    bank,
                    key=jax.random.key(0),
                    tile_px=(side, side),
                    n_masks=n,
                    foreground=np.full(n, fraction),
                )
                return time.perf_counter() - start, masks.n_placed.mean()

            first, _ = place(BATCH)
            again, _ = place(BATCH)
            seconds, count = place(n_masks)
            print(
                f"{side:>6} px² {fraction:>10} {count:>10.0f} {first - again:>10.1f} "
                f"{1000 * seconds / n_masks:>10.1f}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
