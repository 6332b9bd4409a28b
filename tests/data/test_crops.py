"""Which tiles train: means of windows against a brute-force mean, and the rules of acceptance."""

import numpy as np
import pytest

from semjax.data import crops

RULES = {"foreground_range": (0.0, 1.0), "brightness_ratio": 1.0}


@pytest.fixture
def images():
    """Two images of different size and mean, bright and full on the right."""
    rng = np.random.default_rng(0)
    made = []
    for h, w in ((40, 64), (33, 70)):
        ramp = np.linspace(-0.8, 0.4, w) + rng.uniform(-0.2, 0.2, (h, w))
        made.append(ramp.astype(np.float32))
    return made


def foregrounds(images):
    return [image > -0.1 for image in images]


def brute_force(image, tile_px):
    """Positions on the grid and the means of their tiles, one by one."""
    h, w = tile_px
    return {
        (row, col): image[row : row + h, col : col + w].mean(dtype=np.float64)
        for row in range(0, image.shape[0] - h + 1, crops.STRIDE_PX)
        for col in range(0, image.shape[1] - w + 1, crops.STRIDE_PX)
    }


@pytest.mark.parametrize("tile_px", [(16, 24), (33, 8), (40, 64), (1, 1)])
def test_window_means_are_those_of_every_tile_on_the_grid(tile_px, images):
    image = images[0]
    found = crops.window_means(image, tile_px=tile_px)
    expected = brute_force(image, tile_px)
    assert found.size == len(expected)
    for (row, col), mean in expected.items():
        assert found[row // crops.STRIDE_PX, col // crops.STRIDE_PX] == pytest.approx(
            mean, abs=1e-6
        )


def test_window_means_of_a_mask_are_exact_fractions():
    mask = np.zeros((32, 32), bool)
    mask[:, 16:] = True
    found = crops.window_means(mask, tile_px=(16, 16))
    assert found.tolist() == [[0.0, 0.5, 1.0]] * 3


def positions(found):
    return set(zip(found.image.tolist(), found.row.tolist(), found.col.tolist(), strict=True))


def test_foreground_takes_the_tiles_whose_fraction_lies_in_the_range(images):
    masks, tile_px = foregrounds(images), (16, 24)
    rules = {**RULES, "foreground_range": (0.2, 0.7)}
    found = crops.choose(images, masks, tile_px=tile_px, tiles="foreground", **rules)
    expected = {
        (index, *place): share
        for index, mask in enumerate(masks)
        for place, share in brute_force(mask, tile_px).items()
        if 0.2 <= share <= 0.7
    }
    assert positions(found) == expected.keys()
    assert 0 < len(expected) < sum(len(brute_force(mask, tile_px)) for mask in masks)
    for *place, share in zip(*found, strict=True):
        assert share == pytest.approx(expected[tuple(map(int, place))])


def test_brightness_compares_a_tile_with_its_own_image(images):
    tile_px = (16, 24)
    rules = {**RULES, "brightness_ratio": 1.1}
    dark = [images[0] * 0.5 - 0.5, images[1]]  # its own mean falls with it
    found = crops.choose(dark, foregrounds(dark), tile_px=tile_px, tiles="brightness", **rules)
    expected = {
        (index, *place)
        for index, image in enumerate(dark)
        for place, mean in brute_force((image + 1) / 2, tile_px).items()
        if mean >= 1.1 * (image.mean() + 1) / 2
    }
    assert positions(found) == expected
    assert {index for index, *_ in expected} == {0, 1}


def test_all_takes_every_tile(images):
    found = crops.choose(images, foregrounds(images), tile_px=(16, 24), tiles="all", **RULES)
    expected = {
        (index, *place)
        for index, image in enumerate(images)
        for place in brute_force(image, (16, 24))
    }
    assert positions(found) == expected
    assert len(found.image) == len(expected)


def test_no_tile_at_all_is_an_error_that_says_what_to_change(images):
    rules = {**RULES, "foreground_range": (0.99, 1.0)}
    masks = [np.zeros(image.shape, bool) for image in images]
    with pytest.raises(ValueError, match=r"no tile of 16 x 24 px of the 2 images .*'foreground'"):
        crops.choose(images, masks, tile_px=(16, 24), tiles="foreground", **rules)
    with pytest.raises(ValueError, match="translate.brightness_ratio"):
        rules = {**RULES, "brightness_ratio": 9.0}
        crops.choose(images, masks, tile_px=(16, 24), tiles="brightness", **rules)


def test_an_image_smaller_than_a_tile_gives_none(images):
    found = crops.choose(images, foregrounds(images), tile_px=(36, 24), tiles="all", **RULES)
    assert set(found.image) == {0}  # the other has 33 rows
