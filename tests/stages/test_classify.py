"""What the classifier learns from, and the threshold of its score."""

import numpy as np
import pytest

from semjax.stages import classify


def make_sample(good, score):
    """Particles of 2 x 2 px in a row, none of them at the border, and their scores."""
    labels = np.zeros((6, 3 * len(good) + 2), np.int32)
    for i in range(len(good)):
        labels[2:4, 3 * i + 1 : 3 * i + 3] = i + 1
    return {"labels": labels, "good": np.array([False, *good])}, np.array(score, float)


def choose(*samples):
    return classify._choose_threshold(*map(list, zip(*samples, strict=True)))


def test_every_whole_particle_counts_once():
    labels = np.zeros((10, 12), np.int32)
    labels[2:4, 2:4], labels[5:9, 3:9], labels[0:2, 9:11] = 1, 2, 3
    weights = classify._weights(labels)
    assert weights.dtype == np.float32
    sums = np.bincount(labels.ravel(), weights.ravel())
    np.testing.assert_allclose(sums, [0, 1, 1, 0], rtol=1e-6)
    assert not classify._weights(np.zeros((4, 4), np.int32)).any()


def test_threshold_parts_good_from_bad():
    assert choose(make_sample([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9])) == pytest.approx(0.65)
    assert choose(make_sample([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])) == 0.5  # as good as any
    # Over two images: to be rid of the bad one at 0.55, one good particle of four is given up.
    first = make_sample([1, 1, 1, 1, 0], [0.5, 0.6, 0.7, 0.8, 0.55])
    assert choose(first, make_sample([0, 0], [0.1, 0.2])) == pytest.approx(0.575)


def test_threshold_does_not_depend_on_the_share_of_good_ones():
    few = make_sample([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5])
    many = make_sample([0, 0, 1, 0, 1] + [1] * 4, [0.1, 0.2, 0.3, 0.4, 0.5, 0.3, 0.5, 0.3, 0.5])
    assert choose(few) == pytest.approx(choose(many)) == pytest.approx(0.25)


def test_threshold_leaves_one_half_only_for_a_reason():
    # 100 of each class; to drop the bad one at 0.8 would be better by 0.01.
    rng = np.random.default_rng(0)
    bad, good = rng.uniform(0.1, 0.4, 99), rng.uniform(0.81, 0.9, 100)
    sample = make_sample([0] * 100 + [1] * 100, [*bad, 0.8, *good])
    assert choose(sample) == 0.5
    bad, good = rng.uniform(0.6, 0.65, 100), rng.uniform(0.7, 0.75, 100)
    assert 0.64 <= choose(make_sample([0] * 100 + [1] * 100, [*bad, *good])) <= 0.7


def test_threshold_of_one_class_is_one_half():
    assert choose(make_sample([1, 1], [0.1, 0.9])) == 0.5
    assert choose(make_sample([0, 0], [0.1, 0.9])) == 0.5


def test_threshold_parts_no_equal_scores():
    assert choose(make_sample([0, 1, 1, 1], [0.5, 0.5, 0.5, 0.9])) == pytest.approx(0.7)
    assert choose(make_sample([0, 1], [0.5, 0.5])) == 0.5
