import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import edges


def draw(radius, shift=0.0):
    """A blurred bright disc of this radius, and a mask whose edge lies `shift` px outside."""
    row, col = np.mgrid[:80, :90]
    distance = np.hypot(row - 40.2, col - 44.6)
    image = 20 + 130 / (1 + np.exp((distance - radius) / 0.5))
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return image + noise, distance < radius + shift


@pytest.mark.parametrize("shift", [-1.5, -0.5, 0.0, 0.4, 1.0, 1.8])
def test_the_crossing_is_where_the_mask_is_wrong(shift):
    image, mask = draw(20, shift)
    assert edges.crossing(*edges.half_height(image, mask)) == pytest.approx(shift, abs=0.25)


def test_profiles_of_images_add_up():
    image, mask = draw(18, 0.7)
    once, twice = edges.half_height(image, mask), edges.half_height(image[:, :45], mask[:, :45])
    both = edges.crossing(once[0] + twice[0], once[1] + twice[1])
    assert both == pytest.approx(0.7, abs=0.25)


def test_without_an_edge_there_is_no_crossing():
    flat = np.full((40, 40), 7.0)
    row, col = np.mgrid[:40, :40]
    disc = np.hypot(row - 20, col - 20) < 10
    assert edges.crossing(*edges.half_height(flat, disc)) is None
    assert edges.crossing(*edges.half_height(flat, np.zeros((40, 40), bool))) is None
    assert edges.crossing(*edges.half_height(flat, np.ones((40, 40), bool))) is None


@pytest.mark.parametrize("shift", [-2.0, -1.0, 0.0, 1.0, 2.0])
def test_snapped_edges_are_at_half_height(shift):
    image, mask = draw(20, shift)
    snapped = edges.snap(image, 3 * mask.astype(np.int32))
    assert set(np.unique(snapped)) == {0, 3}
    assert (snapped > 0).sum() == pytest.approx(np.pi * 20**2, rel=0.025)


def test_borders_between_particles_stay_and_none_is_lost():
    image, mask = draw(20, 1.0)
    labels = mask.astype(np.int32)
    labels[:, 45:] *= 2
    labels[2:4, 2:4] = 5  # dark: not to be seen at all
    snapped = edges.snap(image, labels)
    both = (snapped > 0) & (labels > 0)
    assert np.array_equal(snapped[both], labels[both])
    assert set(np.unique(snapped)) == {0, 1, 2, 5} and (snapped == 5).sum() >= 4


def test_nothing_moves_farther_than_the_reach():
    image, mask = draw(20, 6.0)
    snapped = edges.snap(image, mask.astype(np.int32)) > 0
    deep = ndimage.distance_transform_edt(mask) > edges.REACH_PX
    assert snapped[deep].all()
    for labels in (np.zeros((9, 9), np.int32), np.ones((9, 9), np.int32)):
        assert np.array_equal(edges.snap(np.ones((9, 9)), labels), labels)
