import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from semjax.analysis import agglomerates, regions

DRAWN = """
1 1 . . . . . 4 4
1 2 2 . 3 . . . .
. 2 . . . 5 . . .
. . . . . 5 . . .
6 6 . . . . . . .
. . . 7 . 8 . . .
. . . . . . . . 9
"""


def drawn(text):
    rows = text.split("\n")
    return np.array([[0 if c == "." else int(c) for c in row.split()] for row in rows if row])


def test_groups_drawn_by_hand():
    table = agglomerates.groups(drawn(DRAWN))
    # 1 and 2 share an edge, 3 and 5 a corner; the others are alone, also 7 and 8 with a gap.
    assert table["particles"].tolist() == [2, 2, 1, 1, 1, 1, 1]
    assert table["area_px"].tolist() == [6, 3, 2, 2, 1, 1, 1]
    assert table["border"].tolist() == [True, False, True, True, False, False, True]
    assert table["group"].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_the_other_diagonal_touches_too():
    assert agglomerates.groups(drawn("1 .\n. 2"))["particles"].tolist() == [2]
    assert agglomerates.groups(drawn(". 1\n2 ."))["particles"].tolist() == [2]
    assert agglomerates.groups(drawn("1 . 2"))["particles"].tolist() == [1, 1]
    # The right edge of a row is no neighbour of the left edge of the next one.
    assert agglomerates.groups(drawn(". . 1\n2 . ."))["particles"].tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_whole_pieces_are_the_connected_components(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.uniform_filter(rng.random((60, 70)), 5) > 0.52
    pieces, n_pieces = ndimage.label(mask, np.ones((3, 3)))
    # Every pixel a label of its own: groups are then the 8-connected components.
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = rng.permutation(np.count_nonzero(mask)) + 1
    table = agglomerates.groups(labels)
    assert len(table) == n_pieces
    sizes = np.bincount(pieces.ravel())[1:]
    assert sorted(table["particles"]) == sorted(sizes) == sorted(table["area_px"])
    largest = regions.measure((pieces).astype(np.int32))
    assert sorted(table["max_feret_px"]) == pytest.approx(sorted(largest["max_feret_px"]))


def test_lengths_in_nm_and_missing_numbers():
    labels = np.zeros((20, 20), np.int32)
    labels[5:8, 5:10] = 4
    labels[5:8, 10:15] = 9
    px, nm = agglomerates.groups(labels), agglomerates.groups(labels, pixel_size_nm=2.0)
    assert px["particles"].tolist() == nm["particles"].tolist() == [2]
    assert nm["area_nm2"].tolist() == [4 * 30]
    assert nm["max_feret_nm"].iloc[0] == pytest.approx(2 * px["max_feret_px"].iloc[0])
    joined = regions.measure((labels > 0).astype(np.int32))
    assert px["max_feret_px"].iloc[0] == pytest.approx(joined["max_feret_px"].iloc[0])


def test_no_particles():
    table = agglomerates.groups(np.zeros((5, 6), np.int32), pixel_size_nm=3.0)
    assert len(table) == 0
    assert agglomerates.describe(table, unit="nm")["groups"] == 0
    assert agglomerates.describe(None, unit="nm")["groups"] is None


def test_summary_of_groups():
    tables = [agglomerates.groups(drawn(DRAWN)), agglomerates.groups(drawn("1 2 3\n. . ."))]
    found = agglomerates.describe(pd.concat(tables), unit="px")
    assert found["particles"] == 12 and found["groups"] == 3
    assert found["share_in_groups"] == pytest.approx(7 / 12)
    assert found["members"] == {"2": 2, "3": 1}
    assert found["members_mean"] == pytest.approx(7 / 3) and found["members_max"] == 3
    assert found["area"]["mean"] == pytest.approx(4) and found["area"]["max"] == 6
    assert found["at_border"] == 2
    alone = agglomerates.describe(agglomerates.groups(drawn("1 . 2")), unit="px")
    assert alone["share_in_groups"] == 0 and alone["max_feret"]["mean"] is None
    assert set(alone) == set(found) == set(agglomerates.describe(None, unit="px"))


def test_bad_input():
    with pytest.raises(ValueError, match="two-dimensional"):
        agglomerates.groups(np.zeros((2, 2, 2), int))
    with pytest.raises(ValueError, match="pixel_size_nm"):
        agglomerates.groups(np.zeros((2, 2), int), pixel_size_nm=0.0)
