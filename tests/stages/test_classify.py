"""What the classifier learns from, and the threshold of its score."""

import numpy as np

from semjax import predict
from semjax.analysis import regions
from semjax.stages import classify


def test_every_whole_particle_counts_once():
    labels = np.zeros((10, 12), np.int32)
    labels[2:4, 2:4], labels[5:9, 3:9], labels[0:2, 9:11] = 1, 2, 3
    weights = classify._weights(labels)
    assert weights.dtype == np.float32
    sums = np.bincount(labels.ravel(), weights.ravel())
    np.testing.assert_allclose(sums, [0, 1, 1, 0], rtol=1e-6)
    assert not classify._weights(np.zeros((4, 4), np.int32)).any()


def test_dented_particles_are_told_apart_by_their_shape_alone():
    """The network's score is one half for all: only the shape is left."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(6):
        labels = np.zeros((24, 80), np.int32)
        good = rng.random(6) < 0.5
        for i, whole in enumerate(good):
            at, side = 13 * i + 2, rng.integers(7, 11)
            labels[4 : 4 + side, at : at + side] = i + 1
            if not whole:
                labels[4 : 4 + side - 3, at : at + side - 3] = 0
        known = {"good": np.array([False, *good]), "judged": np.ones(7, bool)}
        samples.append({"labels": labels, **known})
    flat = [np.full(6, 0.5) for _ in samples]
    tables = [regions.measure(sample["labels"]) for sample in samples]
    model = classify._weigh(predict.Model({"evidence": None}, None, None), samples, tables, flat)
    for sample, table, score in zip(samples, tables, flat, strict=True):
        found = predict.weigh(model, score, table)
        assert ((found > 0.5) == sample["good"][1:]).all()


def test_particles_that_are_all_alike_leave_the_network_alone():
    labels = np.zeros((8, 8), np.int32)
    labels[2:5, 2:5] = 1
    model = predict.Model({"evidence": None}, None, None)
    sample = {"labels": labels, "good": np.array([False, True]), "judged": np.ones(2, bool)}
    table = regions.measure(labels)
    assert classify._weigh(model, [sample], [table], [np.array([0.3])]) is model
    assert predict.weigh(model, np.array([0.3]), table) == 0.3
