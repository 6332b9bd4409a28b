"""All numbers that a size report gives, as one dictionary."""

import math
from typing import Any

import numpy as np
import pandas as pd

from semjax.analysis import agglomerates as touching
from semjax.analysis import clustered, distribution, fits, nano, uncertainty

DIGITS = 6
MIN_ACROSS_PX = 10
MAX_BINS = 60
INTERVALS = ("mean", "median", "d10", "d50", "d90", "geometric_mean", "geometric_sd")

# Quantity: its definition, and the power of a length that it is (0: a ratio).
MEASURANDS = {
    "min_feret": (
        "Smallest distance of two parallel lines that touch the particle's outline from both "
        "sides, over all directions.",
        1,
    ),
    "max_feret": (
        "Largest distance of two parallel lines that touch the particle's outline from both "
        "sides, over all directions.",
        1,
    ),
    "equivalent_circular_diameter": (
        "Diameter of the circle that has the particle's projected area, 2 sqrt(area / pi).",
        1,
    ),
    "perimeter": ("Length of the particle's outline, by Crofton's formula in four directions.", 1),
    "area": ("Projected area of the particle: number of its pixels times a pixel's area.", 2),
    "aspect_ratio": (
        "Long axis over short axis of the ellipse with the particle's second moments, at least 1.",
        0,
    ),
    "circularity": (
        "4 pi area / perimeter^2: 1 for a circle, less for other shapes (on few pixels it may "
        "exceed 1).",
        0,
    ),
    "solidity": ("Area over the area of the particle's convex hull: 1 without dents.", 0),
}
WEIGHTED = (
    "Area and volume weighting count each particle by the square and the cube of the diameter "
    "at hand (of perimeters and areas: of the circle that has them), as if it were a sphere "
    "(ISO 9276-2). Volume-weighted values rest on the few largest particles."
)


