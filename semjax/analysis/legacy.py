"""The scores of the paper's Table 1, as its authors' programs compute them.

They are here to be compared with published rows and nothing else: instance IoU forgets missed
particles and merges a quarter of the true ones, the warping error forgives an empty prediction.
Scores to steer by are in `scores`. Source: Rühle, Krumrey and Hodoroaba, Sci. Rep. 11 (2021) 4942,
and the programs published with it; metrics on boundaries: Arganda-Carreras et al., Frontiers in
Neuroanatomy 9 (2015) 142.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage, sparse
from skimage.feature import peak_local_max
from skimage.segmentation import watershed as flood

from semjax.analysis.distance import to_background
from semjax.analysis.warping import distinct, warping_errors

THRESHOLDS = tuple(round(0.1 * i, 1) for i in range(11))
_MIN_DISTANCE_PX = 9
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = np.ones((3, 3), bool)


def cut_lines(mask: np.ndarray) -> np.ndarray:
    """The paper's watershed: a mask (h, w) with particles parted by lines of background, bool.

    Markers are the peaks of the smoothed distance to the background that lie 9 px apart and 9 px
    from the image's border; pieces without a marker vanish, holes are filled, and diagonal contacts
    are opened. `split.watershed` is ours, which loses no particle.
    """
    mask = np.asarray(mask, bool)
    if mask.all() or not mask.any():
        return mask.copy()
    distance = ndimage.gaussian_filter(to_background(mask), 1.0)
    peaks = peak_local_max(distance, min_distance=_MIN_DISTANCE_PX, exclude_border=True)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    ground = np.pad(~_basins(-distance, markers, mask), 1, constant_values=True)
    outside = ndimage.label(ground, _SQUARE)[0] == 1
    return open_diagonals(~outside[1:-1, 1:-1])  # with holes filled


def _basins(height: np.ndarray, markers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask flooded from markers, without the lines where floods meet, bool (h, w).

    Floods of different pieces do not meet, and short queues are faster, so each has its own.
    """
    pieces, n_pieces = ndimage.label(mask)
    n_markers = np.bincount(pieces[markers > 0], minlength=n_pieces + 1)
    n_markers[0] = 0
    basins = (n_markers == 1)[pieces]  # a single flood fills its piece
    boxes = ndimage.find_objects(pieces)
    for i in np.flatnonzero(n_markers > 1):
        box = boxes[i - 1]
        piece = pieces[box] == i
        found = flood(height[box], markers[box], mask=piece, connectivity=1, watershed_line=True)
        basins[box] |= found > 0
    return basins


def open_diagonals(mask: np.ndarray) -> np.ndarray:
    """Removes contacts by corners only, so that 8-connected components are 4-connected ones.

    One pass from the top row down; of two pixels that touch by a corner the left one is cleared. As
    published, new contacts that arise above the row at hand remain.
    """
    mask = np.array(mask, bool)
    for upper, lower in zip(mask[:-1], mask[1:], strict=True):
        # Windows of a row clear pixels of their left column only, which the next ones do not read.
        a, b, c, d = upper[:-1], upper[1:], lower[:-1], lower[1:]
        keep = (a == b) | (c == d) | (a != d)
        a &= keep
        c &= keep
    return mask


