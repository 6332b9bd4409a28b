"""Tiles of simulated micrographs: their labels, and what is known of the particles in each."""

import numpy as np
import pytest

from semjax.phantom import cut_tiles, simulate


@pytest.fixture(scope="module")
def phantom():
    return simulate(3, image_px=(150, 220), foreground=0.25)


@pytest.fixture(scope="module")
def tiles(phantom):
    return cut_tiles(phantom, tile_px=(64, 96))


def test_tiles_lie_side_by_side(phantom, tiles):
    corners = [(tile.where[0].start, tile.where[1].start) for tile in tiles]
    assert corners == [(0, 0), (0, 96), (64, 0), (64, 96)]
    for tile in tiles:
        assert tile.labels.shape == (64, 96) and tile.labels.dtype == np.int32
        np.testing.assert_array_equal(tile.labels > 0, phantom.labels[tile.where] > 0)


def test_labels_have_no_gaps_and_keep_their_order(phantom, tiles):
    for tile in tiles:
        n = len(tile.table)
        np.testing.assert_array_equal(tile.table["label"], np.arange(1, n + 1))
        assert tile.labels.max(initial=0) == n
        pairs = np.unique(
            np.stack([tile.labels, phantom.labels[tile.where]]).reshape(2, -1), axis=1
        )
        assert pairs.shape[1] == np.unique(tile.labels).size  # one old label a new one
        assert (np.diff(pairs[1]) > 0).all()


def test_table_has_the_simulation_s_areas(phantom, tiles):
    known = phantom.table.set_index("label")
    for tile in tiles:
        area = np.bincount(tile.labels.ravel())[1:]
        np.testing.assert_array_equal(tile.table["visible_area_px"], area)
        assert (area <= tile.table["whole_area_px"]).all()
        old = [phantom.labels[tile.where][tile.labels == n][0] for n in tile.table["label"]]
        same = known.loc[old]
        np.testing.assert_array_equal(tile.table["whole_area_px"], same["whole_area_px"])
        np.testing.assert_allclose(tile.table["row"] + tile.where[0].start, same["row"])
        np.testing.assert_allclose(tile.table["col"] + tile.where[1].start, same["col"])


def test_a_tile_of_film_alone_has_an_empty_table():
    phantom = simulate(0, image_px=(160, 160), foreground=0.03)
    empty = [tile for tile in cut_tiles(phantom, tile_px=(32, 32)) if not tile.labels.any()]
    assert empty and all(len(tile.table) == 0 for tile in empty)


def test_tiles_larger_than_the_micrograph_are_refused(phantom):
    with pytest.raises(ValueError, match=r"64 x 256 px fits into a micrograph of 150 x 220"):
        cut_tiles(phantom, tile_px=(64, 256))
