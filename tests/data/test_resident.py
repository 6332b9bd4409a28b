"""Samples drawn on the device are those of the host in distribution, and follow from the seed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import split
from semjax.data import augment, resident
from semjax.data.crops import Crops
from semjax.synth.place import flat_mask

QUIET = {"brightness": 0.0, "contrast": 0.0, "noise": 0.0, "blur_px": 0.0}
STILL = {"strength": 0.0, **QUIET}
KEY = jax.random.key(5)


def draw(samples, steps, key=KEY):
    arrays = jax.tree.map(jax.numpy.asarray, samples.arrays)
    drawn = jax.jit(samples.draw)
    return [jax.tree.map(np.asarray, drawn(arrays, jax.numpy.int32(i), key)) for i in steps]


def make_levels(rng, *shape):
    """Images in [-1, 1] of 256 grey levels, which uint8 holds without rounding."""
    return (rng.integers(0, 256, shape) / 127.5 - 1.0).astype(np.float32)


def test_every_item_comes_once_an_epoch_in_another_order():
    given = np.zeros((7, 8, 8), np.uint8)
    given[np.arange(7), np.arange(7), np.arange(7)] = 1
    samples = resident.Resident(np.arange(7), 7, lambda items, index, _: items[index], (2,))
    seen = np.concatenate(draw(samples, range(7)))
    assert sorted(seen[:7]) == sorted(seen[7:]) == list(range(7))
    assert list(seen[:7]) != list(seen[7:])
    assert np.array_equal(np.concatenate(draw(samples, (2, 3))), seen[4:8])
    assert not np.array_equal(np.concatenate(draw(samples, range(7), jax.random.key(6))), seen)


def test_all_flips_and_turns_come_equally_often():
    square = np.arange(4, dtype=np.uint8).reshape(2, 2)
    turn = jax.jit(jax.vmap(lambda key: resident.dihedral(key, square)[0]))
    found = np.asarray(turn(jax.random.split(KEY, 4000))).reshape(-1, 4)
    kinds, counts = np.unique(found, axis=0, return_counts=True)
    assert len(kinds) == 8
    assert counts.min() > 400
    flips = jax.jit(jax.vmap(lambda key: resident.dihedral(key, square, rotate=False)[0]))
    kinds = np.unique(np.asarray(flips(jax.random.split(KEY, 200))).reshape(-1, 4), axis=0)
    assert len(kinds) == 4
    wide = np.arange(6).reshape(2, 3)
    first, second = resident.dihedral(KEY, wide, 2 * wide)
    assert first.shape == (2, 3)
    assert np.array_equal(2 * np.asarray(first), second)


@pytest.mark.parametrize("sigma", [0.21, 0.4, 0.7, 1.3])
def test_blur_is_that_of_scipy(sigma):
    image = np.random.default_rng(0).normal(size=(24, 17)).astype(np.float32)
    found = resident.blur(image, sigma, 1.3)
    np.testing.assert_allclose(found, ndimage.gaussian_filter(image, sigma), atol=1e-5)


def test_grey_levels_vary_as_on_the_host():
    image = np.full((32, 32), 0.1, np.float32)
    image[:, ::2] = -0.1
    grey = {"brightness": 0.1, "contrast": 0.15, "noise": 0.05, "blur_px": 0.0}
    change = jax.jit(jax.vmap(lambda key: resident.photometric(key, image, **grey)))
    found = np.asarray(change(jax.random.split(KEY, 2000)))
    shift = found.mean(axis=(1, 2))
    step = np.log((found[:, :, 1::2].mean((1, 2)) - found[:, :, ::2].mean((1, 2))) / 0.2)
    noise = found[:, :, ::2].std(axis=(1, 2))
    assert abs(shift.mean()) < 0.01
    assert shift.std() == pytest.approx(0.1, rel=0.1)
    assert step.std() == pytest.approx(0.15, rel=0.1)
    assert noise.mean() == pytest.approx(0.025, rel=0.1)
    assert noise.max() < 0.056
    assert np.abs(np.asarray(resident.photometric(KEY, 0.99 * image / 0.1, **grey))).max() <= 1.0


def test_blotches_are_like_those_of_the_host():
    even = np.full((64, 80), -0.5, np.float32)
    change = jax.jit(jax.vmap(lambda key: resident.blotches(key, even, strength=0.5)))
    ours = np.log((np.asarray(change(jax.random.split(KEY, 1000))) + 1) / 0.5)
    rng = np.random.default_rng(0)
    theirs = [augment.blotches(even, strength=0.5, generator=rng) for _ in range(1000)]
    theirs = np.log((np.stack(theirs) + 1) / 0.5)
    assert abs(ours.mean()) < 0.01
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)
    for axis in (1, 2):
        found, expected = (np.abs(np.diff(x, axis=axis)).mean() for x in (ours, theirs))
        assert found == pytest.approx(expected, rel=0.1)


def test_pairs_are_cut_from_one_place_and_never_from_the_padding():
    rng = np.random.default_rng(1)
    images = [make_levels(rng, 20, 30), make_levels(rng, 33, 16)]
    targets = [np.clip((x + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)[..., None] for x in images]
    samples = resident.pairs(images, targets, tile_px=(16, 16), batch_size=4, **STILL)
    for batch in draw(samples, range(20)):
        assert batch["images"].shape == batch["targets"].shape == (4, 16, 16, 1)
        np.testing.assert_allclose(batch["images"], 2 * batch["targets"] - 1, atol=1e-6)
        assert batch["images"].min(axis=(1, 2, 3)).max() < -0.5  # noise everywhere
        assert (batch["images"] == -1).mean() < 0.02


def test_tiles_come_from_the_places_that_were_chosen():
    rng = np.random.default_rng(2)
    pictures = [make_levels(rng, 20, 30), make_levels(rng, 24, 16)]
    masks = rng.integers(0, 256, (3, 18, 18)).astype(np.uint8)
    crops = Crops(*(np.array(x) for x in ([0, 1], [3, 8], [14, 0], [0.5, 0.5])))
    samples = resident.tiles(masks, pictures, crops, tile_px=(16, 16), batch_size=2)
    allowed = [pictures[0][3:19, 14:30], pictures[1][8:24, 0:16]]
    sums = np.array([tile.sum() for tile in allowed])
    for batch in draw(samples, range(10)):
        assert batch["masks"].shape == batch["images"].shape == (2, 16, 16, 1)
        found = batch["images"].sum(axis=(1, 2, 3))
        assert np.abs(found[:, None] - sums).min(axis=1).max() < 1e-3
        levels = np.unique(np.rint((batch["masks"] + 1) * 127.5))
        assert set(levels) <= set(masks.ravel())


def test_outlines_stay_themselves():
    given = np.zeros((3, 16, 16), np.uint8)
    for i in range(3):
        given[i, : i + 2, : 5 * (i + 1)] = 1
    samples = resident.outlines(given, batch_size=(2, 3), rotate=True)
    (batch,) = draw(samples, [0])
    assert batch.shape == (2, 3, 16, 16, 1)
    assert set(np.unique(batch)) == {-1.0, 1.0}
    areas = (batch > 0).sum(axis=(2, 3, 4))
    assert sorted(areas[0]) == sorted(areas[1]) == sorted(given.sum(axis=(1, 2)))


def test_particles_weigh_one_if_the_tile_shows_them_whole():
    labels = np.zeros((40, 40), np.int32)
    labels[2:6, 2:7], labels[20:30, 20:24], labels[34:40, 0:9] = 1, 2, 3
    good = np.array([False, True, False, True])
    image = np.where(labels > 0, 1.0, -1.0).astype(np.float32)
    samples = resident.particles(
        [image] * 2,
        [labels] * 2,
        [good, good[:2]],
        [np.ones(4, bool), np.ones(2, bool)],
        tile_px=(32, 32),
        batch_size=2,
        **QUIET,
    )
    of_1, of_2 = np.float32(1 / 20), np.float32(1 / 40)
    weights = set()
    for batch in draw(samples, range(30)):
        assert batch["images"].shape == (2, 32, 32, 2)
        np.testing.assert_array_equal(batch["images"][..., 0], batch["images"][..., 1])
        inside = batch["images"][..., :1] > 0
        assert not (batch["where"] * ~inside).any()
        assert not (batch["targets"] * ~inside).any()
        total = batch["where"].sum(axis=(1, 2, 3))
        np.testing.assert_allclose(total, np.rint(total), atol=1e-5)
        weights |= set(np.unique(batch["where"]))
        assert batch["targets"][batch["where"] == of_1].all()
        assert not batch["targets"][batch["where"] == of_2].any()
    # 20 and 40 px; the third always touches the border.
    assert weights == {0.0, of_1, of_2}


def test_particles_that_nobody_judged_are_seen_and_weigh_nothing():
    labels = np.zeros((40, 40), np.int32)
    labels[15:20, 15:20], labels[15:20, 21:25] = 1, 2
    judged = np.array([True, True, False])
    image = np.where(labels > 0, 1.0, -1.0).astype(np.float32)
    samples = resident.particles(
        [image], [labels], [judged], [judged], tile_px=(32, 32), batch_size=4, **QUIET
    )
    (batch,) = draw(samples, [0])
    assert ((batch["images"][..., 1] > 0).sum(axis=(1, 2)) == 45).all()
    assert ((batch["where"] > 0).sum(axis=(1, 2, 3)) == 25).all()


def test_lines_between_particles_are_those_of_the_prediction():
    labels = np.random.default_rng(0).integers(0, 4, (20, 30)).repeat(2, 0).repeat(3, 1)
    found = np.asarray(flat_mask(jnp.array(labels), line_px=1))
    np.testing.assert_array_equal(found, split.draw_lines(labels))
    # They are drawn after tiles are turned, so that they lie on the same side in all of them.
    halves = np.ones((32, 32), np.int32)
    halves[:, 16:] = 2
    samples = resident.particles(
        [np.zeros((32, 32), np.float32)],
        [halves],
        [np.array([False, True, False])],
        [np.ones(3, bool)],
        tile_px=(32, 32),
        batch_size=16,
        **QUIET,
    )
    (batch,) = draw(samples, [0])
    ways = set()
    for mask in batch["images"][..., 1] > 0:
        rows, cols = np.nonzero(~mask)
        ways.add("row" if (rows == 15).all() else "column" if (cols == 15).all() else "wrong")
        assert rows.size == 32
    assert ways == {"row", "column"}
