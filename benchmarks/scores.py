"""Times of all scores of one dense image of 1024 x 712 px.

Run from the project's folder: `python benchmarks/scores.py`; OMP_NUM_THREADS=1 keeps it to one
core. The image is simulated, and the prediction a slightly disturbed copy of its truth. Each line
gives seconds: the shortest of several calls, of the wall's clock and of the processor's. On a
shared machine the processor's is the steadier.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from semjax.analysis import distance, kept, legacy, regions, scores, split, warping
from semjax.phantom import simulate

SHAPE_PX = (712, 1024)
FOREGROUND = 0.3
REPEATS = 3


def predict(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A blurred and noisy probability, as stored in 8 bits, and the labels that are made of it."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=labels.shape), 2)
    probability = ndimage.gaussian_filter(split.draw_lines(labels).astype(float), 1.0)
    probability = np.rint(255 * (probability + noise).clip(0, 1)) / 255
    found = split.watershed(probability > 0.5, min_distance_px=9)
    return probability.astype(np.float32), scores.drop_specks(found)


def measure(name: str, function: Callable, *args: Any) -> np.ndarray:
    """Prints wall and processor seconds of one call, and returns both."""
    times = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        function(*args)
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    best = np.min(times, axis=0)
    print(f"{name:40} {best[0]:8.3f} {best[1]:8.3f}", flush=True)
    return best


def main() -> None:
    """Times the scores, then the parts of the paper's."""
    phantom = simulate(0, image_px=SHAPE_PX, foreground=FOREGROUND)
    truth = scores.drop_specks(phantom.labels)
    lines = split.draw_lines(phantom.labels)
    probability, labels = predict(phantom.labels)
    keep, verdict = np.ones(labels.max(), bool), np.ones(truth.max() + 1, np.int8)
    print(f"{truth.max()} true particles on {lines.mean():.0%} of the image, {labels.max()} found")
    print(f"{'seconds':40} {'wall':>8} {'CPU':>8}")
    total = measure("scores", scores.score, labels, truth)
    total += measure("sizes, predicted", regions.measure, labels)
    total += measure("sizes, true", regions.measure, truth)
    total += measure("kept particles", kept.count, labels, keep, truth, verdict)
    total += measure("the paper's scores, 11 thresholds", legacy.score, probability, lines)
    print(f"{'all scores':40} {total[0]:8.3f} {total[1]:8.3f}")
    print("of the paper's scores:")
    mask = probability > 0.5
    thresholds = legacy.THRESHOLDS[:10]
    measure(
        "  warping error, 10 thresholds", warping.warping_errors, probability, lines, thresholds
    )
    measure("  distances at 0.5", distance.to_background, mask)
    measure("  watershed at 0.5, with distances", legacy.cut_lines, mask)
    measure("  grown particles at 0.5", legacy.grow, ndimage.label(mask)[0])
    measure("  instance IoU at 0.5", legacy.instance_iou, mask, lines)


if __name__ == "__main__":
    main()
