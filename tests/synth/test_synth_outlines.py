import numpy as np
import pytest
from scipy import ndimage

from semjax.synth import outlines


def disc(side, radius, centre=None):
    row, col = np.indices((side, side)) - np.reshape(centre or [(side - 1) / 2] * 2, (2, 1, 1))
    return (row**2 + col**2 <= radius**2).astype(np.uint8)


def test_clean_keeps_the_largest_part_and_fills_it():
    drawn = np.stack([disc(32, 9), disc(32, 9)]).astype(np.float32) * 2 - 1
    drawn[0, 15, 15] = -1  # a hole
    drawn[1, 1:6, 1:6] = 1  # a second, smaller part
    cleaned = outlines.clean(drawn, opening_px=0)
    np.testing.assert_array_equal(cleaned, [disc(32, 9)] * 2)
    assert cleaned.dtype == np.uint8


def test_clean_drops_empty_pictures_in_order():
    drawn = np.stack([disc(32, 5), disc(32, 0) * 0, disc(32, 9)])
    cleaned = outlines.clean(drawn, opening_px=0, threshold=0.5)
    np.testing.assert_array_equal(cleaned, drawn[[0, 2]])


def test_clean_opens():
    drawn = disc(32, 9)
    drawn[15, :] = 1  # a whisker across the picture
    (cleaned,) = outlines.clean(drawn[None], opening_px=5, threshold=0.5)
    assert not cleaned[15, :5].any() and cleaned[15, 15]
    assert cleaned.sum() <= disc(32, 9).sum()


def test_clean_keeps_particles_at_the_frame():
    drawn = np.zeros((1, 32, 32), np.uint8)
    drawn[0, :12, 4:20] = 1
    np.testing.assert_array_equal(outlines.clean(drawn, opening_px=5, threshold=0.5), drawn)


def test_transformed_uses_every_outline_equally():
    bank = np.stack([disc(32, r, (14, 17)) for r in (3, 5, 7)])
    drawn = outlines.transformed(bank, 9, seed=0)
    areas = np.sort(drawn.sum((1, 2)))
    np.testing.assert_array_equal(areas, np.repeat(bank.sum((1, 2)), 3))
    np.testing.assert_array_equal(drawn, outlines.transformed(bank, 9, seed=0))


def test_transformed_without_turns_keeps_rows_as_rows():
    bank = np.zeros((1, 16, 16), np.uint8)
    bank[0, 7:9, 2:14] = 1
    lying = outlines.transformed(bank, 20, seed=0, rotate=False)
    np.testing.assert_array_equal(lying, np.repeat(bank, 20, 0))
    turned = outlines.transformed(bank, 20, seed=0, rotate=True)
    assert 0 < (turned == bank).all((1, 2)).sum() < 20


def test_polygons_have_the_areas_asked_for():
    areas = np.array([300.0, 600.0])
    drawn = outlines.random_polygons(200, seed=0, outline_px=64, areas=areas)
    measured = drawn.sum((1, 2))
    nearest = np.abs(measured[:, None] - areas).min(1)
    assert nearest.mean() < 5
    assert 0.3 < (measured > 450).mean() < 0.7


@pytest.mark.parametrize("n_vertices", [(3, 3), (8, 16)])
def test_polygons_are_one_piece_within_the_square(n_vertices):
    drawn = outlines.random_polygons(
        50, seed=1, outline_px=32, areas=np.array([5000.0]), n_vertices=n_vertices, vertex_noise=0.2
    )
    assert drawn.shape == (50, 32, 32)
    assert not drawn[:, [0, -1]].any() and not drawn[:, :, [0, -1]].any()
    assert all(ndimage.label(d, np.ones((3, 3)))[1] == 1 for d in drawn)


def test_polygons_without_noise_are_round():
    (drawn,) = outlines.random_polygons(
        1, seed=0, outline_px=64, areas=np.array([900.0]), n_vertices=(60, 60), vertex_noise=0.0
    )
    assert (drawn != disc(64, (900 / np.pi) ** 0.5)).sum() < 40


def test_polygons_need_three_vertices():
    with pytest.raises(ValueError, match="three vertices"):
        outlines.random_polygons(1, seed=0, outline_px=16, areas=np.ones(1), n_vertices=(2, 5))


def test_distances_do_not_cross_pictures():
    bank = np.stack([disc(24, 3), disc(24, 11), disc(24, 6)])
    together = outlines.signed_distances(bank)
    alone = np.concatenate([outlines.signed_distances(b[None]) for b in bank])
    np.testing.assert_allclose(together, alone)
    np.testing.assert_array_equal(together[:, 2:-2, 2:-2] > 0, bank > 0)


def test_domes():
    bank = np.stack([disc(33, 10), disc(33, 4)])
    raised = outlines.domes(bank)
    assert raised.shape == bank.shape and raised.dtype == np.float32
    np.testing.assert_array_equal(raised > 0, bank > 0)
    np.testing.assert_allclose(raised[:, 16, 16], 1)
    # A cone's root, from the middle outwards.
    np.testing.assert_allclose(raised[0, 16, 21] ** 2, 0.5, atol=0.06)
