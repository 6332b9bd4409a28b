"""Summary of a size distribution, with intervals."""

from typing import Any

import numpy as np

_BLOCK = 2**22  # resampled values held at once


def _statistics(values: np.ndarray, nano_nm: float) -> dict[str, np.ndarray]:
    """Statistics along the last axis; at least two values there."""
    d10, d50, d90 = np.percentile(values, (10, 50, 90), axis=-1)
    logs = np.log(values)
    return {
        "mean": values.mean(-1),
        "median": d50,
        "sd": values.std(-1, ddof=1),
        "d10": d10,
        "d50": d50,
        "d90": d90,
        "geometric_mean": np.exp(logs.mean(-1)),
        "geometric_sd": np.exp(logs.std(-1, ddof=1)),
        "share_below_nano": (values < nano_nm).mean(-1),
    }


def summarize(
    values: np.ndarray, *, bootstrap: int = 1000, seed: int, nano_nm: float = 100.0
) -> dict[str, Any]:
    """Summarizes sizes by number, each statistic with its bootstrap 95 % interval.

    The geometric mean and standard deviation are exp(mu) and exp(sigma) of the log-normal
    distribution fitted to the sizes: mean and standard deviation (with n - 1) of the logarithms.
    The interval runs from the 2.5th to the 97.5th percentile over samples drawn with replacement.

    Args:
        values: sizes in nm, positive, (n,).
        bootstrap: number of samples; 0 gives no intervals.
        seed: of the samples; the same seed gives the same intervals.
        nano_nm: `share_below_nano` is the share of values below it.

    Returns:
        `n`, `nano_nm`, and for `mean`, `median`, `sd`, `d10`, `d50`, `d90`, `geometric_mean`,
        `geometric_sd` and `share_below_nano` the value and, as `<name>_interval`, [low, high].
        Plain numbers, ready for JSON. What cannot be said is None: everything without values, both
        standard deviations and all intervals of a single value.

    Raises:
        ValueError: for values that are not positive and finite.

    Source: ISO 9276-2 and -5 for the quantities; Efron and Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13, for the intervals.
    """
    values = np.asarray(values, np.float64).ravel()
    if not np.all((values > 0) & np.isfinite(values)):
        bad = values[~((values > 0) & np.isfinite(values))][0]
        raise ValueError(f"sizes must be positive and finite, got {bad}")
    result: dict[str, Any] = {"n": int(values.size), "nano_nm": float(nano_nm)}
    # Statistics of a single value are those of it twice, but for its spread.
    doubled = np.repeat(values, 2) if values.size < 2 else values
    names = list(_statistics(np.ones(2), nano_nm))
    found = _statistics(doubled, nano_nm) if values.size else {}
    if values.size == 1:
        del found["sd"], found["geometric_sd"]
    intervals = {}
    if values.size > 1 and bootstrap > 0:
        rng = np.random.default_rng(seed)
        rows = max(1, _BLOCK // values.size)
        blocks = [
            _statistics(
                values[rng.integers(values.size, size=(min(rows, bootstrap - i), values.size))],
                nano_nm,
            )
            for i in range(0, bootstrap, rows)
        ]
        for name in names:
            drawn = np.concatenate([block[name] for block in blocks])
            intervals[name] = [float(x) for x in np.percentile(drawn, (2.5, 97.5))]
    for name in names:
        result[name] = float(found[name]) if name in found else None
        result[f"{name}_interval"] = intervals.get(name)
    return result
