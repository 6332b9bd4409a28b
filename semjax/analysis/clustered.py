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


def intervals(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    values: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    *,
    bootstrap: int,
    seed: int,
) -> np.ndarray | None:
    """95 % bootstrap intervals of statistics, drawing whole clusters.

    As many clusters as there are get drawn with replacement, and each comes with all its particles.
    Those are not drawn once more: what two stages of drawing add to the variance is there already,
    since particles vary within the clusters drawn.

    The ends are not the 2.5th and 97.5th percentile but a little further out, so that for a mean
    over few clusters they agree with Student's t instead of the normal distribution.

    Args:
        statistic: of values (n,) and weights (n,), zero for particles that are not drawn; gives
            (k,) numbers, NaN for what cannot be said.
        values: (n,), or (n, m) for a statistic of several columns.
        weights: (n,), positive.
        cluster: of each particle, (n,), 0 to G - 1, as from `clusters`.
        bootstrap: number of samples.
        seed: of the samples; the same for two quantities means the same images drawn.

    Returns:
        (k, 2) low and high ends, NaN where no sample had the statistic; None for fewer than two
        clusters or no samples.

    Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8; Field
    and Welsh, Journal of the Royal Statistical Society B 69 (2007) 369, for whole clusters;
    Hesterberg, The American Statistician 69 (2015) 371, "expanded percentile", for the ends.
    """
    n = int(cluster.max(initial=-1)) + 1
    if n < 2 or bootstrap < 1:
        return None
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(bootstrap):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        samples.append(statistic(values, weights * times[cluster]))
    drawn = np.stack(samples)
    tail = stats.norm.cdf(
        stats.t.ppf((1 - CONFIDENCE) / 2, n - 1) * np.sqrt(n / (n - 1)),
    )
    ends = np.full((drawn.shape[1], 2), np.nan)
    for i, column in enumerate(drawn.T):
        usable = column[np.isfinite(column)]
        if usable.size:
            ends[i] = np.quantile(usable, (tail, 1 - tail))
    return ends


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
