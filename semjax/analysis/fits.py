"""Log-normal and Weibull distributions fitted to sizes, and how well they fit."""

from typing import Any

import numpy as np
from scipy import special

EQUAL = 1e-9  # relative difference: sizes that differ by less do so by rounding only
MAX_PAIRS = 200  # of a Q-Q plot
SIMULATIONS = 999
# Beyond this many particles the distance's distribution changes only by its scale, 1 / sqrt(n):
# Stephens' correction, 1 + 0.85 / n - 0.01 / sqrt(n), is 1.0002 here.
_SIMULATED = 2000
_BLOCK = 2**21  # simulated values held at once
_STEPS = 12  # of Newton's method; from the start used, 6 reach rounding

GOODNESS = (
    "p values: share of samples drawn from the fitted law that are at least as far from their own "
    "fit (Kolmogorov-Smirnov distance). They take particles as independent, so they are too small "
    "where images differ; of thousands of particles almost every law is rejected; the distance "
    "and the Q-Q plot then say how far off it is, and the smaller AIC which law is nearer."
)
MEANING = {
    "lognormal": {
        "mu": "mean of the natural logarithm of the size",
        "sigma": "standard deviation of the natural logarithm of the size",
        "geometric_mean": "exp(mu), the fitted median",
        "geometric_sd": "exp(sigma), ratio of the sizes at 84.1 % and at 50 %",
    },
    "weibull": {
        "shape": "slope in the Rosin-Rammler diagram; the larger, the narrower",
        "scale": "size below which 63.2 % of the particles lie",
    },
}


