"""What speaks for a particle, weighed: the classifier network's score and the particle's own shape.

The network sees an occlusion in the picture; a dent in the outline or an odd size says as much in
one number, and carries over better from simulated pictures to real ones. A logistic regression on
particles that the network was not trained on weighs them, which calibrates the score as well.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import wasserstein_distance

SHAPE = ("solidity", "circularity", "aspect_ratio")
LIMIT = 1e-3  # scores nearer 0 or 1 count as these
RIDGE = 1e-3
AS_GOOD = 0.05  # thresholds whose F1 is not farther from the best may be chosen


def collect(table: pd.DataFrame, score: np.ndarray) -> np.ndarray:
    """What is known of each particle, (N, 5): the score's logit, log area and three shape numbers.

    Args:
        table: a row a particle, as `regions.measure` gives it.
        score: the network's mean score of each row, (N,) in [0, 1].
    """
    shape = table[list(SHAPE)].to_numpy(np.float64)
    area = np.log(table["area_px"].to_numpy(np.float64))
    return np.column_stack([logit(np.clip(score, LIMIT, 1 - LIMIT)), area, shape])


def fit(evidence: np.ndarray, good: np.ndarray) -> dict[str, Any]:
    """Weights of the evidence, by logistic regression on it and its squares with a small ridge.

    Args:
        evidence: (N, k), see `collect`.
        good: bool (N,), both values must occur.

    Returns:
        `mean` and `scale` (k,) of the evidence, `weights` (2 k,) and `bias`, ready for JSON.

    Raises:
        ValueError: particles of one kind alone.
    """
    good = np.asarray(good, bool)
    if good.all() or not good.any():
        raise ValueError("weighing evidence needs good particles and bad ones; all are alike.")
    mean, scale = evidence.mean(0), np.maximum(evidence.std(0), 1e-6)
    x = _expand(evidence, mean, scale)
    sign = np.where(good, 1.0, -1.0)

    def loss(coefficients):
        weights, bias = coefficients[:-1], coefficients[-1]
        margin = sign * (x @ weights + bias)
        slope = -sign * expit(-margin) / sign.size
        gradient = np.append(x.T @ slope + 2 * RIDGE * weights, slope.sum())
        return np.logaddexp(0, -margin).mean() + RIDGE * weights @ weights, gradient

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return {
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "weights": found[:-1].tolist(),
        "bias": float(found[-1]),
    }


def weigh(evidence: np.ndarray, fitted: dict[str, Any]) -> np.ndarray:
    """Probability (N,) that a particle is good, from its evidence (N, k) and what `fit` found."""
    x = _expand(evidence, np.array(fitted["mean"]), np.array(fitted["scale"]))
    return expit(x @ np.array(fitted["weights"]) + fitted["bias"])


def choose_threshold(
    probability: np.ndarray, good: np.ndarray, sizes: np.ndarray, wanted: np.ndarray
) -> float:
    """The threshold whose kept particles have the sizes of all that ought to be measured.

    Near its maximum F1 is flat, and the best threshold favours large particles: small ones are
    found less well and score less. So of this one and all lower ones of a good F1 the one is taken
    with the least Wasserstein distance between the sizes kept and those wanted. Above the best
    they can only agree by accident, where large particles happen to score less, too.

    Args:
        probability: (N,) in [0, 1].
        good: bool (N,).
        sizes: (N,), of the particles found.
        wanted: (M,), of all true particles that can be measured, those not found included.

    Returns:
        The threshold, midway between two particles; 1/2 if all particles are alike.
    """
    good = np.asarray(good, bool)
    if good.all() or not good.any():
        return 0.5
    order = np.argsort(probability, kind="stable")
    value, good = probability[order], good[order]
    # With the threshold below particle i, the i before it are dropped.
    right = good[::-1].cumsum()[::-1]
    f1 = 2 * right / (np.arange(good.size, 0, -1) + good.sum())
    cuts = np.flatnonzero(np.diff(value, prepend=-1.0) > 0)
    cuts = cuts[: f1[cuts].argmax() + 1]
    cuts = cuts[f1[cuts] >= f1[cuts].max() - AS_GOOD]
    left = sizes[order]
    best = min(cuts, key=lambda cut: wasserstein_distance(left[cut:], wanted))
    return float((value[best - 1] + value[best]) / 2) if best else float(value[0] / 2)


def _expand(evidence: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    # Beyond what was seen in training, squares would run away.
    x = np.clip((evidence - mean) / scale, -4, 4)
    return np.concatenate([x, x**2], axis=1)
