"""Intervals and standard errors that know that particles of one image are alike."""

from collections.abc import Callable

import numpy as np
from scipy import stats

MIN_IMAGES = 5  # with fewer, drawing images says nothing of how they differ
CONFIDENCE = 0.95


def clusters(images: np.ndarray) -> tuple[np.ndarray, str | None]:
    """What is drawn as a whole: the images, or particles where there are too few images.

    Args:
        images: name of each particle's image, (n,).

    Returns:
        The cluster of each particle, 0, 1, ..., int (n,), and None or a remark on its weakness.
    """
    names, cluster = np.unique(np.asarray(images, str), return_inverse=True)
    if names.size >= MIN_IMAGES:
        return cluster, None
    note = (
        f"Only {names.size} image{'s' * (names.size != 1)} with particles (fewer than "
        f"{MIN_IMAGES}): particles were taken as independent, so intervals and standard errors "
        "are too small if images differ."
    )
    return np.arange(cluster.size), note


def samples(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    values: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    *,
    bootstrap: int,
    seed: int,
) -> np.ndarray | None:
    """Statistics of samples of whole clusters.

    As many clusters as there are get drawn with replacement, and each comes with all its particles.
    Those are not drawn once more: what two stages of drawing add to the variance is there already,
    since particles vary within the clusters drawn.

    Args:
        statistic: of values (n,) and weights (n,), zero for particles that are not drawn; gives
            (k,) numbers.
        values: (n,).
        weights: (n,), positive.
        cluster: of each particle, (n,), 0 to G - 1, as from `clusters`.
        bootstrap: number of samples.
        seed: of the samples; the same for two quantities means the same images drawn.

    Returns:
        (bootstrap, k); None for fewer than five clusters or two samples.

    Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8; Field
    and Welsh, Journal of the Royal Statistical Society B 69 (2007) 369.
    """
    n = int(cluster.max(initial=-1)) + 1
    if n < MIN_IMAGES or bootstrap < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(n, size=n) for _ in range(bootstrap))
    return np.stack(
        [statistic(values, weights * np.bincount(d, minlength=n)[cluster]) for d in drawn]
    )


def student_intervals(found: np.ndarray, drawn: np.ndarray, n: int) -> np.ndarray:
    """95 % intervals of positive statistics: Student's t on their logarithms.

    The logarithm's standard error is the spread over samples, which for n clusters is too small by
    sqrt((n - 1) / n). Percentiles of the samples are worse: they are too narrow for few clusters,
    and what spreads come out too small in the sample do so once more in samples of it.

    In simulations of images that differ as much as two thirds of the spread within one (see the
    tests), intervals cover means and medians in 93 to 97 % of all cases with 6 to 40 images; D10,
    D90 and geometric standard deviations in 85 to 92 % with 6 images, 90 to 93 % with 40.

    Args:
        found: of all clusters, positive, (k,).
        drawn: from `samples`, (b, k).
        n: number of clusters.

    Returns:
        (k, 2) low and high ends.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 12.
    """
    logs = np.log(drawn)
    error = np.sqrt(n / (n - 1)) * logs.std(axis=0, ddof=1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error
    return np.stack([found * np.exp(-half), found * np.exp(half)], axis=1)


def percentile_interval(drawn: np.ndarray, n: int) -> tuple[float, float]:
    """95 % interval of a share, which may be 0 or 1, from its samples (b,) over n clusters.

    The ends lie further out than the 2.5th and 97.5th percentile, so that for a mean over few
    clusters they agree with Student's t instead of the normal distribution.

    Source: Hesterberg, The American Statistician 69 (2015) 371, "expanded percentile".
    """
    t = stats.t.ppf((1 - CONFIDENCE) / 2, n - 1)
    tail = stats.norm.cdf(t * np.sqrt(n / (n - 1)))
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return float(low), float(high)


def standard_error(
    values: np.ndarray, weights: np.ndarray, cluster: np.ndarray
) -> tuple[float, int] | None:
    """Standard error of a weighted mean over particles in clusters, and its degrees of freedom.

    The mean is the ratio sum(w x) / sum(w); its variance is G / (G - 1) times the sum over the G
    clusters of (sum in the cluster of w (x - mean))^2, over sum(w)^2. With every particle a cluster
    of its own and equal weights, this is the usual s / sqrt(n).

    Returns:
        The standard error in the values' unit and G - 1; None for fewer than two clusters.

    Source: Cochran, Sampling Techniques (1977), sections 6.3 and 9A (ratio over clusters).
    """
    n = int(cluster.max(initial=-1)) + 1
    if n < 2:
        return None
    total = weights.sum()
    deviations = weights * (values - (weights * values).sum() / total)
    sums = np.bincount(cluster, deviations, minlength=n)
    return float(np.sqrt(n / (n - 1) * (sums**2).sum()) / total), n - 1
