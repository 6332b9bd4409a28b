"""Uncertainty budget of the mean minimum Feret diameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from skimage.segmentation import expand_labels

from semjax.analysis import bands, clustered, feret

COVERAGE_FACTOR = 2
REFERENCE = "JCGM 100:2008 (GUM), Evaluation of measurement data"
# How far a contour may be off on every side where nobody has looked: on the simulated micrographs
# the segmenter's threshold 0.15 lower or higher shifts contours as far.
SHIFT_PX = 0.3
_REACH_PX = 3  # farther out, no threshold in reason finds pixels of the same particle
# With fewer degrees of freedom, k = 2 covers clearly less than 95 %.
FEW_DEGREES = 10


def shifted(sizes: np.ndarray, weights: np.ndarray, pixel_size: np.ndarray) -> pd.DataFrame:
    """Mean minimum Feret diameter with all contours shifted in or out by 0.3 px.

    A convex contour shifted by d on every side changes its Feret diameters by exactly 2 d.

    Args:
        sizes: minimum Feret diameters, (n,).
        weights: (n,), positive.
        pixel_size: side of a pixel in each particle's image, in the unit of the sizes, (n,).

    Returns:
        Rows of `shift_px` and `mean`, as `budget` takes them.
    """
    mean, pixel = (np.average(x, weights=weights) for x in (sizes, pixel_size))
    shifts = np.array([-SHIFT_PX, 0.0, SHIFT_PX])
    return pd.DataFrame({"shift_px": shifts, "mean": mean + 2 * shifts * pixel})


def at_thresholds(
    labels: np.ndarray,
    probability: np.ndarray,
    chosen: np.ndarray,
    *,
    thresholds: Sequence[float],
) -> np.ndarray:
    """Minimum Feret diameters of particles whose contours follow other thresholds.

    A pixel goes to the label that is nearest, at most 3 px away, if its probability is at least the
    threshold. So particles keep their number and their borders with neighbours, and only their
    outer contours move.

    Args:
        labels: (h, w), 0 background, 1..N, as split at the segmenter's own threshold.
        probability: of the foreground, (h, w), in [0, 1], or uint8 with 255 for 1.
        chosen: labels to measure, (n,).
        thresholds: (t,).

    Returns:
        Pixels, float64 (n, t); NaN where nothing is left of a particle.
    """
    chosen = np.asarray(chosen, int)
    largest = max(int(labels.max(initial=0)), int(chosen.max(initial=0)))
    found = np.full((largest + 1, len(thresholds)), np.nan)
    for rows, _, numbers in bands.whole(labels):
        # Neighbours have a say in what is nearest, and a particle may grow up and down.
        around = slice(max(rows.start - 2 * _REACH_PX, 0), rows.stop + 2 * _REACH_PX)
        near = expand_labels(labels[around], distance=_REACH_PX)
        own = np.zeros(len(found), np.int64)
        own[numbers] = np.arange(1, len(numbers) + 1)
        near = own[near]
        seen = probability[around] / (255 if probability.dtype == np.uint8 else 1)
        for i, threshold in enumerate(thresholds):
            sizes = feret.measure(np.where(seen >= threshold, near, 0)).min_feret
            found[numbers[: sizes.size], i] = sizes
    return found[chosen]


def sensitivity(
    sizes: np.ndarray, weights: np.ndarray, *, thresholds: Sequence[float]
) -> pd.DataFrame:
    """Means over all images of sizes at several thresholds, as `budget` takes them.

    Args:
        sizes: of particles of all images, from `at_thresholds`, times the pixel size, (n, t).
        weights: (n,), positive.
        thresholds: (t,).

    Returns:
        Rows of `threshold` and `mean`, over the particles that are left at every threshold; no rows
        if there are none.
    """
    left = np.isfinite(sizes).all(axis=1)
    if not left.any():
        return pd.DataFrame({"threshold": [], "mean": []})
    means = np.average(sizes[left], axis=0, weights=weights[left])
    return pd.DataFrame({"threshold": list(thresholds), "mean": means})


def _rectangular(means: np.ndarray, mean: float) -> float:
    """Relative standard uncertainty of a quantity anywhere between the extremes (GUM 4.3.7)."""
    return float((means.max() - means.min()) / 2 / np.sqrt(3) / mean)


def budget(
    sizes: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    pixel_size: np.ndarray | None,
    *,
    unit: str,
    calibration: float | None,
    sensitivity: pd.DataFrame | None,
) -> dict[str, Any]:
    """Standard uncertainties of the mean minimum Feret diameter from each source, and together.

    Args:
        sizes: minimum Feret diameters, (n,).
        weights: (n,), positive.
        cluster: from `clustered.clusters`, (n,).
        pixel_size: of each particle's image, in the unit of the sizes, (n,); None if unknown.
        unit: nm or px.
        calibration: relative standard uncertainty of the pixel size; None if unknown.
        sensitivity: column `mean`: the mean minimum Feret diameter, in the unit of the sizes, as
            found with the segmenter's threshold or the contours shifted as far as seems possible;
            None shifts contours by 0.3 px.

    Returns:
        See `summary.describe`, `uncertainty`.

    Raises:
        ValueError: for a sensitivity table without a column `mean` of two or more positive numbers,
            or a negative calibration.

    Source: JCGM 100:2008, clauses 4.2, 4.3, 5.1 and G.4 (degrees of freedom).
    """
    if calibration is not None and not (0 <= calibration < np.inf):
        raise ValueError(
            "calibration_uncertainty must be the pixel size's relative standard uncertainty, at "
            f"least 0, such as 0.01 for 1 %, or None if unknown, got {calibration}"
        )
    known = None if sensitivity is None else _means(sensitivity)
    mean = float(np.average(sizes, weights=weights)) if sizes.size else None
    rows: list[dict[str, Any]] = []
    notes: list[str] = []

    def add(source: str, kind: str, value: float | None, degrees: int | None, how: str) -> None:
        rows.append(
            {
                "source": source,
                "type": kind,
                "relative_standard_uncertainty": value,
                "degrees_of_freedom": degrees,
                "how": how,
            }
        )

    error = None if mean is None else clustered.standard_error(sizes, weights, cluster)
    over = "particles" if cluster.size and np.unique(cluster).size == cluster.size else "images"
    if error is None or mean is None:
        add("counting", "A", None, None, "needs two particles")
    else:
        how = f"standard error of the mean over {error[1] + 1} {over}"
        add("counting", "A", error[0] / mean, error[1], how)
    if unit != "nm":
        add("calibration", "B", None, None, "does not apply: sizes are in pixels")
    elif calibration is None:
        add("calibration", "B", None, None, "not given; not in the sum")
        notes.append("The pixel size's uncertainty is not known, so the sum is a lower bound.")
    else:
        add("calibration", "B", float(calibration), None, "given with the pixel size")
    if mean is not None and known is not None:
        how = f"half the range of {known.size} means at shifted thresholds or contours, rectangular"
        add("segmentation", "B", _rectangular(known, mean), None, how)
    elif mean is not None and pixel_size is not None:
        means = shifted(sizes, weights, pixel_size)["mean"].to_numpy()
        how = f"contours assumed to lie within {SHIFT_PX} px on every side, rectangular"
        add("segmentation", "B", _rectangular(means, mean), None, how)
        notes.append("The segmentation's part is assumed, not measured.")
    else:
        add("segmentation", "B", None, None, "needs particles and a pixel size")
    result = {"measurand": "mean minimum Feret diameter", "unit": unit, "mean": mean, "rows": rows}
    parts = [row["relative_standard_uncertainty"] for row in rows]
    result |= _sum(mean, [part for part in parts if part is not None], error)
    degrees = result["effective_degrees_of_freedom"]
    if degrees is not None and degrees < FEW_DEGREES:
        notes.append(
            f"With {degrees:.1f} effective degrees of freedom, k = {COVERAGE_FACTOR} covers less "
            "than 95 %."
        )
    notes.append("Sampling, preparation and the choice of particles are not in the budget.")
    return result | {"note": " ".join(notes), "reference": REFERENCE}


def systematic(found: dict[str, Any], size: float) -> float:
    """By how much sizes near a given one may all be wrong together, at about 95 %.

    The pixel size's part grows with the size. The contours' part is the same length for all.

    Args:
        found: from `budget`.
        size: in the unit of the sizes.
    """
    parts = {row["source"]: row["relative_standard_uncertainty"] or 0.0 for row in found["rows"]}
    contours = parts["segmentation"] * (found["mean"] or 0.0)
    return float(COVERAGE_FACTOR * np.hypot(parts["calibration"] * size, contours))


def _sum(mean: float | None, parts: list[float], error: tuple[float, int] | None) -> dict:
    """Combined and expanded uncertainty; the degrees of freedom by Welch and Satterthwaite."""
    names = ("combined_relative", "combined", "expanded_relative", "expanded")
    empty = {"coverage_factor": COVERAGE_FACTOR, "effective_degrees_of_freedom": None}
    if mean is None or error is None:
        return dict.fromkeys(names) | empty
    combined = float(np.sqrt(np.sum(np.square(parts))))
    # Those of type B have infinitely many.
    counting = error[0] / mean
    degrees = error[1] * (combined / counting) ** 4 if counting > 0 else None
    found = (combined, combined * mean, COVERAGE_FACTOR * combined)
    return (
        dict(zip(names, (*found, COVERAGE_FACTOR * combined * mean), strict=True))
        | empty
        | {"effective_degrees_of_freedom": degrees}
    )


def _means(sensitivity: pd.DataFrame) -> np.ndarray:
    means = sensitivity["mean"].to_numpy(float) if "mean" in sensitivity else np.empty(0)
    if means.size < 2 or not ((means > 0) & np.isfinite(means)).all():
        raise ValueError(
            "sensitivity needs a column `mean` of two or more positive mean sizes, got "
            f"columns {list(sensitivity.columns)} and {means.tolist()}"
        )
    return means
