"""How well a measured size distribution agrees with the true one."""

from typing import Any

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

LEVEL = 95  # per cent of the bootstrap intervals
NAMES = ("mean", "median", "d10", "d90", "log_gsd")
_BLOCK = 2**22  # resampled values held at once


def _statistics(values: np.ndarray) -> np.ndarray:
    """Mean, median, D10, D90 and the standard deviation of the logarithm; values (..., n)."""
    d10, median, d90 = np.percentile(values, (10, 50, 90), axis=-1)
    log_sd = np.log(values).std(axis=-1, ddof=1) if values.shape[-1] > 1 else np.nan * median
    return np.stack([values.mean(axis=-1), median, d10, d90, log_sd])


def _resampled(values: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """The statistics of samples drawn with replacement, (5, times)."""
    rows = max(1, _BLOCK // values.size)
    blocks = [
        _statistics(values[rng.integers(values.size, size=(min(rows, times - i), values.size))])
        for i in range(0, times, rows)
    ]
    return np.concatenate(blocks, axis=1) if blocks else np.empty((len(NAMES), 0))


def compare(
    found: np.ndarray, true: np.ndarray, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Errors of a measured sample of sizes against the true one.

    Args:
        found: positive lengths or areas, (n,).
        true: the same of the true particles, in the same unit, (m,).
        bootstrap: samples for the intervals; both sides are drawn anew.
        seed: of the bootstrap.

    Returns:
        - `n_found`, `n_true`, and for each of mean, median, D10, D90 and the geometric standard
          deviation's logarithm (`log_gsd`) the two values and `<name>_error` = found / true - 1
          with its 95 % interval (percentiles of the bootstrap);
        - `wasserstein`: mean distance over which sizes have to be moved, in the unit given;
        - `kolmogorov_smirnov`: largest distance of the two cumulative distributions.

        None where a side has no particles, or a single one has no spread.

    Raises:
        ValueError: sizes that are not positive.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    if (found <= 0).any() or (true <= 0).any() or not np.isfinite([*found, *true]).all():
        raise ValueError("sizes must be positive and finite; drop particles without a size first")
    result: dict[str, Any] = {"n_found": found.size, "n_true": true.size}
    if not found.size or not true.size:
        keys = [f"{name}{end}" for name in NAMES for end in ("", "_true", "_error", "_interval")]
        return result | dict.fromkeys([*keys, "wasserstein", "kolmogorov_smirnov"])
    rng = np.random.default_rng(seed)
    drawn = [_resampled(side, bootstrap, rng) for side in (found, true)]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = drawn[0] / drawn[1] - 1
        here, there = _statistics(found), _statistics(true)
        error = here / there - 1
    for i, name in enumerate(NAMES):
        usable = errors[i][np.isfinite(errors[i])]
        low, high = (100 - LEVEL) / 2, (100 + LEVEL) / 2
        result[name], result[f"{name}_true"] = _plain(here[i]), _plain(there[i])
        result[f"{name}_error"] = _plain(error[i])
        result[f"{name}_interval"] = (
            [float(v) for v in np.percentile(usable, (low, high))] if usable.size else None
        )
    result["wasserstein"] = float(wasserstein_distance(found, true))
    result["kolmogorov_smirnov"] = float(ks_2samp(found, true).statistic)
    return result


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