def _filled_contours(mask: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """What the contours of a mask enclose, border pixels included, and the contours' areas.

    The 8-connected components with all that lies inside them, and their holes with the pixels
    around them: what OpenCV finds and fills. The area of a polygon through pixel centres is the
    number of 2 x 2 windows inside it, those with three pixels counting one half.

    Returns:
        0/1 matrix (contours, pixels), and areas (contours,).
    """
    padded = np.pad(mask, 1)
    objects, n_objects = ndimage.label(padded, _SQUARE)
    grounds, n_grounds = ndimage.label(~padded, _CROSS)
    node = np.where(padded, objects, n_objects + grounds)  # ground 1 lies outside
    outside = n_objects + 1
    node = node.ravel()
    pixels = np.flatnonzero(node != outside)
    holder = node[pixels]
    # Scanned by rows, the pixel before a component's first one belongs to what encloses it.
    numbers, first = np.unique(holder, return_index=True)
    parent = np.zeros(n_objects + n_grounds + 1, np.int64)
    parent[numbers] = node[pixels[first] - 1]
    rows, columns = [holder], [pixels]
    while pixels.size:
        holder = parent[holder]
        inside = holder != outside
        pixels, holder = pixels[inside], holder[inside]
        rows.append(holder)
        columns.append(pixels)
    if n_grounds > 1:  # the pixels around the holes
        holes = np.where(node > outside, node, 0)
        for step in (1, -1, padded.shape[1], -padded.shape[1]):
            beside = np.roll(holes, step)
            at = np.flatnonzero((beside > 0) & padded.ravel())
            rows.append(beside[at])
            columns.append(at)
    row, column = np.concatenate(rows), np.concatenate(columns)
    row = np.where(row > outside, row - 2, row - 1)  # no row for the outside
    shape = (n_objects + n_grounds - 1, node.size)
    filled = sparse.csr_array((np.ones(row.size, np.float32), (row, column)), shape=shape)
    filled.data[:] = 1  # a pixel beside a hole on two sides came twice
    width = padded.shape[1]
    pairs = filled + _shifted(filled, 1)
    corners = pairs + _shifted(pairs, width)
    area = (corners.data == 4) + 0.5 * (corners.data == 3)
    area = np.bincount(np.repeat(np.arange(shape[0]), np.diff(corners.indptr)), area, shape[0])
    return filled, area


def _shifted(matrix: sparse.csr_array, shift: int) -> sparse.csr_array:
    # Nothing lies on the padding's last row, so no pixel is shifted out.
    return sparse.csr_array((matrix.data, matrix.indices + shift, matrix.indptr), matrix.shape)


def instance_iou(mask: np.ndarray, truth: np.ndarray, *, min_area: float = 0.0) -> float:
    """Mean, over predicted contours, of the largest IoU with any true one.

    Contours of the 8-connected components and of holes, each filled; predicted ones of at most
    `min_area` (polygon through pixel centres) are left out. A mask without contours scores 0.

    Args:
        mask: predicted, bool (h, w).
        truth: bool (h, w).
        min_area: 0 and 9 are the two published variants.
    """
    true, _ = _filled_contours(np.asarray(truth, bool))
    return _instance_ious(np.asarray(mask, bool), true, (min_area,))[0]


def _instance_ious(mask: np.ndarray, true: sparse.csr_array, min_areas: tuple) -> list[float]:
    """`instance_iou` with the true contours at hand, for several smallest areas."""
    predicted, area = _filled_contours(mask)
    overlap = (predicted @ true.T).tocoo()
    size, true_size = predicted.sum(axis=1), true.sum(axis=1)
    i, j = overlap.coords
    best = np.zeros(len(size))
    np.maximum.at(best, i, overlap.data / (size[i] + true_size[j] - overlap.data))
    chosen = [best[area > least] for least in min_areas]
    return [float(values.mean()) if values.size else 0.0 for values in chosen]


def _overlaps(labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, ...]:
    """Shares of the true foreground: predicted label 0 (sum), each pair, true sums, label sums."""
    inside = truth > 0
    i, j = truth[inside].astype(np.int64), labels[inside].astype(np.int64)
    width = int(j.max(initial=0)) + 1
    pair, count = np.unique(i * width + j, return_counts=True)
    share = count / max(i.size, 1)
    missed = pair % width == 0
    sums_true = np.bincount(pair // width, share)
    sums = np.bincount(pair[~missed] % width, share[~missed])
    return share[missed].sum(), share[~missed], sums_true[sums_true > 0], sums[sums > 0]


def rand_f1(labels: np.ndarray, truth: np.ndarray) -> float:
    """Foreground-restricted Rand F1: 1 - the paper's FR-Rand error.

    With p_ij the share of the true foreground in true particle i and predicted j, a_i and b_j their
    sums, and missed pixels counted each as a particle of its own: precision
    sum p_ij^2 / sum b_j^2, recall sum p_ij^2 / sum a_i^2.
    """
    n = np.count_nonzero(truth)
    missed, pairs, true, found = _overlaps(labels, truth)
    if n == 0:
        return float(not labels.any())
    alone = missed / n
    both = (pairs**2).sum() + alone
    precision = both / ((found**2).sum() + alone)
    recall = both / (true**2).sum()
    return float(2 * precision * recall / (precision + recall))


def information_f1(labels: np.ndarray, truth: np.ndarray) -> float:
    """Foreground-restricted information-theoretic F1: 1 - the paper's error.

    Mutual information of true particles and predicted ones over the true foreground, divided by the
    entropy of each (recall: of the truth, precision: of the prediction), in the harmonic mean.
    Missed pixels are particles of their own.
    """
    n = np.count_nonzero(truth)
    if n == 0:
        return float(not labels.any())
    missed, pairs, true, found = _overlaps(labels, truth)

    def entropy(share: np.ndarray, alone: float) -> float:
        return float(-(share * np.log(share)).sum() + alone * np.log(n))

    of_truth, of_labels = entropy(true, 0.0), entropy(found, missed)
    shared = of_truth + of_labels - entropy(pairs, missed)
    if of_truth == 0 or of_labels == 0:
        return float(of_truth == of_labels)
    precision, recall = shared / of_labels, shared / of_truth
    return 2 * precision * recall / (precision + recall) if shared > 0 else 0.0


def grow(labels: np.ndarray) -> np.ndarray:
    """Labels (h, w) of 4-connected particles, grown until lines of 1 px part them.

    The watershed by flooding of a picture of two grey levels: particles grow by one pixel at a
    time. A pixel that two of them reach at once stays background, and so does the later of two
    neighbours that are reached at once by different particles.

    A pixel's label follows from those of neighbours that are reached before it. So each starts with
    the label of the nearest particle, and those are corrected that do not follow from the others,
    until all do.

    Source: Vincent and Soille, IEEE Trans. Pattern Analysis 13 (1991) 583, with ImageJ's change
    that parts particles at even distances, too.
    """
    if not labels.any():
        return labels
    labels = np.pad(labels, 1)
    far, nearest = ndimage.distance_transform_cdt(
        labels == 0, metric="taxicab", return_indices=True
    )
    labels = labels[tuple(nearest)]
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        labels[edge] = far[edge] = 0  # beyond the image, nothing grows
    doubtful = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    doubtful[1:] |= rows
    doubtful[:-1] |= rows
    doubtful[:, 1:] |= columns
    doubtful[:, :-1] |= columns
    width = labels.shape[1]
    flat, far = labels.ravel(), far.ravel()
    around = np.array([-width, -1, 1, width])
    lead = np.array([0, 0, 1, 1])  # by which a neighbour is reached before a pixel; ties by rows
    todo = np.flatnonzero(doubtful.ravel() & (far > 0))
    while todo.size:
        beside = todo[:, None] + around
        ahead = far[todo][:, None] - far[beside]
        before = ahead >= lead
        seen = np.where(before, flat[beside], 0)
        found = np.where(ahead == 1, seen, 0).max(axis=1)
        found[((seen > 0) & (seen != found[:, None])).any(axis=1)] = 0
        changed = found != flat[todo]
        flat[todo] = found
        todo = distinct(beside[changed[:, None] & ~before])
    return labels[1:-1, 1:-1]


def score(probability: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """The paper's scores of one image at the thresholds 0, 0.1, ... 1.

    Args:
        probability: of foreground, before any splitting, (h, w), in [0, 1].
        truth: (h, w), non-zero in particles.

    Returns:
        Lists of one number a threshold; a pixel is foreground above it.

        - of the mask after `cut_lines`, with TP, FP, FN and TN counting pixels: `image_iou` =
          TP / (TP + FP + FN), `youden` = TP / (TP + FN) + TN / (TN + FP) - 1, `instance_iou` (mean
          over predicted contours of the largest IoU with a true one) and `instance_iou_9` (without
          predicted contours of up to 9 px);
        - of the probability as it is: `pixel_error` = 1 - F1 of the pixels, `warping_error`,
          `rand_error` = 1 - `rand_f1` of the 4-connected components, and after border thinning
          (`grow`) `rand_error_thinned` and `information_error` = 1 - `information_f1`. The warping
          error is NaN at thresholds outside of the probability's range.

    Raises:
        ValueError: if the shapes differ.

    Source: Ruehle, Krumrey, Hodoroaba, Sci. Rep. 11 (2021) 4942, Table 1 and its code; Youden,
    Cancer 3 (1950) 32.
    """
    if probability.shape != truth.shape:
        raise ValueError(
            f"probability and truth must have one shape, got {probability.shape} and {truth.shape}"
        )
    truth = truth > 0
    true_labels, (contours, _) = ndimage.label(truth)[0], _filled_contours(truth)
    # In whole tenths, so that a probability of exactly 0.3 does not exceed the threshold 0.3.
    low, high = np.floor(10 * float(probability.min())), np.floor(10 * float(probability.max()))
    warped = THRESHOLDS[int(low) : int(max(high, low + 1))]
    errors = dict(zip(warped, warping_errors(probability, truth, warped), strict=True))
    rows: list[dict[str, float]] = []
    previous = None
    for threshold in THRESHOLDS:
        mask = probability > threshold
        if previous is not None and np.array_equal(mask, previous):
            row = dict(rows[-1])
        else:
            row = _score_mask(mask, truth, true_labels, contours)
        previous = mask
        rows.append(row | {"warping_error": errors.get(threshold, float("nan"))})
    return {name: [row[name] for row in rows] for name in rows[0]}


def _score_mask(
    mask: np.ndarray, truth: np.ndarray, true_labels: np.ndarray, contours: sparse.csr_array
) -> dict[str, float]:
    cut = cut_lines(mask)
    instance, instance_9 = _instance_ious(cut, contours, (0.0, 9.0))
    labels = ndimage.label(mask)[0]
    grown = grow(labels)
    both = np.count_nonzero(cut & truth)
    n_cut, n_true = np.count_nonzero(cut), np.count_nonzero(truth)
    hit, n_mask = np.count_nonzero(mask & truth), np.count_nonzero(mask)
    return {
        "image_iou": _share(both, n_cut + n_true - both, 1.0),
        "youden": _share(both, n_true, 0.0)
        + _share(truth.size - n_cut - n_true + both, truth.size - n_true, 0.0)
        - 1,
        "instance_iou": instance,
        "instance_iou_9": instance_9,
        "pixel_error": 1 - _share(2 * hit, n_mask + n_true, 1.0),
        "rand_error": 1 - rand_f1(labels, true_labels),
        "rand_error_thinned": 1 - rand_f1(grown, true_labels),
        "information_error": 1 - information_f1(grown, true_labels),
    }


def _share(part: float, whole: float, of_nothing: float) -> float:
    return part / whole if whole else of_nothing


def best(scores: Sequence[dict[str, list[float]]]) -> dict[str, Any]:
    """One number a score from the `score` of each image, at its best threshold, as published.

    Image IoU, instance IoU and Youden's index are means over the images at the one threshold where
    the mean is best (`threshold_<name>`); errors are means of each image's own best.

    Raises:
        ValueError: without images.
    """
    if not scores:
        raise ValueError("best needs the scores of at least one image, got none")
    result: dict[str, Any] = {"n_images": len(scores)}
    for name in ("image_iou", "instance_iou", "instance_iou_9", "youden"):
        mean = np.mean([s[name] for s in scores], axis=0)
        result[name] = float(mean.max())
        result[f"threshold_{name}"] = THRESHOLDS[int(mean.argmax())]
    for name in ("pixel_error", "warping_error", "rand_error", "rand_error_thinned"):
        result[name] = float(np.mean([np.nanmin(s[name]) for s in scores]))
    result["information_error"] = float(np.mean([min(s["information_error"]) for s in scores]))
    return result
