"""Distances to the background against scipy's."""

import numpy as np
import pytest
from scipy import ndimage

from semjax.analysis import distance


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (33, 70), (64, 200)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_distances_are_scipys(shape, share):
    mask = np.random.default_rng(0).random(shape) < share
    mask[-1, 0] = False
    expected = ndimage.distance_transform_edt(mask)
    np.testing.assert_array_equal(distance.to_background(mask), expected)


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_one_pixel_of_background_is_far_from_the_other_corners(corner):
    mask = np.ones((70, 90), bool)
    mask[corner] = False
    expected = ndimage.distance_transform_edt(mask)
    np.testing.assert_array_equal(distance.to_background(mask), expected)
    assert expected.max() == np.hypot(69, 89)


def test_background_is_needed():
    with pytest.raises(ValueError, match="without background"):
        distance.to_background(np.ones((3, 3), bool))
