"""Simulated micrographs, altered on purpose: each fault is seen, and none on clean ones."""

import numpy as np
import pytest
from scipy import ndimage

from semjax import findings
from semjax.analysis import overlap, quality
from semjax.phantom.micrograph import simulate

SHARES = (0.05, 0.12, 0.3)


@pytest.fixture(scope="module")
def clean():
    """Three micrographs, uint8 (192, 256), from sparse to dense."""
    return [
        simulate([5, i], image_px=(192, 256), foreground=share).image
        for i, share in enumerate(SHARES)
    ]


def to_uint8(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def blur(image, sd=2.0):
    return to_uint8(ndimage.gaussian_filter(image.astype(float), sd))


def saturate(image):
    low, high = np.percentile(image, [0.5, 97])
    return to_uint8(255 * (image - low) / (high - low))


def charge(image):
    """Bright streaks of two rows beside some particles."""
    low, high = quality.contrast(image)
    charged = image.astype(float)
    rng = np.random.default_rng(0)
    for row in rng.integers(4, image.shape[0] - 4, 8):
        start = rng.integers(0, image.shape[1] // 2)
        charged[row : row + 2, start : start + image.shape[1] // 3] += 0.4 * (high - low)
    return to_uint8(charged)


def shade(image):
    """The brightness rises from left to right by four tenths of the contrast."""
    low, high = quality.contrast(image)
    ramp = np.linspace(0, 0.4 * (high - low), image.shape[1])
    return np.rint(image + ramp).astype(np.uint16)


FAULTS = {
    "blur": (blur, quality.edge_width, findings.BLURRED_PX),
    "white": (saturate, lambda image: quality.clipped(image)[1], findings.CLIPPED),
    "black": (lambda i: 255 - saturate(i), lambda i: quality.clipped(i)[0], findings.CLIPPED),
    "streaks": (charge, quality.streaks, findings.STREAKS),
    "drift": (shade, quality.drift, findings.DRIFT),
    "dark": (lambda image: 255 - image, quality.ground_level, findings.DARK),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("i", range(len(SHARES)))
@pytest.mark.parametrize("scale", [1, 200])
def test_a_fault_is_seen_and_only_where_it_is(clean, fault, i, scale):
    """Whatever the range of the values."""
    alter, measure, limit = FAULTS[fault]
    image = clean[i]
    assert measure(image.astype(np.uint16) * scale) < 0.9 * limit
    assert measure(alter(image).astype(np.uint16) * scale) > 1.05 * limit


@pytest.mark.parametrize("sd", [0, 1, 2, 3])
def test_the_width_of_an_edge_is_that_of_its_blur(sd):
    """An edge blurred by a Gaussian is as wide as height over slope, sqrt(2 pi) times its SD."""
    step = np.zeros((60, 60))
    step[:, 30:] = 100
    blurred = ndimage.gaussian_filter(step, sd) if sd else step
    expected = np.sqrt(2 * np.pi * (sd**2 + 1))  # and the measure's own blur by 1 px
    # A slope between two pixels is a little less than the steepest.
    assert quality.edge_width(blurred) == pytest.approx(expected, rel=0.25, abs=0.3)


def test_an_image_without_anything_has_no_faults():
    flat = np.full((64, 64), 7, np.uint8)
    assert quality.edge_width(flat) == 0
    assert quality.clipped(flat) == (0, 0)
    assert quality.streaks(flat) == quality.drift(flat) == 0
    assert quality.ground_level(flat) == 0.5
    assert quality.burnt_in(flat) == []


@pytest.mark.parametrize("shape", [(1, 1), (40, 1), (1, 40), (30, 3), (9, 8)])
def test_tiny_images_have_no_streaks(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert 0 <= quality.streaks(image) <= 1
    assert quality.drift(image) == 0


def test_floating_point_values_do_not_pile_up(clean):
    noise = np.random.default_rng(0).normal(size=clean[0].shape).astype(np.float32)
    assert quality.clipped(clean[0] + noise) == (0, 0)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("i", range(len(SHARES)))
def test_a_scale_bar_is_found_where_it_is(clean, level, i):
    assert quality.burnt_in(clean[i]) == []
    image = np.clip(clean[i], 20, 200)  # nothing else as black or white touches it
    image[170:175, 150:240] = level
    assert quality.burnt_in(image) == [quality.Bar(170, 150, 5, 90)]


@pytest.mark.parametrize("at_the_top", [True, False])
@pytest.mark.parametrize("i", range(len(SHARES)))
def test_a_bar_that_was_not_cut_is_seen(clean, at_the_top, i):
    image = clean[i]
    assert quality.flat_edges(image) == (0, 0)
    bar = np.full((24, image.shape[1]), 30, np.uint8)
    bar[8:16, 20:60:4] = 250  # text
    parts = [bar, image] if at_the_top else [image, bar]
    assert quality.flat_edges(np.concatenate(parts)) == ((24, 0) if at_the_top else (0, 24))


# --- one field twice


@pytest.fixture(scope="module")
def wide():
    """A wide field, float (192, 512), as the sum of electrons, and noise of its own each time."""
    return simulate([6, 0], image_px=(192, 512), foreground=0.25).image.astype(float)


def take(field, seed, noise=8.0):
    return field + np.random.default_rng(seed).normal(0, noise, field.shape)


def test_clean_images_are_of_different_fields(clean):
    assert overlap.find(clean, least=findings.OVERLAP) == []


def test_one_field_twice_is_found(clean):
    images = [*clean, take(clean[1], 0)]
    (found,) = overlap.find(images, least=findings.OVERLAP)
    assert found[:4] == (1, 3, 0, 0)
    assert found.share == pytest.approx(1, abs=1e-3) and found.correlation > 0.5


@pytest.mark.parametrize(("rows", "cols"), [(0, 128), (0, 96), (48, 64), (-48, 64)])
def test_a_field_shifted_in_part_is_found_with_its_shift(wide, rows, cols):
    height, width = 144, 256
    top = max(-rows, 0)
    first = take(wide[top : top + height, 100 : 100 + width], 1)
    second = take(wide[top + rows : top + rows + height, 100 + cols : 100 + cols + width], 2)
    (found,) = overlap.find([first, second], least=findings.OVERLAP)
    assert abs(found.rows - rows) <= 2 and abs(found.cols - cols) <= 2
    share = (height - abs(rows)) * (width - abs(cols)) / (height * width)
    assert found.share == pytest.approx(share, abs=0.03)


def test_brightness_and_contrast_do_not_matter(wide):
    first, second = wide[:, :300], 3 * wide[:, 100:400] + 50
    (found,) = overlap.find([first, second], least=findings.OVERLAP)
    assert abs(found.cols - 100) <= 3


def test_nothing_to_compare():
    assert overlap.find([], least=0.2) == []
    assert overlap.find([np.zeros((30, 40))], least=0.2) == []
    assert overlap.find([np.zeros((30, 40)), np.zeros((30, 40))], least=0.2) == []
