"""Summary of a size distribution, with intervals."""

from typing import Any

import numpy as np

from semjax.analysis import clustered

_BLOCK = 2**22  # resampled values held at once
NO_SPREAD = 1e-9  # of the mean; a smaller standard deviation is a rounding error


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


def _weighted_statistics(
    values: np.ndarray, weights: np.ndarray, nano_nm: float
) -> dict[str, np.ndarray]:
    """The same with weights; both (rows, n), values rising along the last axis."""
    total = weights.sum(-1)
    # n - 1 for equal weights: the variance of independent values is unbiased (see `summarize`).
    free = total - (weights**2).sum(-1) / total
    middles = np.cumsum(weights, -1) - weights / 2
    low, span = middles[:, :1], middles[:, -1:] - middles[:, :1]
    places = (middles - low) / span
    percentiles = [np.interp((0.1, 0.5, 0.9), p, v) for p, v in zip(places, values, strict=True)]
    d10, d50, d90 = np.transpose(percentiles)

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (weights * x).sum(-1) / total
        return mean, np.sqrt((weights * (x - mean[:, None]) ** 2).sum(-1) / free)

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
        "share_below_nano": (weights * (values < nano_nm)).sum(-1) / total,
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
    particles are drawn, and the interval runs from the 2.5th to the 97.5th percentile: it is too
    narrow if images differ.

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
        bootstrap: number of samples; 0 gives no intervals.
        seed: of the samples; the same seed gives the same intervals.
        nano_nm: `share_below_nano` is the share of values below it.

    Returns:
        `n`, `nano_nm`, `drawn` (images or particles), and for `mean`, `median`, `sd`, `d10`,
        `d50`, `d90`, `geometric_mean`, `geometric_sd` and `share_below_nano` the value and, as
        `<name>_interval`, [low, high].
        Plain numbers, ready for JSON. What cannot be said is None: everything without values, both
        standard deviations and all intervals of a single value.

    Raises:
        ValueError: for values or weights that are not positive and finite, or not as many of both.

    Source: ISO 9276-2 and -5 for the quantities; Efron and Tibshirani, An Introduction to the
    Bootstrap (1993), chapter 13, for the intervals; Kish, Survey Sampling (1965), chapter 11, for
    the effective number.
    """
    values = np.asarray(values, np.float64).ravel()
    _expect_positive("sizes", values)
    rank = order = np.arange(values.size)
    if weights is not None:
        weights = np.asarray(weights, np.float64).ravel()
        _expect_positive("weights", weights)
        if weights.size != values.size:
            raise ValueError(f"{values.size} sizes need as many weights, got {weights.size}")
        # Sorted once; samples are then sorted as whole numbers. Of equal sizes the lighter comes
        # first, so that the order in which particles are given does not matter.
        order = np.lexsort((weights, values))
        values, weights, rank = values[order], weights[order], np.argsort(order)

    def describe(drawn: np.ndarray) -> dict[str, np.ndarray]:
        if weights is None:
            return _statistics(values[drawn], nano_nm)
        drawn = np.sort(rank[drawn], axis=-1)
        return _weighted_statistics(values[drawn], weights[drawn], nano_nm)

    cluster = np.arange(values.size)
    whole = False
    if images is not None:
        images = np.asarray(images).ravel()
        if images.size != values.size:
            raise ValueError(f"{values.size} sizes need as many images, got {images.size}")
        cluster, weak = clustered.clusters(images[order])
        whole = weak is None
    result: dict[str, Any] = {
        "n": int(values.size),
        "nano_nm": float(nano_nm),
        "drawn": "images" if whole else "particles",
    }
    # Statistics of a single value are those of it twice, but for its spread.
    every = np.arange(values.size) if values.size > 1 else np.zeros(2, int)
    names = list(_statistics(np.ones(2), nano_nm))
    found = {name: x[0] for name, x in describe(every[None]).items()} if values.size else {}
    if values.size == 1:
        del found["sd"], found["geometric_sd"]
    intervals = {}
    if whole and bootstrap > 1:
        intervals = _by_images(values, weights, cluster, found, nano_nm, bootstrap, seed)
    elif not whole and values.size > 1 and bootstrap > 0:
        rng = np.random.default_rng(seed)
        rows = max(1, _BLOCK // values.size)
        blocks = [
            describe(rng.integers(values.size, size=(min(rows, bootstrap - i), values.size)))
            for i in range(0, bootstrap, rows)
        ]
        for name in names:
            drawn = np.concatenate([block[name] for block in blocks])
            intervals[name] = [float(x) for x in np.percentile(drawn, (2.5, 97.5))]
    for name in names:
        result[name] = float(found[name]) if name in found else None
        result[f"{name}_interval"] = intervals.get(name)
    return result


def _by_images(
    values: np.ndarray,
    weights: np.ndarray | None,
    cluster: np.ndarray,
    found: dict[str, np.ndarray],
    nano_nm: float,
    bootstrap: int,
    seed: int,
) -> dict[str, list[float]]:
    """Intervals over samples of whole images."""
    order = np.argsort(values, kind="stable")
    values, cluster = values[order], cluster[order]
    weights = np.ones(values.size) if weights is None else weights[order]

    def statistics(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        used = np.flatnonzero(weights)
        # A single particle is itself twice, half as often, see `summarize`.
        used = np.repeat(used, 2) if used.size == 1 else used
        with np.errstate(invalid="ignore"):  # a particle drawn twice has no spread: 0 / 0
            made = _weighted_statistics(values[used][None], weights[used][None], nano_nm)
        return np.nan_to_num([x[0] for x in made.values()])

    drawn = clustered.samples(statistics, values, weights, cluster, bootstrap=bootstrap, seed=seed)
    assert drawn is not None  # there are images enough
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


def _expect_positive(name: str, numbers: np.ndarray) -> None:
    bad = numbers[~((numbers > 0) & np.isfinite(numbers))]
    if bad.size:
        raise ValueError(f"{name} must be positive and finite, got {bad[0]}")
