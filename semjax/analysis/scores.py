"""Scores of predicted labels against the truth: foreground, and particle by particle.

A predicted and a true particle match at a threshold t when their intersection over union (IoU) is
at least t. Each particle matches at most once, and missed particles count. Take care that the truth
is labelled with 4-connectivity (`label_truth`): masks drawn with thin separating lines lose a
quarter of their particles with 8. Specks are the caller's to drop, on both sides (`drop_specks`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
MIN_AREA_PX = 9

_FOREGROUND_SCORES = ("image_iou", "dice", "youden")


class Pairs(NamedTuple):
    """Overlapping pairs of a predicted and a true particle, all arrays (p,), and both counts."""

    predicted: np.ndarray  # labels, from 1
    truth: np.ndarray  # labels, from 1
    iou: np.ndarray  # in (0, 1]
    n_predicted: int
    n_truth: int


def label_truth(mask: np.ndarray) -> np.ndarray:
    """Particles of a mask (h, w), any non-zero value, as int32 labels: 4-connected components."""
    return ndimage.label(mask != 0)[0].astype(np.int32)


def drop_specks(labels: np.ndarray, min_area_px: int = MIN_AREA_PX) -> np.ndarray:
    """Labels (h, w) without particles of fewer pixels than `min_area_px`, numbered 1..M, int32."""
    area = np.bincount(labels.ravel())
    keep = area >= max(min_area_px, 1)
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]


def match(labels: np.ndarray, truth: np.ndarray) -> Pairs:
    """All overlapping pairs of predicted and true particles, with their IoU.

    Args:
        labels: predicted, (h, w), 0 background.
        truth: (h, w), 0 background.

    Raises:
        ValueError: if the shapes differ.
    """
    if labels.shape != truth.shape:
        raise ValueError(
            f"labels and truth must have one shape, got {labels.shape} and {truth.shape}"
        )
    area = np.bincount(labels.ravel(), minlength=1)
    area_truth = np.bincount(truth.ravel(), minlength=1)
    both = (labels > 0) & (truth > 0)
    pair = labels[both].astype(np.int64) * area_truth.size + truth[both]
    pair, overlap = np.unique(pair, return_counts=True)
    i, j = np.divmod(pair, area_truth.size)
    iou = overlap / (area[i] + area_truth[j] - overlap)
    n_predicted, n_truth = (int(np.count_nonzero(a[1:])) for a in (area, area_truth))
    return Pairs(i, j, iou, n_predicted, n_truth)


def matched(pairs: Pairs, iou_threshold: float = 0.5) -> np.ndarray:
    """Indices into `pairs` of the optimal one-to-one matching at an IoU threshold.

    For a threshold of at least 1/2 no search is needed. Particles of one label image are disjoint,
    so an IoU above 1/2 excludes any other pair of 1/2 or more with either particle; and two pairs
    of exactly 1/2 compete only where one particle consists of two halves: either may be taken.

    Raises:
        ValueError: for a threshold below 1/2.
    """
    if iou_threshold < 0.5:
        raise ValueError(f"iou_threshold must be at least 0.5, got {iou_threshold}")
    # Thresholds like 0.55 are not exact in binary: 11 of 20 pixels still match at 0.55.
    chosen = np.flatnonzero(pairs.iou >= iou_threshold - 1e-9)
    for side in (pairs.predicted, pairs.truth):
        chosen = chosen[np.unique(side[chosen], return_index=True)[1]]
    return chosen


def _ratio(part: float, whole: float) -> float:
    """Part of a whole; 1 of nothing: what is empty on both sides is right."""
    return float(part / whole) if whole else 1.0


def _score_foreground(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    tp = np.count_nonzero(predicted & truth)
    fp = np.count_nonzero(predicted) - tp
    fn = np.count_nonzero(truth) - tp
    tn = truth.size - tp - fp - fn
    return {
        "image_iou": _ratio(tp, tp + fp + fn),
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "youden": _ratio(tp, tp + fn) + _ratio(tn, tn + fp) - 1.0,
    }


def _score_counts(n: int, n_truth: int, tp: Sequence[int], iou_sum: float) -> dict[str, Any]:
    scores = {"n_predicted": n, "n_truth": n_truth}
    for name, true in (("50", tp[0]), ("75", tp[IOU_THRESHOLDS.index(0.75)])):
        scores[f"precision_{name}"] = _ratio(true, n) if n else float(n_truth == 0)
        scores[f"recall_{name}"] = _ratio(true, n_truth) if n_truth else float(n == 0)
        scores[f"f1_{name}"] = _ratio(2 * true, n + n_truth)
    scores["mean_ap"] = float(np.mean([_ratio(true, n + n_truth - true) for true in tp]))
    scores["pq"] = _ratio(iou_sum, (n + n_truth) / 2)
    scores["tp"], scores["fp"], scores["fn"] = tp[0], n - tp[0], n_truth - tp[0]
    scores["tp_by_threshold"] = list(tp)
    scores["iou_sum"] = iou_sum
    return scores


def score(
    labels: np.ndarray, truth: np.ndarray, foreground: np.ndarray | None = None
) -> dict[str, Any]:
    """Scores of one image's labels.

    Args:
        labels: predicted, (h, w), 0 background.
        truth: (h, w), 0 background.
        foreground: the prediction before any splitting, (h, w), non-zero inside; `labels > 0` if
            not given.

    Returns:
        Plain numbers, ready for JSON:

        - `image_iou` = TP / (TP + FP + FN), `dice` = 2 TP / (2 TP + FP + FN) and `youden` =
          TP / (TP + FN) + TN / (TN + FP) - 1, of the foreground's pixels;
        - `precision_50` = TP / (TP + FP), `recall_50` = TP / (TP + FN), `f1_50` =
          2 TP / (2 TP + FP + FN), of particles at IoU 0.5, and the same at 0.75;
        - `mean_ap`, mean of TP / (TP + FP + FN) over the IoU thresholds 0.5, 0.55, ... 0.95;
        - `pq`, panoptic quality: sum of the matches' IoU at 0.5 / (TP + FP / 2 + FN / 2);
        - the counts `n_predicted`, `n_truth`, `tp`, `fp`, `fn` at 0.5, `tp_by_threshold`, and
          `iou_sum`, from which `pooled` scores several images.

        What is empty in both scores 1; predictions where there is nothing, or none where there is
        something, score 0. Only Youden's index of an empty truth is the share of the ground that
        is left free.

    Raises:
        ValueError: if the shapes differ.

    Source: Caicedo et al., Nature Methods 16 (2019) 1247 for the mean over thresholds; Kirillov et
    al., CVPR 2019 for PQ; Youden, Cancer 3 (1950) 32.
    """
    pairs = match(labels, truth)
    foreground = labels if foreground is None else foreground
    if foreground.shape != truth.shape:
        raise ValueError(
            f"foreground and truth must have one shape, got {foreground.shape} and {truth.shape}"
        )
    tp = [len(matched(pairs, threshold)) for threshold in IOU_THRESHOLDS]
    iou_sum = float(pairs.iou[matched(pairs)].sum())
    return _score_foreground(foreground != 0, truth != 0) | _score_counts(
        pairs.n_predicted, pairs.n_truth, tp, iou_sum
    )


def pooled(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of a set of images from the `score` of each.

    Foreground scores (`image_iou`, `dice`, `youden`) are means over the images. All scores of
    particles are computed from TP, FP and FN summed over the images, so that every particle counts
    the same, wherever it lies. Beside them `f1_50_per_image` and `pq_per_image` are means over the
    images.

    Raises:
        ValueError: without images.
    """
    if not scores:
        raise ValueError("pooled needs the scores of at least one image, got none")
    result: dict[str, Any] = {"n_images": len(scores)}
    result |= {name: float(np.mean([s[name] for s in scores])) for name in _FOREGROUND_SCORES}
    tp = [sum(column) for column in zip(*(s["tp_by_threshold"] for s in scores), strict=True)]
    result |= _score_counts(
        sum(s["n_predicted"] for s in scores),
        sum(s["n_truth"] for s in scores),
        tp,
        float(sum(s["iou_sum"] for s in scores)),
    )
    for name in ("f1_50", "pq"):
        result[f"{name}_per_image"] = float(np.mean([s[name] for s in scores]))
    return result
