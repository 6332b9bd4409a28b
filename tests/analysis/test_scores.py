import json

import numpy as np
import pytest

from semjax.analysis import scores


def boxes(*corners, shape=(40, 60)):
    """Labels of boxes (top, left, bottom, right)."""
    labels = np.zeros(shape, np.int32)
    for i, (top, left, bottom, right) in enumerate(corners, 1):
        labels[top:bottom, left:right] = i
    return labels


TRUTH = boxes((0, 0, 10, 10), (0, 20, 10, 30), (20, 0, 30, 10), (20, 20, 30, 30))


def test_truth_is_labelled_with_4_connectivity():
    mask = np.array([[255, 255, 0, 0], [255, 0, 255, 0], [0, 255, 255, 0]], np.uint8)
    assert scores.label_truth(mask).max() == 2


def test_perfect_prediction_scores_1_whatever_its_numbers():
    shuffled = np.array([0, 3, 1, 4, 2])[TRUTH]
    result = scores.score(shuffled, TRUTH)
    for name in (
        "image_iou",
        "dice",
        "youden",
        "precision_50",
        "recall_75",
        "f1_50",
        "mean_ap",
        "pq",
    ):
        assert result[name] == 1, name
    assert (result["tp"], result["fp"], result["fn"]) == (4, 0, 0)


def test_empty_prediction_misses_all():
    result = scores.score(np.zeros_like(TRUTH), TRUTH)
    for name in ("image_iou", "youden", "precision_50", "recall_50", "f1_50", "mean_ap", "pq"):
        assert result[name] == 0, name
    assert (result["tp"], result["fp"], result["fn"]) == (0, 0, 4)


def test_prediction_without_truth_scores_0_and_nothing_without_truth_1():
    nothing = np.zeros_like(TRUTH)
    result = scores.score(TRUTH, nothing)
    assert result["f1_50"] == result["precision_50"] == result["recall_50"] == result["pq"] == 0
    assert result["fp"] == 4 and result["image_iou"] == 0
    result = scores.score(nothing, nothing)
    assert all(result[name] == 1 for name in ("f1_50", "precision_75", "pq", "image_iou", "youden"))


@pytest.mark.parametrize("shift, iou", [(1, 9 / 11), (2, 8 / 12), (3, 7 / 13), (4, 6 / 14)])
def test_shifted_boxes_have_the_iou_known_by_hand(shift, iou):
    moved = np.roll(TRUTH, shift, axis=1)
    pairs = scores.match(moved, TRUTH)
    assert pairs.iou.tolist() == pytest.approx([iou] * 4)
    result = scores.score(moved, TRUTH)
    hits = 4 if iou >= 0.5 else 0
    assert (result["tp"], result["fp"], result["fn"]) == (hits, 4 - hits, 4 - hits)
    assert result["image_iou"] == pytest.approx(iou)
    assert result["dice"] == pytest.approx(2 * iou / (1 + iou))
    assert result["f1_75"] == (1 if iou >= 0.75 else 0)
    assert result["pq"] == pytest.approx(iou if hits else 0)
    reached = sum(iou >= t for t in scores.IOU_THRESHOLDS)
    assert result["mean_ap"] == pytest.approx(reached / 10)


@pytest.mark.parametrize("shift", [0.2, 0.5, 0.8, 1.2, 2.5])
def test_shifted_discs_have_the_iou_of_two_circles(shift):
    """The lens of two circles of radius r, a distance d apart, in units of r (pixels are small)."""
    radius = 100
    rows, cols = np.mgrid[:260, :560] - 130.0
    left, right = (np.hypot(rows, cols - at) < radius for at in (0, shift * radius))
    lens = 2 * np.arccos(shift / 2) - shift / 2 * np.sqrt(4 - shift**2) if shift < 2 else 0.0
    iou = lens / (2 * np.pi - lens)
    result = scores.score(right.astype(np.int32), left.astype(np.int32))
    assert result["image_iou"] == pytest.approx(iou, abs=0.002)
    assert result["tp"] == (iou >= 0.5)
    assert result["mean_ap"] == pytest.approx(sum(iou >= t for t in scores.IOU_THRESHOLDS) / 10)


