"""Share of nanoparticles, and what it says under the European Commission's recommendation."""

from typing import Any

import numpy as np
from scipy import stats

from semjax.analysis import clustered

LIMIT_NM = 100.0
HALF = 0.5
# Ours: the recommendation names no number, and a share of so few says little of a material.
MIN_PARTICLES = 30

MEETS = "meets"
MISSES = "does not meet"
UNDECIDED = "undecided: interval straddles 50 %"
NO_PIXEL_SIZE = "not decidable: no pixel size"
TOO_FEW = "not decidable: too few particles"
OTHER_LIMIT = "not decidable: limit is not 100 nm"

REFERENCE = (
    "Commission Recommendation 2022/C 229/01 of 10 June 2022 on the definition of nanomaterial"
)
CRITERION = (
    "50 % or more of the particles by number, alone or as identifiable constituent particles of "
    "aggregates or agglomerates, have one or more external dimensions from 1 nm to 100 nm."
)
CAVEATS = (
    "An image shows projections: the dimension along the beam is unknown. Flat particles lie on "
    "their faces, so a plate thinner than 100 nm may count here as larger.",
    "Particles smaller than the smallest countable size are missed, which lowers the share.",
    "Constituent particles hidden inside or behind agglomerates are not seen.",
    "Only particles that can be measured well are kept. If small ones are dropped more or less "
    "often than large ones, the share is off; border particles are lost the more, the larger.",
    "The share is that of the images; whether they stand for the material depends on sampling "
    "and preparation.",
    "The recommendation also excludes materials of less than 6 m2/cm3 specific surface by volume "
    "and includes some rods and plates thinner than 1 nm; neither is judged here.",
)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n particles; n need not be whole.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    z = stats.norm.ppf((1 + clustered.CONFIDENCE) / 2)
    middle = share + z * z / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    ends = np.clip((middle + np.array([-half, half])) / (1 + z * z / n), 0, 1)
    return float(ends[0]), float(ends[1])


def statement(interval: tuple[float, float] | None, n: int, *, unit: str, nano_nm: float) -> str:
    """What an interval of the share means; one of the six sentences above.

    Args:
        interval: of the share of particles of at most 100 nm; None if there is none.
        n: number of particles.
        unit: nm or px.
        nano_nm: limit that the share was taken at.
    """
    if unit != "nm":
        return NO_PIXEL_SIZE
    if nano_nm != LIMIT_NM:
        return OTHER_LIMIT
    if n < MIN_PARTICLES or interval is None:
        return TOO_FEW
    low, high = interval
    if low >= HALF:
        return MEETS
    return MISSES if high < HALF else UNDECIDED


def describe(
    sizes: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    *,
    unit: str,
    nano_nm: float,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Share of particles whose minimum Feret diameter is at most a limit, and the statement.

    The minimum Feret diameter stands for the smallest external dimension as far as a projection
    shows it. The recommendation counts 100 nm itself in, so this share does, unlike
    `share_below_nano` in `distribution.summarize`; they differ only by particles exactly there.

    The statement rests on the wider of two intervals at each end: that over images, which knows
    that particles of an image are alike, and Wilson's, which knows that none of n is not never.

    Args:
        sizes: minimum Feret diameters in nm, or px without a pixel size, (n,).
        weights: (n,), positive.
        cluster: from `clustered.clusters`, (n,).
        unit: nm or px.
        nano_nm: the limit.
        bootstrap: samples for the interval over images.
        seed: of the samples.

    Returns:
        See `summary.describe`, `nano`.
    """
    result: dict[str, Any] = {
        "limit_nm": nano_nm,
        "n": int(sizes.size),
        "share": None,
        "interval": None,
        "bootstrap_interval": None,
        "wilson_interval": None,
        "criterion": CRITERION,
        "caveats": list(CAVEATS),
        "reference": REFERENCE,
    }
    interval = None
    if unit == "nm" and sizes.size:
        small = (sizes <= nano_nm).astype(float)
        share = float(np.average(small, weights=weights))
        effective = weights.sum() ** 2 / (weights**2).sum()
        interval = result["wilson_interval"] = wilson(share, effective)
        ends = clustered.intervals(
            lambda x, w: np.array([(w * x).sum() / w.sum()]),
            *(small, weights, cluster),
            bootstrap=bootstrap,
            seed=seed,
        )
        if ends is not None:
            low, high = result["bootstrap_interval"] = (float(ends[0, 0]), float(ends[0, 1]))
            interval = (min(low, interval[0]), max(high, interval[1]))
        result |= {"share": share, "interval": interval}
    result["statement"] = statement(interval, sizes.size, unit=unit, nano_nm=nano_nm)
    return result