def describe(
    particles: pd.DataFrame,
    images: pd.DataFrame,
    *,
    unit: str,
    border: str,
    nano_nm: float,
    bootstrap: int,
    seed: int,
    calibration_uncertainty: float | None = None,
    agglomerates: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Describes a measured sample as ISO 19749 wants it reported.

    Args:
        particles: `particles.csv`: all particles, kept or not.
        images: `images.csv`: one row an image; those without particles count as images, too.
        unit: nm, or px if the pixel size is unknown.
        border: drop, or weights: each kept particle counts `border_weight` times.
        nano_nm: limit of the share of nanoparticles.
        bootstrap: samples for the intervals; 0 gives none.
        seed: of samples and simulations.
        calibration_uncertainty: relative standard uncertainty of the pixel size.
        agglomerates: rows of `agglomerates.groups` of all images.
        sensitivity: rows of `uncertainty.sensitivity`, or any table with a column `mean`: mean
            minimum Feret diameters at shifted thresholds or contours.

    Returns:
        Plain JSON values, rounded to 6 digits; None for what cannot be said. `[u]` is `unit`;
        intervals are [low, high] of 95 %.

        - `unit`: nm or px; `border`: as given;
        - `counts`: `images`, `particles`, `kept`, `excluded` {reason: number}, `kept_per_image`
          {image: number}, `note`;
        - `intervals`: `confidence` (0.95), `samples`, `drawn` (images or particles), `clusters`
          (how many are drawn), `note`;
        - `weighting`: the assumption behind `area_weighted` and `volume_weighted`;
        - `goodness`: how to read the p values and AIC of the fits;
        - `measurands`: {`min_feret`, `max_feret`, `equivalent_circular_diameter`, `perimeter`,
          `area`, `aspect_ratio`, `circularity`, `solidity`}, of each:

          - `definition`, `unit` ("nm", "px", "nm²", "px²" or "1"), `n`, `note`;
          - `number`: `mean`, `median`, `sd`, `d10`, `d50`, `d90`, `geometric_mean`,
            `geometric_sd`, `skewness`; and `<name>_interval` of `mean`, `median`, `d10`, `d50`,
            `d90`, `geometric_mean`, `geometric_sd`;
          - `area_weighted`, `volume_weighted`: `mean`, `d10`, `d50`, `d90`; None for ratios;
          - `moments`: {`D[1,0]`, `D[3,2]`, `D[4,3]`} in moment-ratio notation; None except of
            lengths;
          - `histogram`: `edges` (k + 1), `counts` (k; sums of weights with border="weights");
          - `fits`: {`lognormal`, `weibull`}, each `parameters` {name: value}, `meaning` {name:
            words}, `ks_distance`, `p_value`, `aic`, `mean`, `d10`, `d50`, `d90`, `qq` [[fitted,
            measured], ...]; or None. lognormal: mu, sigma, geometric_mean, geometric_sd; weibull:
            shape, scale. None as a whole for ratios;
        - `smallest_countable`: `size` [u] of `pixels_across` px (in the coarsest image),
          `pixel_size` [u] there, `share_below` of the kept particles that are smaller than this in
          their own image, `warning` (None or a sentence), `note`;
        - `agglomerates`: `definition`, `particles`, `groups` (of two or more), `share_in_groups`
          (of all particles, kept or not), `members` {"2": number of groups, ...}, `members_mean`,
          `members_max`, `max_feret` and `area` (each `mean`, `d10`, `d50`, `d90`, `max` over
          groups), `at_border` (groups cut by the border), `note`;
        - `uncertainty`: of the mean minimum Feret diameter: `measurand`, `unit`, `mean`, `rows`
          [{`source`: counting, calibration or segmentation, `type`: A or B,
          `relative_standard_uncertainty`, `degrees_of_freedom`, `how`}], `combined_relative`,
          `combined` [u], `coverage_factor` (2), `expanded_relative`, `expanded` [u],
          `effective_degrees_of_freedom`, `note`, `reference`;
        - `nano`: `limit_nm`, `n`, `share` (at most `limit_nm`, by number), `interval` (of the next
          three together, see `nano.describe`), `bootstrap_interval` (over images or particles),
          `wilson_interval`, `systematic_interval` (sizes wrong by calibration and segmentation),
          `statement` (see `nano.statement`), `criterion`, `caveats` [sentences], `reference`.

    Raises:
        ValueError: for another unit or border rule, a table without a column that is needed, or
            what `uncertainty.budget` does not take.

    Source: ISO 19749:2021 (what to report), ISO 9276-2:2014 (means), JCGM 100:2008 (uncertainty).
    """
    _expect("unit", unit, ("nm", "px"))
    _expect("border", border, ("drop", "weights"))
    kept, weights, note = _kept(particles, unit, border)
    names = kept["image"].to_numpy(str)
    cluster, weak = clustered.clusters(names)
    n_clusters = int(cluster.max(initial=-1)) + 1
    null = {
        law: fits.null_distances(law, weights, simulations=fits.SIMULATIONS, seed=seed)
        for law in ("lognormal", "weibull")
        if len(kept) > 2
    }
    measurands = {
        name: _measurand(
            *(kept[_column(name, unit)].to_numpy(float), weights, names),
            **{"name": name, "unit": unit, "null": null, "bootstrap": bootstrap, "seed": seed},
        )
        for name in MEASURANDS
    }
    sizes = kept[f"min_feret_{unit}"].to_numpy(float)
    pixel_size = _pixel_sizes(kept, unit)
    common = (sizes, weights, cluster)
    budget = uncertainty.budget(
        *common,
        pixel_size,
        unit=unit,
        calibration=calibration_uncertainty,
        sensitivity=sensitivity,
    )
    shift = uncertainty.systematic(budget, nano_nm)
    result = {
        "unit": unit,
        "border": border,
        "counts": _counts(particles, images, kept, note),
        "intervals": {
            "confidence": clustered.CONFIDENCE,
            "samples": bootstrap,
            "drawn": "images" if weak is None else "particles",
            "clusters": n_clusters,
            "note": weak if n_clusters >= clustered.MIN_IMAGES else "Too few: no intervals.",
        },
        "weighting": WEIGHTED,
        "goodness": fits.GOODNESS,
        "measurands": measurands,
        "smallest_countable": _smallest(sizes, weights, pixel_size),
        "agglomerates": touching.describe(agglomerates, unit=unit),
        "uncertainty": budget,
        "nano": nano.describe(
            *common, unit=unit, nano_nm=nano_nm, shift_nm=shift, bootstrap=bootstrap, seed=seed
        ),
    }
    return plain(result)


def _expect(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _column(name: str, unit: str) -> str:
    power = MEASURANDS[name][1]
    if power == 0:
        return name
    return f"{name}_{unit}" if power == 1 or unit == "px" else f"{name}_nm2"


def _kept(particles: pd.DataFrame, unit: str, border: str) -> tuple:
    """The particles that are measured, how often each counts, and None or a remark."""
    needed = ["image", "kept", "reason", *(_column(name, unit) for name in MEASURANDS)]
    needed += ["border_weight"] if border == "weights" else []
    missing = [name for name in needed if name not in particles]
    if missing:
        raise ValueError(
            f"the table of particles lacks {', '.join(missing)}; give `particles.csv` as measured, "
            "and the unit that its columns end in"
        )
    kept = particles[particles["kept"].astype(bool)]
    # Tables that somebody edited may have gaps; kept particles at the border have the weight 0.
    columns = [name for name in needed if name not in ("image", "kept", "reason")]
    numbers = kept[columns].to_numpy(float)
    whole = (np.isfinite(numbers) & (numbers > 0)).all(axis=1)
    left_out = int(np.count_nonzero(~whole))
    note = None
    if left_out:
        note = f"{left_out} kept particles without a size"
        note += " or a border weight" if border == "weights" else ""
        note += " are left out of all numbers."
    kept = kept[whole]
    weights = kept["border_weight"].to_numpy(float) if border == "weights" else np.ones(len(kept))
    return kept, weights, note


def _pixel_sizes(kept: pd.DataFrame, unit: str) -> np.ndarray | None:
    """Side of a pixel for each particle in the unit of sizes; from the areas, which agree."""
    if unit == "px":
        return np.ones(len(kept))
    if "area_px" not in kept:
        return None
    return np.sqrt(kept["area_nm2"].to_numpy(float) / kept["area_px"].to_numpy(float))


def _counts(particles: pd.DataFrame, images: pd.DataFrame, kept: pd.DataFrame, note) -> dict:
    known = list(images["image"].astype(str)) if "image" in images else []
    found = kept["image"].astype(str).value_counts()
    more = sorted(set(particles["image"].astype(str)) - set(known))
    if more:
        missing = f"{len(more)} images of particles are not in the table of images."
        note = missing if note is None else f"{note} {missing}"
    dropped = particles[~particles["kept"].astype(bool)]
    reason = dropped["reason"].astype(object)
    reasons = reason.where(reason.notna() & (reason != ""), "no reason given").value_counts()
    return {
        "images": len(known) + len(more),
        "particles": len(particles),
        "kept": len(kept),
        "excluded": {str(reason): int(n) for reason, n in reasons.items()},
        "kept_per_image": {name: int(found.get(name, 0)) for name in [*known, *more]},
        "note": note,
    }


def _measurand(
    values: np.ndarray,
    weights: np.ndarray,
    images: np.ndarray,
    *,
    name: str,
    unit: str,
    null: dict,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """See `describe`, `measurands`."""
    definition, power = MEASURANDS[name]
    found = distribution.summarize(values, weights, images=images, bootstrap=bootstrap, seed=seed)
    statistics = ("mean", "median", "sd", "d10", "d50", "d90", "geometric_mean", "geometric_sd")
    number = {key: found[key] for key in statistics} | {"skewness": _skewness(values, weights)}
    number |= {f"{key}_interval": found[f"{key}_interval"] for key in INTERVALS}
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    lengths = values if power == 1 else np.sqrt(values)
    notes = ["No particles.", "A single particle.", "Two particles: no fit."]
    note = notes[values.size] if values.size < len(notes) else None
    if note is None and fits.equal(values):
        note = "All values are equal: no fit."
    return {
        "definition": definition,
        "unit": {0: "1", 1: unit, 2: f"{unit}²"}[power],
        "n": int(values.size),
        "number": number,
        "area_weighted": _by_power(values, weights * lengths**2) if power else None,
        "volume_weighted": _by_power(values, weights * lengths**3) if power else None,
        "moments": _moments(values, weights) if power == 1 else None,
        "histogram": _histogram(values, weights),
        "fits": {law: _fit(law, values, weights, null) for law in ("lognormal", "weibull")}
        if power
        else None,
        "note": note,
    }


def _fit(law: str, values: np.ndarray, weights: np.ndarray, null: dict) -> dict | None:
    return fits.fit(law, values, weights, null[law]) if law in null else None


def _by_power(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    found = distribution.summarize(values, weights, bootstrap=0, seed=0)
    return {key: found[key] for key in ("mean", "d10", "d50", "d90")}


def _moments(values: np.ndarray, weights: np.ndarray) -> dict[str, float | None]:
    """D[p,q] = (sum of x^p / sum of x^q)^(1 / (p - q)), ISO 9276-2."""
    if not values.size:
        return {"D[1,0]": None, "D[3,2]": None, "D[4,3]": None}
    m = [float((weights * values**power).sum()) for power in range(5)]
    return {"D[1,0]": m[1] / m[0], "D[3,2]": m[3] / m[2], "D[4,3]": m[4] / m[3]}


def _skewness(values: np.ndarray, weights: np.ndarray) -> float | None:
    """Third standardised moment; positive with a tail of large particles."""
    if values.size < 3 or fits.equal(values):
        return None
    deviations = values - np.average(values, weights=weights)
    second, third = (np.average(deviations**power, weights=weights) for power in (2, 3))
    return float(third / second**1.5)


def _histogram(values: np.ndarray, weights: np.ndarray) -> dict[str, list]:
    """Bins of the Freedman-Diaconis width, at most 60 of them."""
    if not values.size:
        return {"edges": [], "counts": []}
    low, high = values[0], values[-1]
    if fits.equal(values):
        return {"edges": [0.9 * low, 1.1 * high], "counts": [weights.sum()]}
    width = 2 * np.subtract(*np.percentile(values, (75, 25))) / values.size ** (1 / 3)
    bins = math.ceil((high - low) / width) if width > 0 else MAX_BINS
    counts, edges = np.histogram(values, min(max(bins, 1), MAX_BINS), weights=weights)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _smallest(sizes: np.ndarray, weights: np.ndarray, pixel_size: np.ndarray | None) -> dict:
    """See `describe`, `smallest_countable`."""
    result: dict[str, Any] = {"pixels_across": MIN_ACROSS_PX, "size": None, "pixel_size": None}
    result |= {"share_below": None, "warning": None, "note": None}
    if pixel_size is None or not sizes.size:
        result["note"] = "Needs particles and their pixel size."
        return result
    below = float(np.average(sizes < MIN_ACROSS_PX * pixel_size, weights=weights))
    coarsest = float(pixel_size.max())
    result |= {"size": MIN_ACROSS_PX * coarsest, "pixel_size": coarsest, "share_below": below}
    # Areas give pixel sizes back only up to rounding.
    if not np.allclose(pixel_size, coarsest, rtol=1e-6):
        result["note"] = "Pixel sizes differ; this is the coarsest image's."
    if below > 0:
        result["warning"] = (
            f"{100 * below:.2g} % of the kept particles are less than {MIN_ACROSS_PX} px across: "
            "their sizes are rough, and others like them were probably missed."
        )
    return result


def plain(value: Any) -> Any:
    """The same with plain numbers of at most 6 digits, and None where one is not finite."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
