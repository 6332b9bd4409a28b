"""Scores of the choice of particles: are those that are kept the ones that can be measured?

A person, or the simulation, gave a verdict on every true particle. What the choice is worth shows
only beside two others on the same labels: everything kept, and a fixed rule of area and solidity.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semjax.analysis import scores

GOOD, BAD, OPEN = 1, 0, -1
RULE_AREA_PX = 200
RULE_SOLIDITY = 0.85


def verdicts(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The class of each true particle, by the majority of its pixels.

    Args:
        labels: the truth, (h, w), 1..N.
        classes: (h', w') with non-zero for good particles, or (h', w', 3) in pure colours: green
            good, blue undecided, red bad. Rows or columns may be missing; what lies there, touches
            the image's border or has no colour is open.

    Returns:
        int8 (N + 1,) by label, 0 first: GOOD, BAD or OPEN.
    """
    h, w = (min(a, b) for a, b in zip(labels.shape, classes.shape, strict=False))
    part, n = labels[:h, :w].ravel(), int(labels.max(initial=0)) + 1
    if classes.ndim == 2:
        good = (classes[:h, :w] != 0).ravel()
        votes = np.stack([good, ~good, np.zeros_like(good)])
    else:
        red, green, blue = (classes[:h, :w, i].ravel() > 127 for i in range(3))
        votes = np.stack([green, red & ~green, ~(red | green)])
    counts = np.stack([np.bincount(part, vote, n) for vote in votes])
    verdict = np.array([GOOD, BAD, OPEN], np.int8)[counts.argmax(axis=0)]
    beyond = np.concatenate([labels[h:].ravel(), labels[:, w:].ravel()])
    for cut in (beyond, labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()):
        verdict[cut] = OPEN
    verdict[0] = OPEN
    return verdict


def fixed_rule(table: pd.DataFrame) -> np.ndarray:
    """Whether each particle of a table has at least 200 px and a solidity of 0.85, bool (N,)."""
    large = table["area_px"] >= RULE_AREA_PX
    return (large & (table["solidity"] >= RULE_SOLIDITY)).to_numpy()


def judge(labels: np.ndarray, truth: np.ndarray, verdict: np.ndarray) -> np.ndarray:
    """The verdict on each predicted particle: that of the true one that it matches.

    Args:
        labels: predicted, (h, w), 1..N.
        truth: (h, w), 1..M.
        verdict: (M + 1,), see `verdicts`.

    Returns:
        int8 (N,), GOOD, BAD or OPEN; BAD where no true particle is matched at an IoU of 0.5.
    """
    pairs = scores.match(labels, truth)
    chosen = scores.matched(pairs)
    found = np.full(int(labels.max(initial=0)), BAD, np.int8)
    found[pairs.predicted[chosen] - 1] = verdict[pairs.truth[chosen]]
    return found


def count(labels: np.ndarray, keep: np.ndarray, truth: np.ndarray, verdict: np.ndarray) -> dict:
    """Right and wrong choices in one image.

    A kept particle is right when it matches a good one at an IoU of 0.5; it does not count when it
    matches an open one; else it is wrong. Good particles without a kept match are missed.

    Args:
        labels: predicted, (h, w), 1..N.
        keep: bool (N,).
        truth: (h, w), 1..M.
        verdict: (M + 1,), see `verdicts`.

    Returns:
        Counts `tp`, `fp`, `fn`, ready for `pooled`.
    """
    kept = judge(labels, truth, verdict)[keep]
    right = int(np.count_nonzero(kept == GOOD))
    return {
        "tp": right,
        "fp": int(np.count_nonzero(kept == BAD)),
        "fn": int(np.count_nonzero(verdict == GOOD)) - right,
    }


def pooled(counts: Sequence[dict]) -> dict[str, float]:
    """Precision, recall and F1 of a set of images from the `count` of each, 1 of nothing.

    TP / (TP + FP), TP / (TP + FN) and 2 TP / (2 TP + FP + FN) of all images' counts together.

    Source: van Rijsbergen, Information Retrieval (1979), chapter 7.
    """
    tp, fp, fn = (sum(c[name] for c in counts) for name in ("tp", "fp", "fn"))
    return {
        "precision": tp / (tp + fp) if tp + fp else 1.0,
        "recall": tp / (tp + fn) if tp + fn else 1.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0,
        **{"tp": tp, "fp": fp, "fn": fn},
    }
