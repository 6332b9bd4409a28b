"""Augmentation: the same for all arrays of a sample, in range, and as strong as asked."""

import numpy as np
import pytest

from semjax.data import augment

QUIET = {"brightness": 0.0, "contrast": 0.0, "noise": 0.0, "blur_px": 0.0}


def symmetries(image):
    turned = [np.rot90(image, k) for k in range(4)]
    return {x.tobytes() for x in turned + [x[::-1] for x in turned]}


def draw_all(image, *, rotate=True, n=100):
    rng = np.random.default_rng(0)
    return [augment.dihedral(image, generator=rng, rotate=rotate)[0] for _ in range(n)]


def test_a_square_comes_in_all_eight_symmetries():
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert {x.tobytes() for x in draw_all(image)} == symmetries(image)


def test_without_turns_a_square_is_only_flipped():
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    flips = {x.tobytes() for x in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])}
    assert {x.tobytes() for x in draw_all(image, rotate=False)} == flips


def test_an_oblong_keeps_its_shape():
    image = np.arange(6).reshape(2, 3)
    found = draw_all(image)
    assert {x.shape for x in found} == {(2, 3)}
    assert len({x.tobytes() for x in found}) == 4


def test_symmetries_are_equally_likely():
    image = np.arange(4).reshape(2, 2)
    found = [x.tobytes() for x in draw_all(image, n=4000)]
    counts = [found.count(x) for x in set(found)]
    assert len(counts) == 8
    assert np.abs(np.array(counts) - 500).max() < 5 * np.sqrt(500)


def test_arrays_of_a_sample_turn_together():
    rng = np.random.default_rng(0)
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    channels = np.stack([image, -image], axis=-1)
    for _ in range(30):
        a, b, c = augment.dihedral(image, channels, image.astype(np.uint8), generator=rng)
        assert np.array_equal(b[..., 0], a) and np.array_equal(b[..., 1], -a)
        assert np.array_equal(c, a) and c.dtype == np.uint8
        assert all(x.flags.c_contiguous for x in (a, b, c))


def test_crops_lie_inside_and_reach_every_corner():
    rows, cols = np.mgrid[:6, :9]
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(300):
        a, b = augment.crop(rows, np.stack([rows, cols], -1), tile_px=(4, 5), generator=rng)
        assert a.shape == (4, 5) and b.shape == (4, 5, 2)
        assert np.array_equal(a, b[..., 0])
        assert np.array_equal(np.diff(b[..., 1], axis=1), np.ones((4, 4)))
        corners.add((int(a[0, 0]), int(b[0, 0, 1])))
    assert corners == {(row, col) for row in range(3) for col in range(5)}


def test_a_tile_of_the_image_s_size_is_the_image():
    image = np.arange(12).reshape(3, 4)
    (whole,) = augment.crop(image, tile_px=(3, 4), generator=np.random.default_rng(0))
    assert np.array_equal(whole, image)


@pytest.fixture
def image():
    return np.random.default_rng(1).uniform(-0.3, 0.3, (48, 48)).astype(np.float32)


def draws(image, n=200, **strengths):
    rng = np.random.default_rng(0)
    found = [augment.photometric(image, **{**QUIET, **strengths}, generator=rng) for _ in range(n)]
    assert all(x.dtype == np.float32 and x.shape == image.shape for x in found)
    return np.stack(found)


def test_strengths_of_zero_change_nothing(image):
    np.testing.assert_allclose(draws(image, 3), np.stack([image] * 3), atol=1e-6)


def test_brightness_shifts_the_mean_and_nothing_else(image):
    found = draws(image, brightness=0.1)
    shifts = found.mean(axis=(1, 2)) - image.mean()
    assert shifts.std() == pytest.approx(0.1, rel=0.2) and abs(shifts.mean()) < 0.03
    np.testing.assert_allclose(found.std(axis=(1, 2)), image.std(), rtol=1e-3)


def test_contrast_scales_about_the_mean(image):
    found = draws(image, contrast=0.15)
    factors = np.log(found.std(axis=(1, 2)) / image.std())
    assert factors.std() == pytest.approx(0.15, rel=0.2) and abs(factors.mean()) < 0.04
    np.testing.assert_allclose(found.mean(axis=(1, 2)), image.mean(), atol=1e-4)


def test_noise_is_uniform_up_to_its_strength(image):
    sigma = (draws(image, noise=0.2) - image).std(axis=(1, 2))
    assert 0 <= sigma.min() < 0.02 and 0.18 < sigma.max() < 0.21
    assert sigma.mean() == pytest.approx(0.1, rel=0.15)


def test_half_of_the_samples_are_blurred(image):
    found = draws(image, blur_px=2.0)
    sharp = np.isclose(found.std(axis=(1, 2)), image.std(), rtol=1e-4)
    assert 0.4 < sharp.mean() < 0.7
    assert found.std(axis=(1, 2)).max() <= image.std() * 1.001
    np.testing.assert_allclose(found.mean(axis=(1, 2)), image.mean(), atol=0.01)


def test_results_stay_in_range(image):
    found = draws(3.0 * image, 50, brightness=0.5, contrast=0.5, noise=0.5, blur_px=1.0)
    assert found.min() >= -1 and found.max() <= 1
    assert (found == 1).any() and (found == -1).any()  # clipped, not rescaled


def blotch(image, strength, n=200):
    rng = np.random.default_rng(0)
    return np.stack([augment.blotches(image, strength=strength, generator=rng) for _ in range(n)])


def test_blotches_multiply_the_brightness_and_are_smooth(image):
    even = np.full((64, 80), -0.5, np.float32)
    found = blotch(even, 0.5)
    assert found.dtype == np.float32 and found.shape == (200, 64, 80)
    factors = np.log((found + 1) / 0.5)
    assert 0.2 < factors.std(axis=(1, 2)).max() < 0.5
    assert abs(factors.mean()) < 0.02
    steps = np.abs(np.diff(factors, axis=1))
    assert steps.max() < 0.25 * np.abs(factors).max()
    lengths = factors.std(axis=(1, 2)) / steps.mean(axis=(1, 2))
    assert lengths.max() > 2.5 * lengths.min()  # of many sizes
    assert np.array_equal(blotch(np.full_like(even, -1.0), 0.5, 3), np.full((3, *even.shape), -1))
    assert np.array_equal(blotch(image, 0.0, 1)[0], image)
