"""Summary of a size distribution, with intervals."""

from typing import Any

import numpy as np

from semjax.analysis import clustered

NAMES = (
    *("mean", "median", "sd", "d10", "d50", "d90", "geometric_mean", "geometric_sd"),
    "share_below_nano",
)
NO_SPREAD = 1e-9  # of the mean; a smaller standard deviation is a rounding error


def _statistics(values: np.ndarray, weights: np.ndarray, nano_nm: float) -> dict[str, float]:
    """Statistics of values (n,), rising, at least two, with weights (n,)."""
    total = weights.sum()
    # n - 1 for equal weights: the variance of independent values is unbiased (see `summarize`).
    free = total - (weights**2).sum() / total
    middles = np.cumsum(weights) - weights / 2
    places = (middles - middles[0]) / (middles[-1] - middles[0])
    d10, d50, d90 = np.interp((0.1, 0.5, 0.9), places, values)

    def moments(x: np.ndarray) -> tuple[float, float]:
        mean = (weights * x).sum() / total
        return mean, np.sqrt((weights * (x - mean) ** 2).sum() / free)

    mean, sd = moments(values)
    log_mean, log_sd = moments(np.log(values))
    return {
        "mean": mean,
        "median": d50,
        "sd": sd,
        "d10": d10,
        "d50": d50,
        "d90": d90,
        "geometric_mean": np.exp(log_mean),
        "geometric_sd": np.exp(log_sd),
        "share_below_nano": (weights * (values < nano_nm)).sum() / total,
    }


def summarize(
    values: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    images: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int,
    nano_nm: float = 100.0,
) -> dict[str, Any]:
    """Summarizes sizes by number, each statistic with its bootstrap 95 % interval.

    The geometric mean and standard deviation are exp(mu) and exp(sigma) of the log-normal
    distribution fitted to the sizes: mean and standard deviation (with n - 1) of the logarithms.

    Particles of one image are alike, so images are drawn, each with all its particles, and the
    intervals are those of `clustered`. With fewer than five images, or where these are not given,
    particles are drawn: too narrow if images differ. Of fewer than five particles nothing is drawn.

    With weights w (such as `regions.border_weights`), of which only the ratios matter:

    - means and shares are sum(w x) / sum(w);
    - variances are sum(w (x - mean)^2) / (sum(w) - sum(w^2) / sum(w)): n - 1 becomes n_e - 1 with
      the effective number n_e = sum(w)^2 / sum(w^2) of values;
    - percentiles: the values in rising order get stretches as long as their weights, side by side;
      a value's place is the middle of its stretch, the first value's is 0 % and the last one's
      100 %, and between places one interpolates linearly;
    - samples draw values together with their weights.

    Equal weights give what no weights give, up to rounding; percentiles are then numpy's.

    Args:
        values: sizes in nm, positive, (n,).
        weights: of the values, positive, (n,); None counts each once.
        images: name of each particle's image, (n,); None takes particles as independent.
        bootstrap: number of samples; fewer than 2 give no intervals.
        seed: of the samples; the same seed gives the same intervals.
        nano_nm: `share_below_nano` is the share of values below it.

    Returns:
        `n`, `nano_nm`, `drawn` (images or particles), and for `mean`, `median`, `sd`, `d10`,
        `d50`, `d90`, `geometric_mean`, `geometric_sd` and `share_below_nano` the value and, as
        `<name>_interval`, [low, high].
        Plain numbers, ready for JSON. What cannot be said is None: everything without values, both
        standard deviations of a single value, all intervals of fewer than five particles.

    Raises:
        ValueError: for values or weights that are not positive and finite, or not as many of both.

    Source: ISO 9276-2 and -5 for the quantities; Efron and Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13, for the intervals; Kish, Survey Sampling (1965), chapter 11, for
    the effective number.
    """
    values = np.asarray(values, np.float64).ravel()
    _expect_positive("sizes", values)
    weights = np.ones(values.size) if weights is None else np.asarray(weights, np.float64).ravel()
    _expect_positive("weights", weights)
    if weights.size != values.size:
        raise ValueError(f"{values.size} sizes need as many weights, got {weights.size}")
    # Of equal sizes the lighter comes first, so that the order in which particles are given does
    # not matter.
    order = np.lexsort((weights, values))
    values, weights = values[order], weights[order]
    if images is None:
        cluster, drawn = np.arange(values.size), "particles"
    else:
        images = np.asarray(images).ravel()
        if images.size != values.size:
            raise ValueError(f"{values.size} sizes need as many images, got {images.size}")
        cluster, weak = clustered.clusters(images[order])
        drawn = "images" if weak is None else "particles"
    result: dict[str, Any] = {
        "n": int(values.size),
        "nano_nm": float(nano_nm),
        "drawn": drawn,
    }
    found = {}
    if values.size:
        found = _statistics(*_twice(values, weights), nano_nm)
    if values.size == 1:
        del found["sd"], found["geometric_sd"]
    intervals = _intervals(values, weights, cluster, found, nano_nm, bootstrap, seed)
    for name in NAMES:
        result[name] = float(found[name]) if name in found else None
        result[f"{name}_interval"] = intervals.get(name)
    return result


def _intervals(
    values: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    found: dict[str, float],
    nano_nm: float,
    bootstrap: int,
    seed: int,
) -> dict[str, list[float]]:
    """Intervals over samples of whole clusters of values (n,), rising; none of few clusters."""

    def statistics(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        used = weights > 0
        with np.errstate(invalid="ignore"):  # a particle drawn twice has no spread: 0 / 0
            made = _statistics(*_twice(values[used], weights[used]), nano_nm)
        return np.nan_to_num(list(made.values()))

    drawn = clustered.samples(statistics, values, weights, cluster, bootstrap=bootstrap, seed=seed)
    if drawn is None:
        return {}
    n = int(cluster.max()) + 1
    intervals = {}
    for (name, value), column in zip(found.items(), drawn.T, strict=True):
        if name == "share_below_nano":
            ends = clustered.percentile_interval(column, n)
        else:
            # A sample of one particle again and again has no spread to tell of.
            column = column[column > NO_SPREAD * found["mean"]] if name == "sd" else column
            if column.size < 2:
                ends = (value, value)
            else:
                ends = clustered.student_intervals(np.array([value]), column[:, None], n)[0]
        intervals[name] = [float(end) for end in ends]
    low, high = intervals["geometric_sd"]
    intervals["geometric_sd"] = [max(low, 1.0), high]  # none is below
    return intervals


def _twice(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same; a single value twice, whose statistics are its own but for the spread."""
    return (np.repeat(values, 2), np.repeat(weights, 2)) if values.size == 1 else (values, weights)


def _expect_positive(name: str, numbers: np.ndarray) -> None:
    bad = numbers[~((numbers > 0) & np.isfinite(numbers))]
    if bad.size:
        raise ValueError(f"{name} must be positive and finite, got {bad[0]}")