def test_youden_by_hand():
    truth, predicted = boxes((0, 0, 20, 60)), boxes((10, 0, 30, 60))
    assert scores.score(predicted, truth)["youden"] == pytest.approx(0.0)
    predicted = boxes((0, 0, 15, 60))
    assert scores.score(predicted, truth)["youden"] == pytest.approx(0.75)


@pytest.mark.parametrize("swap", [False, True])
def test_two_halves_of_iou_one_half_match_once(swap):
    whole, halves = boxes((0, 0, 10, 20)), boxes((0, 0, 10, 10), (0, 10, 10, 20))
    result = scores.score(*((halves, whole) if swap else (whole, halves)))
    assert result["tp"] == 1 and result["fp"] + result["fn"] == 1


def test_iou_exactly_at_a_threshold_matches():
    predicted, truth = boxes((0, 0, 1, 11)), boxes((0, 0, 1, 20))
    assert scores.score(predicted, truth)["tp_by_threshold"] == [1, 1] + [0] * 8


def test_merged_particles_cost_precision_and_recall():
    merged = boxes((0, 0, 10, 30), (20, 0, 30, 10), (20, 20, 30, 30))
    result = scores.score(merged, TRUTH)
    assert (result["tp"], result["fp"], result["fn"]) == (2, 1, 2)
    assert result["f1_50"] == pytest.approx(4 / 7)
    assert result["precision_50"] == pytest.approx(2 / 3) and result["recall_50"] == 0.5


def test_matching_agrees_with_an_assignment():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = (rng.integers(0, 7, (4, 6)) for _ in range(2))
        pairs = scores.match(a, b)
        table = np.zeros((7, 7))
        table[pairs.predicted, pairs.truth] = pairs.iou >= 0.5
        rows, columns = linear_sum_assignment(-table)
        assert len(scores.matched(pairs)) == table[rows, columns].sum()


def test_foreground_before_splitting_is_scored_by_itself():
    foreground = TRUTH > 0
    result = scores.score(np.zeros_like(TRUTH), TRUTH, foreground)
    assert result["image_iou"] == 1 and result["f1_50"] == 0


def test_specks_are_dropped_and_the_rest_renumbered():
    labels = boxes((0, 0, 2, 4), (10, 10, 13, 13), (20, 20, 30, 30))
    kept = scores.drop_specks(labels)
    assert np.array_equal(kept, boxes((0, 0, 0, 0), (0, 0, 0, 0)) + np.maximum(labels - 1, 0))
    assert kept.dtype == np.int32
    assert scores.drop_specks(labels, 0).max() == 3
    assert scores.drop_specks(np.zeros((3, 3), np.int32)).max() == 0


def test_pooled_sums_particles_and_averages_images():
    good = scores.score(TRUTH, TRUTH)
    one = boxes((0, 0, 10, 10))
    bad = scores.score(np.zeros_like(one), one)
    result = scores.pooled([good, bad])
    assert (result["n_images"], result["tp"], result["fn"]) == (2, 4, 1)
    assert result["f1_50"] == pytest.approx(8 / 9) and result["f1_50_per_image"] == 0.5
    assert result["pq"] == pytest.approx(4 / 4.5)
    assert result["image_iou"] == 0.5 and result["youden"] == 0.5
    json.dumps(result, allow_nan=False)


def test_pooled_of_one_image_is_its_score():
    one = scores.score(np.roll(TRUTH, 2, axis=0), TRUTH)
    result = scores.pooled([one])
    assert {name: result[name] for name in one} == one


def test_clear_errors():
    with pytest.raises(ValueError, match="at least one image"):
        scores.pooled([])
    with pytest.raises(ValueError, match="one shape"):
        scores.score(TRUTH, TRUTH[1:])
    with pytest.raises(ValueError, match="foreground"):
        scores.score(TRUTH, TRUTH, TRUTH[1:])
    with pytest.raises(ValueError, match="at least 0.5"):
        scores.matched(scores.match(TRUTH, TRUTH), 0.3)
