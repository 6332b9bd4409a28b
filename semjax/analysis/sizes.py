"""How well a measured size distribution agrees with the true one."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from semjax.analysis import clustered

NAMES = ("mean", "median", "d10", "d90", "log_gsd")
DISTANCES = ("wasserstein", "kolmogorov_smirnov")
_BLOCK = 2**18  # resampled values held at once; more leave the cache


def compare(
    found: np.ndarray,
    true: np.ndarray,
    *,
    images: tuple[np.ndarray, np.ndarray] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Errors of a measured sample of sizes against the true one.

    Particles of one image are alike, and an image's measured and true particles are the same ones.
    So images are drawn, each with all its particles of both sides. With fewer than five images, or
    where these are not given, particles are drawn, of each side by itself.

    Args:
        found: positive lengths or areas, (n,).
        true: the same of the true particles, in the same unit, (m,).
        images: names of the particles' images, (n,) and (m,).
        bootstrap: samples for the intervals.
        seed: of the bootstrap.

    Returns:
        - `n_found`, `n_true`, `drawn` (images or particles);
        - for each of mean, median, D10, D90 and the geometric standard deviation's logarithm
          (`log_gsd`) the two values, `<name>_error` = found / true - 1;
        - `wasserstein`: mean distance over which sizes have to be moved, the integral of
          |F - G| over the size for the two cumulative distributions F and G, in the unit given;
        - `kolmogorov_smirnov`: largest |F - G|;
        - `<name>_interval` of each error and each distance: 95 %, percentiles of the bootstrap.
          Samples differ more from each other than the two sides do, so intervals of distances lie
          too high where these are small.

        None where a side has no particles, or a single one has no spread.

    Raises:
        ValueError: sizes that are not positive, or not as many names of images.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Vallender,
    Theory of Probability and Its Applications 18 (1974) 784, for the Wasserstein distance in one
    dimension; Massey, Journal of the American Statistical Association 46 (1951) 68.
    """
    sides = [np.asarray(side, np.float64).ravel() for side in (found, true)]
    if not all(np.isfinite(side).all() and (side > 0).all() for side in sides):
        raise ValueError("sizes must be positive and finite; drop particles without a size first")
    groups = _groups(sides, images)
    drawn = "particles" if groups is None else "images"
    result: dict[str, Any] = {"n_found": sides[0].size, "n_true": sides[1].size, "drawn": drawn}
    if not all(side.size for side in sides):
        ends = ("", "_true", "_error", "_interval")
        keys = [f"{name}{end}" for name in NAMES for end in ends]
        keys += [f"{name}{end}" for name in DISTANCES for end in ("", "_interval")]
        return result | dict.fromkeys(keys)
    orders = [np.argsort(side, kind="stable") for side in sides]
    sides = [side[order] for side, order in zip(sides, orders, strict=True)]
    if groups is not None:
        groups = [group[order] for group, order in zip(groups, orders, strict=True)]

    every = [np.ones((1, side.size)) for side in sides]
    here, there = (_statistics(*side)[:, 0] for side in zip(sides, every, strict=True))
    values = [_error(here, there), _distances(sides, every)[:, 0]]
    blocks = list(_draw(sides, groups, bootstrap, np.random.default_rng(seed)))
    errors = [
        _error(*(_statistics(*side) for side in zip(sides, counts, strict=True)))
        for counts in blocks
    ]
    distances = [_distances(sides, counts) for counts in blocks]
    for i, name in enumerate(NAMES):
        result[name], result[f"{name}_true"] = _plain(here[i]), _plain(there[i])
        result[f"{name}_error"] = _plain(values[0][i])
        result[f"{name}_interval"] = _interval([block[i] for block in errors])
    for i, name in enumerate(DISTANCES):
        result[name] = _plain(values[1][i])
        result[f"{name}_interval"] = _interval([block[i] for block in distances])
    return result


def _groups(
    sides: list[np.ndarray], images: tuple[np.ndarray, np.ndarray] | None
) -> list[np.ndarray] | None:
    """Number of each particle's image on both sides; None where particles are to be drawn."""
    if images is None:
        return None
    names = [np.asarray(side, str).ravel() for side in images]
    if [side.size for side in names] != [side.size for side in sides]:
        raise ValueError(
            f"{sides[0].size} and {sides[1].size} sizes need as many names of images, got "
            f"{names[0].size} and {names[1].size}"
        )
    known, number = np.unique(np.concatenate(names), return_inverse=True)
    if known.size < clustered.MIN_IMAGES:
        return None
    return [number[: names[0].size], number[names[0].size :]]


def _draw(
    sides: list[np.ndarray],
    groups: list[np.ndarray] | None,
    bootstrap: int,
    rng: np.random.Generator,
) -> Iterator[list[np.ndarray]]:
    """How often each particle of both sides is drawn, (b, n) and (b, m), in blocks."""
    rows = max(1, _BLOCK // sum(side.size for side in sides))
    for first in range(0, bootstrap, rows):
        b = min(rows, bootstrap - first)
        if groups is None:
            yield [rng.multinomial(n, np.full(n, 1 / n), size=b) for n in map(len, sides)]
        else:
            n = 1 + max(int(group.max()) for group in groups)
            counts = rng.multinomial(n, np.full(n, 1 / n), size=b)
            yield [counts[:, group] for group in groups]


def _statistics(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Those of `NAMES` of sizes (n,), rising, that occur so many times (b, n): (5, b)."""
    n = counts.sum(axis=1)
    reached = counts.cumsum(axis=1)
    logs = np.log(values / values.mean())
    with np.errstate(divide="ignore", invalid="ignore"):  # a sample of nothing says nothing
        mean = counts @ values / n
        spread = counts @ logs**2 - (counts @ logs) ** 2 / n
        log_sd = np.sqrt(np.maximum(spread, 0.0) / (n - 1))
    d10, median, d90 = (_percentile(values, reached, n, share) for share in (0.1, 0.5, 0.9))
    return np.stack([mean, median, d10, d90, log_sd])


def _percentile(values: np.ndarray, reached: np.ndarray, n: np.ndarray, share: float) -> np.ndarray:
    """As `np.percentile` has it of the sizes repeated: linear between neighbours in order."""
    place = share * np.maximum(n - 1, 0)
    below = np.floor(place)
    last = len(values) - 1
    low, high = (
        values[np.minimum((reached <= at[:, None]).sum(axis=1), last)]
        for at in (below, np.minimum(below + 1, n - 1))
    )
    return np.where(n > 0, low + (place - below) * (high - low), np.nan)


def _distances(sides: list[np.ndarray], counts: list[np.ndarray]) -> np.ndarray:
    """Those of `DISTANCES` between sizes (n,) and (m,) that occur so many times: (2, b)."""
    pooled = np.concatenate(sides)
    order = np.argsort(pooled, kind="stable")
    pooled = pooled[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [count / count.sum(axis=1, keepdims=True) for count in counts]
    steps = np.concatenate([shares[0], -shares[1]], axis=1)[:, order]
    apart = np.abs(steps.cumsum(axis=1)[:, :-1])
    gaps = np.diff(pooled)
    return np.stack([apart @ gaps, apart[:, gaps > 0].max(axis=1, initial=0.0)])


def _error(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return found / true - 1


def _interval(drawn: list[np.ndarray]) -> list[float] | None:
    values = np.concatenate([*drawn, []])
    values = values[np.isfinite(values)]
    tail = 50 * (1 - clustered.CONFIDENCE)
    return [float(v) for v in np.percentile(values, (tail, 100 - tail))] if values.size else None


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
