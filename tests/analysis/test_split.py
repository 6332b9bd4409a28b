import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import scores, split


def paint_discs(shape, discs):
    """Labels of discs (row, column, radius); later ones lie on top."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    for i, (r, c, radius) in enumerate(discs, 1):
        labels[(row - r) ** 2 + (column - c) ** 2 < radius**2] = i
    return labels


@pytest.fixture
def crowd():
    """Touching, overlapping, cut and tiny discs."""
    rng = np.random.default_rng(1)
    discs = [(*rng.uniform(0, 128, 2), rng.uniform(5, 12)) for _ in range(40)]
    labels = paint_discs((128, 128), discs)
    return scores.drop_specks(labels)


def assert_partition(labels, mask):
    """Non-zero exactly in the mask, numbered without gaps, each label one 4-connected piece."""
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask)
    assert np.unique(labels[mask]).tolist() == list(range(1, labels.max() + 1))
    for i in range(1, labels.max() + 1):
        assert ndimage.label(labels == i)[1] == 1


def test_watershed_splits_touching_discs():
    truth = paint_discs((50, 60), [(25, 20, 11), (25, 39, 11)])
    labels = split.watershed(truth > 0, min_distance_px=9)
    assert_partition(labels, truth > 0)
    assert scores.score(labels, truth)["f1_75"] == 1


def test_watershed_keeps_particles_at_the_border_and_specks():
    mask = np.zeros((40, 40), bool)
    mask[0:6, 0:6] = mask[36:40, 15:22] = mask[20, 20] = mask[21, 21] = True
    labels = split.watershed(mask, min_distance_px=9)
    assert_partition(labels, mask)
    assert labels.max() == 4  # the two pixels touch at a corner only


@pytest.mark.parametrize("value", [False, True])
def test_watershed_of_uniform_mask(value):
    labels = split.watershed(np.full((9, 9), value), min_distance_px=3)
    assert labels.max() == int(value) and (labels > 0).all() == value


def test_watershed_partitions_a_crowd(crowd):
    assert_partition(split.watershed(crowd > 0, min_distance_px=9), crowd > 0)


def test_markers_find_the_targets_particles_again(crowd):
    pieces = scores.drop_specks(crowd)
    labels = split.markers(*split.targets(pieces))
    assert_partition(labels, pieces > 0)
    assert scores.score(scores.drop_specks(labels), pieces)["f1_50"] > 0.95


def test_markers_of_blurred_targets(crowd):
    blurred = [ndimage.gaussian_filter(x, 1.0) for x in split.targets(crowd)]
    labels = split.markers(*blurred)
    assert_partition(labels, blurred[0] >= 0.5)
    assert scores.score(labels, crowd)["f1_50"] > 0.85


def test_markers_lose_no_particle_without_interior():
    particle = np.zeros((20, 30), np.float32)
    particle[2:8, 2:8] = particle[10:15, 20:28] = 1
    nothing = np.zeros_like(particle)
    labels = split.markers(particle, nothing, nothing)
    assert_partition(labels, particle > 0)
    assert labels.max() == 2


def test_markers_drop_tiny_markers():
    particle = np.ones((20, 20), np.float32)
    interior = np.zeros_like(particle)
    interior[3:8, 3:8] = interior[15, 15] = 1
    assert split.markers(particle, interior, interior).max() == 1
    assert split.markers(particle, interior, interior, min_marker_px=1).max() == 2


def test_markers_part_a_sure_particle_from_an_unsure_one():
    """No single threshold does: the neck lies higher than the unsure one's top."""
    labels = paint_discs((40, 80), [(20, 18, 12), (20, 38, 12), (20, 61, 12)])
    particle, interior, distance = split.targets(labels)
    sure = np.array([0, 1.0, 0.9, 0.3])[labels]
    neck = ndimage.gaussian_filter(0.5 * ((labels == 1) | (labels == 2)), 2)
    interior, distance = np.maximum(interior * sure, neck), distance * sure
    found = split.markers(particle, interior, distance)
    assert found.max() == 3 and scores.score(found, labels)["f1_75"] == 1
    assert ((interior + distance) / 2)[labels == 3].max() < ((interior + distance) / 2)[20, 28]


def test_markers_are_parted_again_and_again():
    labels = paint_discs((30, 100), [(15, 14 + 18 * i, 10) for i in range(5)])
    particle, interior, distance = split.targets(labels)
    columns = np.arange(100)
    # Necks of rising height: each is cut at another level.
    neck = np.interp(columns, [14 + 18 * i for i in range(5)], [0.05, 0.2, 0.4, 0.6, 0.7])
    bridge = np.where(np.abs(np.arange(30) - 15)[:, None] < 5, neck, 0) * (labels > 0)
    found = split.markers(particle, np.maximum(interior, bridge), np.maximum(distance, bridge))
    assert_partition(found, labels > 0)
    assert found.max() == 5


def test_small_bumps_make_no_markers():
    labels = paint_discs((60, 60), [(30, 30, 22)])
    particle, interior, distance = split.targets(labels)
    rng = np.random.default_rng(0)
    rough = np.clip(distance - 0.15 * (rng.random(distance.shape) < 0.2), 0, 1)
    assert split.markers(particle, interior, rough).max() == 1


def test_markers_of_empty_prediction():
    nothing = np.zeros((8, 8), np.float32)
    assert not split.markers(nothing, nothing, nothing).any()


def test_target_distance_of_a_disc_falls_to_its_border():
    labels = paint_discs((61, 61), [(30, 30, 20)])
    particle, interior, distance = split.targets(labels)
    assert all(
        x.dtype == np.float32 and x.shape == (61, 61) for x in (particle, interior, distance)
    )
    radius = np.hypot(*(np.mgrid[:61, :61] - 30))
    expected = np.clip(1 - radius / 20, 0, 1)
    assert np.abs(distance - expected)[labels > 0].max() < 0.06
    assert distance.max() == 1 and not distance[labels == 0].any()
    assert np.array_equal(interior > 0, distance > split.INTERIOR_SHARE)


def test_target_interiors_of_touching_particles_are_apart():
    labels = np.zeros((30, 50), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:45] = 1, 2
    particle, interior, distance = split.targets(labels)
    assert ndimage.label(particle)[1] == 1
    assert ndimage.label(interior, np.ones((3, 3)))[1] == 2
    assert distance[15, 24] == distance[15, 25] == pytest.approx(0.5 / 9.5)
    assert np.array_equal(distance[:, 5:25], distance[:, 25:45])


def test_target_distance_has_no_border_where_the_image_cuts():
    labels = np.zeros((40, 40), np.int32)
    labels[:20, 10:30] = 1
    distance = split.targets(labels)[2]
    assert distance[0, 20] == 1  # ten pixels from the sides, twenty from below
    assert (np.diff(distance[:, 20]) <= 0).all()


@pytest.mark.parametrize("value", [0, 1])
def test_targets_of_uniform_labels(value):
    for target in split.targets(np.full((6, 6), value, np.int32)):
        assert (target == value).all()


def test_target_pieces_of_one_label_count_as_particles():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:25] = labels[10:16, 40:46] = 1
    _, interior, distance = split.targets(labels)
    assert distance[10:16, 40:46].max() == 1 and interior[10:16, 40:46].any()


def test_every_target_particle_has_interior(crowd):
    pieces, n = ndimage.label(split.targets(crowd)[0])
    assert (ndimage.maximum(split.targets(crowd)[1], pieces, np.arange(1, n + 1)) == 1).all()
