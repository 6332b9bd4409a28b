"""Corrections by hand: nothing is lost, and nobody else is touched."""

import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import editing


def disc(shape=(60, 70), centre=(30, 35), radius=20, number=3):
    rows, cols = np.indices(shape)
    inside = np.hypot(rows - centre[0], cols - centre[1]) <= radius
    return np.where(inside, number, 0).astype(np.int32)


def pieces(mask):
    return ndimage.label(mask, np.ones((3, 3)))[1]


@pytest.fixture
def crowd():
    """Twelve particles, some touching: Voronoi cells of random points, cut to discs."""
    rng = np.random.default_rng(3)
    points = rng.uniform(8, 72, (12, 2))
    rows, cols = np.indices((80, 80))
    away = np.hypot(rows[..., None] - points[:, 0], cols[..., None] - points[:, 1])
    return np.where(away.min(-1) < 11, away.argmin(-1) + 1, 0).astype(np.int32)


@pytest.mark.parametrize("seed", range(20))
def test_a_line_through_a_disc_makes_two_whole_parts(seed):
    rng = np.random.default_rng(seed)
    labels = disc()
    angle, shift = rng.uniform(0, np.pi), rng.uniform(-12, 12)
    along = np.array([np.sin(angle), np.cos(angle)])
    middle = np.array([30, 35]) + shift * np.array([along[1], -along[0]])
    parts = editing.split(labels, np.stack([middle - 40 * along, middle + 40 * along]))
    assert np.unique(parts).tolist() == [0, 3, 4]
    assert ((parts > 0) == (labels > 0)).all()
    small, large = (parts == 4).sum(), (parts == 3).sum()
    assert small <= large and small + large == (labels > 0).sum()
    assert pieces(parts == 3) == pieces(parts == 4) == 1
    # The exact area of a disc's segment, within the pixels along the line.
    r, d = 20, abs(shift)
    exact = r**2 * np.arccos(d / r) - d * np.sqrt(r**2 - d**2)
    assert abs(small - exact) <= 45


def test_a_bent_line_splits_too():
    parts = editing.split(disc(), np.array([[5, 20], [30, 35], [5, 50]]))
    assert np.unique(parts).tolist() == [0, 3, 4]
    assert parts[20, 35] == 4 and parts[45, 35] == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([[0, 0], [2, 60]], "meets no particle"),
        ([[30, 0], [30, 36]], "does not divide particle 3"),
        ([[11, 30], [11, 40]], "does not divide"),  # a chip of a few pixels
        ([[-50, -9], [-50, 90]], "meets no particle"),
    ],
)
def test_a_line_that_splits_nothing(line, words):
    with pytest.raises(ValueError, match=words):
        editing.split(disc(), np.array(line))


@pytest.mark.parametrize("seed", range(10))
def test_others_stay_as_they_are(crowd, seed):
    rng = np.random.default_rng(seed)
    line = rng.uniform(0, 80, (2, 2))
    met = editing.under(crowd, line)
    for edit in (editing.split, editing.merge):
        try:
            after = edit(crowd, line)
        except ValueError:
            continue
        hit = editing.changed(after, crowd)
        assert set(hit) & set(crowd[crowd > 0]) <= set(met)
        others = np.setdiff1d(np.unique(crowd), met if edit is editing.merge else hit)
        assert ((after > 0) == (crowd > 0)).all()
        for number in others:
            assert ((after == number) == (crowd == number)).all()


def test_a_line_that_ends_in_a_larger_neighbour_splits_what_it_crosses():
    labels = disc() + disc(centre=(30, 8), radius=6, number=1)
    parts = editing.split(labels, np.array([[30, 0], [30, 45]]))
    assert np.unique(parts).tolist() == [0, 1, 3, 4]
    assert (parts[labels == 3] == 3).all() and (parts == 4).sum() + (parts == 1).sum() == 113


def test_merging_what_was_split_gives_it_back():
    whole = disc()
    line = np.array([[0, 30], [59, 41]])
    across = np.array([[30, 20], [30, 50]])
    assert (editing.merge(editing.split(whole, line), across) == whole).all()


def test_merging_keeps_the_lowest_number_and_wants_contact():
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 2:12], labels[5:15, 12:20], labels[5:15, 22:32] = 9, 4, 6
    merged = editing.merge(labels, np.array([[10, 5], [10, 18]]))
    assert np.unique(merged).tolist() == [0, 4, 6]
    assert (merged == 4).sum() == 180
    with pytest.raises(ValueError, match="4, 6 do not touch"):
        editing.merge(labels, np.array([[10, 15], [10, 30]]))
    with pytest.raises(ValueError, match="fewer than two"):
        editing.merge(labels, np.array([[10, 23], [10, 39]]))
    corner = np.zeros((8, 8), np.int32)
    corner[:4, :4], corner[4:, 4:] = 1, 2
    assert (editing.merge(corner, np.array([[0, 0], [7, 7]])) > 0).sum() == 32


def test_deleting(crowd):
    after = editing.delete(crowd, 5)
    assert not (after == 5).any()
    assert (after[crowd != 5] == crowd[crowd != 5]).all()
    for nobody in (0, 5, 99):
        with pytest.raises(ValueError, match="no particle here"):
            editing.delete(after, nobody)


def test_numbers_never_pass_to_another_particle():
    labels = disc()
    line = np.array([[0, 35], [59, 35]])
    assert editing.split(labels, line, above=17).max() == 18
    labels[0:4, 0:4] = 30
    assert editing.split(labels, line).max() == 31


def test_painted_pieces_become_particles_and_specks_go(crowd):
    before = crowd.copy()
    before[crowd == 1] = 0
    before[0:6, 70:80] = 40
    painted = before.copy()
    painted[0:6, 74] = 0  # rubbed out through the middle
    painted[70:75, 0:5] = 41  # a new one …
    painted[79, 79] = 41  # … and a stray dot
    painted[0:2, 0:2] = 50  # too small for a particle
    after = editing.tidy(painted, before, above=60)
    assert (after[0:6, 70:74] == 61).all() or (after[0:6, 70:74] == 40).all()
    assert set(np.unique(after[0:6, 70:80])) == {0, 40, 61}
    assert (after == 40).sum() == 30 and (after == 61).sum() == 24
    assert (after == 41).sum() == 25 and after[79, 79] == 0
    assert not (after[0:2, 0:2]).any()
    untouched = np.setdiff1d(np.unique(before), [0, 40])
    for number in untouched:
        assert ((after == number) == (before == number)).all()
    assert (editing.tidy(after, before, above=60) == after).all()


def test_tidying_the_untouched_changes_nothing(crowd):
    crowd[0, 0] = 77  # a speck that was there before
    assert (editing.tidy(crowd, crowd) == crowd).all()


def test_changed():
    before = np.array([[1, 1, 2, 0, 3]])
    after = np.array([[1, 1, 0, 4, 3]])
    assert editing.changed(after, before).tolist() == [4]
    after = np.array([[1, 2, 2, 0, 3]])
    assert editing.changed(after, before).tolist() == [1, 2]
    assert editing.changed(before, before).size == 0
