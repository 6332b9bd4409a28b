"""Tests of cutting and joining tiles."""

import numpy as np
import pytest

from semjax.data import tiles


@pytest.mark.parametrize("size", [1, 5, 15, 16, 17, 23, 40, 61, 128])
@pytest.mark.parametrize("tile_px, overlap_px", [(16, 0), (16, 1), (16, 5), (16, 15), (7, 4)])
def test_starts_cover_the_axis(size, tile_px, overlap_px):
    first = tiles.starts(size, tile_px, overlap_px)
    assert first[0] == 0
    assert first[-1] == max(0, size - tile_px)
    assert (np.diff(first) > 0).all()
    assert (np.diff(first) <= tile_px - overlap_px).all()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 33, 40, 61, 128, 131])
@pytest.mark.parametrize("tile_px, overlap_px", [(16, 0), (16, 5), (32, 7), (32, 24)])
def test_starts_on_a_grid(size, tile_px, overlap_px):
    first = tiles.starts(size, tile_px, overlap_px, 8)
    assert first[0] == 0 and (first % 8 == 0).all()
    assert first[-1] + tile_px >= size and first[-1] < size
    assert (np.diff(first) > 0).all()
    assert (np.diff(first) <= tile_px - overlap_px).all()
    image = np.random.default_rng(0).normal(size=(size, 2 * size))
    pieces, _ = tiles.cut(image, (tile_px, 16), overlap_px % 8, 8)
    joined = tiles.join(pieces, image.shape, overlap_px % 8, 8)
    np.testing.assert_array_equal(joined, image)


def test_starts_take_no_more_tiles_than_needed():
    assert len(tiles.starts(712, 512, 64)) == 2
    assert len(tiles.starts(1024, 512, 0)) == 2
    assert len(tiles.starts(1024, 512, 64)) == 3


@pytest.mark.parametrize("shape", [(40, 61), (16, 24), (17, 25), (5, 70), (1, 1), (3, 2), (90, 9)])
@pytest.mark.parametrize("overlap_px", [0, 1, 6, 15])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_join_undoes_cut(shape, overlap_px, channels):
    image = np.random.default_rng(0).normal(size=shape + channels)
    pieces, origins = tiles.cut(image, (16, 24), overlap_px)
    assert pieces.shape[1:] == (16, 24) + channels
    assert origins.shape == (len(pieces), 2)
    joined = tiles.join(pieces, shape, overlap_px)
    np.testing.assert_array_equal(joined, image)


def test_join_takes_nothing_from_inner_borders():
    image = np.arange(60 * 80, dtype=np.float32).reshape(60, 80)
    pieces, origins = tiles.cut(image, (32, 32), 8)
    for piece, (row, col) in zip(pieces, origins, strict=True):
        spoilt = np.ones((32, 32), bool)
        spoilt[4 if row else 0 : 28 if row + 32 < 60 else 32, :] = False
        piece[spoilt] = -1
        spoilt = np.ones((32, 32), bool)
        spoilt[:, 4 if col else 0 : 28 if col + 32 < 80 else 32] = False
        piece[spoilt] = -1
    np.testing.assert_array_equal(tiles.join(pieces, (60, 80), 8), image)


def test_small_image_is_reflected():
    image = np.arange(6.0).reshape(2, 3)
    pieces, _ = tiles.cut(image, (4, 5), 1)
    np.testing.assert_array_equal(pieces[0], np.pad(image, ((0, 2), (0, 2)), mode="reflect"))


def test_joins_results_with_other_channels():
    image = np.random.default_rng(0).normal(size=(40, 50))
    pieces, _ = tiles.cut(image, (16, 16), 4)
    joined = tiles.join(np.stack([pieces, 2 * pieces], axis=-1), image.shape, 4)
    np.testing.assert_array_equal(joined[..., 1], 2 * image)


@pytest.mark.parametrize("size, tile_px, overlap_px", [(10, 4, 4), (10, 4, -1), (0, 4, 1)])
def test_impossible_tiling(size, tile_px, overlap_px):
    with pytest.raises(ValueError, match="overlap"):
        tiles.starts(size, tile_px, overlap_px)


def test_a_grid_that_tiles_do_not_fit():
    with pytest.raises(ValueError, match="multiples of 8 px"):
        tiles.starts(40, 20, 2, 8)
    with pytest.raises(ValueError, match="make them larger"):
        tiles.starts(40, 16, 9, 8)


def test_wrong_number_of_tiles():
    pieces, _ = tiles.cut(np.zeros((40, 40)), (16, 16), 4)
    with pytest.raises(ValueError, match="8 tiles"):
        tiles.join(pieces[:8], (40, 40), 4)