def lognormal(logs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale of the normal distribution of logarithms, by maximum likelihood.

    Args:
        logs: natural logarithms of sizes, (..., n).
        weights: (..., n).

    Returns:
        mu and sigma, each (..., 1); sigma with n, not n - 1, as maximum likelihood has it.
    """
    total = weights.sum(-1, keepdims=True)
    mu = (weights * logs).sum(-1, keepdims=True) / total
    return mu, np.sqrt((weights * (logs - mu) ** 2).sum(-1, keepdims=True) / total)


def equal(values: np.ndarray) -> bool:
    """Whether positive values are all the same, up to rounding."""
    return bool(np.ptp(values) <= EQUAL * values.max())


def weibull(logs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale of a Weibull distribution's logarithms, by maximum likelihood.

    With shape k, the likelihood is largest where g(k) = sum(w x^k ln x) / sum(w x^k) - 1 / k -
    mean(ln x) is 0. g rises with k, and Newton's method on it starts from the moments of ln x.

    Args:
        logs: natural logarithms of sizes, (..., n), not all equal.
        weights: (..., n).

    Returns:
        The logarithm of the scale, and 1 / k, each (..., 1).

    Source: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 1 (1994), ch. 21.
    """
    mean, sd = lognormal(logs, weights)
    z = (logs - mean) / sd  # x^k without overflow; mean 0
    top = z.max(-1, keepdims=True)
    k = np.full_like(mean, np.pi / np.sqrt(6))
    for _ in range(_STEPS):
        powers = weights * np.exp(k * (z - top))
        total = powers.sum(-1, keepdims=True)
        first = (powers * z).sum(-1, keepdims=True) / total
        second = (powers * z * z).sum(-1, keepdims=True) / total
        step = (first - 1 / k) / (second - first**2 + 1 / k**2)
        k = np.maximum(k - step, k / 4)
    powers = weights * np.exp(k * (z - top))
    location = top + np.log(powers.sum(-1, keepdims=True) / weights.sum(-1, keepdims=True)) / k
    return mean + sd * location, sd / k


def _distance(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance along the last axis.

    Args:
        probability: fitted cumulative shares of the values in rising order, (..., n).
        weights: of these values, (..., n).
    """
    total = weights.sum(-1, keepdims=True)
    after = np.cumsum(weights, -1) / total
    before = after - weights / total
    return np.maximum(after - probability, probability - before).max(-1)


def _cumulative(law: str, z: np.ndarray) -> np.ndarray:
    """Share below the standardised logarithm z; (logs - location) / scale."""
    if law == "lognormal":
        return special.ndtr(z)
    # Far above what a fit allows, exp may overflow to infinity, whose share is 1.
    return -np.expm1(-np.exp(np.minimum(z, 700)))


def _inverse(law: str, share: np.ndarray) -> np.ndarray:
    return special.ndtri(share) if law == "lognormal" else np.log(-np.log1p(-share))


def _log_density(law: str, z: np.ndarray) -> np.ndarray:
    """Of the standardised logarithm."""
    if law == "lognormal":
        return -(z**2) / 2 - np.log(2 * np.pi) / 2
    return z - np.exp(z)


_FIT = {"lognormal": lognormal, "weibull": weibull}


def null_distances(law: str, weights: np.ndarray, *, simulations: int, seed: int) -> np.ndarray:
    """Distances of samples that do come from a law, each to its own fit, times sqrt(n).

    Fits follow a shift and a stretch of the logarithms, so these distances do not depend on the
    parameters: a parametric bootstrap with any parameters is one with the fitted ones.

    Args:
        law: lognormal or weibull.
        weights: of the particles, (n,); the samples' are drawn from them, apart from the sizes.
        simulations: number of samples.
        seed: of the samples.

    Returns:
        (simulations,), rising. n is the effective number where weights differ.

    Source: Lilliefors, Journal of the American Statistical Association 62 (1967) 399; Stute,
    Gonzáles Manteiga and Presedo Quindimil, Metrika 40 (1993) 243.
    """
    rng = np.random.default_rng(seed)
    n = min(weights.size, _SIMULATED)
    rows = max(1, _BLOCK // n)
    found = []
    for start in range(0, simulations, rows):
        shape = (min(rows, simulations - start), n)
        z = np.sort(rng.standard_normal(shape) if law == "lognormal" else rng.gumbel(size=shape))
        if law == "weibull":
            z = -z[:, ::-1]
        w = np.ones(shape) if np.ptp(weights) == 0 else rng.choice(weights, shape)
        location, scale = _FIT[law](z, w)
        distance = _distance(_cumulative(law, (z - location) / scale), w)
        found.append(distance * np.sqrt(_effective(w)))
    return np.sort(np.concatenate(found))


def _effective(weights: np.ndarray) -> np.ndarray:
    """Number of equal values that would vary as much, sum(w)^2 / sum(w^2)."""
    return weights.sum(-1) ** 2 / (weights**2).sum(-1)


def fit(
    law: str, values: np.ndarray, weights: np.ndarray, null: np.ndarray
) -> dict[str, Any] | None:
    """Fits a law to sizes by maximum likelihood and says how well it fits.

    Particles are taken as independent here; where images differ, the p value is too small. Of
    thousands of particles, hardly any sample passes as one from a law: then the distance and the
    Q-Q plot say how far off the law is, and the smaller AIC which one is nearer.

    Args:
        law: lognormal or weibull.
        values: positive sizes, (n,).
        weights: positive, (n,); each particle's logarithmic likelihood counts w / mean(w) times.
        null: of the same law and weights, from `null_distances`.

    Returns:
        - `parameters`: of the law, see `MEANING`; weibull's scale in the sizes' unit;
        - `ks_distance`: largest distance of the cumulative distributions;
        - `p_value`: share of samples from the law with at least this distance to their own fit
          (Kolmogorov's own p value would be far too large, since the law was fitted);
        - `aic`: 2 parameters x 2 - 2 ln(likelihood); the lower, the better the law, whatever its p;
        - `qq`: at most 200 pairs [fitted, measured] of sizes at equal shares;
        - `mean`, `d10`, `d50`, `d90` of the fitted law.

        None for fewer than three values or equal ones, to which nothing can be fitted.
    """
    if values.size < 3 or equal(values):
        return None
    order = np.argsort(values)
    logs, weights = np.log(values[order]), weights[order] / weights.mean()
    location, scale = (float(x[0]) for x in _FIT[law](logs, weights))
    z = (logs - location) / scale
    distance = float(_distance(_cumulative(law, z), weights))
    likelihood = float((weights * (_log_density(law, z) - np.log(scale) - logs)).sum())
    scaled = distance * np.sqrt(_effective(weights))
    above = null.size - np.searchsorted(null, scaled * (1 - 1e-12))
    shown = np.unique(np.linspace(0, logs.size - 1, MAX_PAIRS).round().astype(int))
    shares = ((np.cumsum(weights) - weights / 2) / weights.sum())[shown]
    fitted = np.exp(location + scale * _inverse(law, shares))
    d10, d50, d90 = np.exp(location + scale * _inverse(law, np.array([0.1, 0.5, 0.9])))
    if law == "lognormal":
        parameters = {
            "mu": location,
            "sigma": scale,
            "geometric_mean": np.exp(location),
            "geometric_sd": np.exp(scale),
        }
        mean = np.exp(location + scale**2 / 2)
    else:
        parameters = {"shape": 1 / scale, "scale": np.exp(location)}
        mean = np.exp(location) * special.gamma(1 + scale)
    return {
        "parameters": parameters,
        "meaning": MEANING[law],
        "ks_distance": distance,
        "p_value": float((1 + above) / (1 + null.size)),
        "aic": 4 - 2 * likelihood,
        "mean": mean,
        "d10": d10,
        "d50": d50,
        "d90": d90,
        "qq": np.stack([fitted, values[order][shown]], axis=1).tolist(),
    }
