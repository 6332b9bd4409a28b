import numpy as np
import pytest

from semjax.analysis import threshold


@pytest.fixture
def two_levels():
    """Background about -0.8, a disc about 0.4."""
    row, column = np.mgrid[:64, :64]
    image = np.where((row - 30) ** 2 + (column - 30) ** 2 < 144, 0.4, -0.8)
    noise = np.random.default_rng(0).normal(0, 0.05, image.shape)
    return (image + noise).astype(np.float32)


@pytest.mark.parametrize("name", ["li", "otsu"])
def test_li_and_otsu_lie_between_two_levels(name, two_levels):
    above = two_levels > threshold.THRESHOLDS[name](two_levels)
    assert abs(int(above.sum()) - 441) < 10


@pytest.mark.parametrize("name", list(threshold.THRESHOLDS))
@pytest.mark.parametrize("value", [-1.0, 0.0, 0.3])
def test_threshold_of_constant_image_is_its_value(name, value):
    result = threshold.THRESHOLDS[name](np.full((5, 7), value, np.float32))
    assert isinstance(result, float)
    assert result == pytest.approx(value)


def test_foreground_is_the_bright_disc(two_levels):
    mask = threshold.foreground(two_levels)
    assert mask.dtype == bool
    assert abs(int(mask.sum()) - 441) < 70
    assert mask[30, 30] and not mask[5, 5]


def test_constant_image_has_no_foreground():
    assert not threshold.foreground(np.full((8, 8), 0.3, np.float32)).any()


def test_keep_shown_drops_labels_on_background(two_levels):
    labels = np.zeros((64, 64), np.int32)
    labels[25:35, 25:35] = 1
    labels[50:60, 50:60] = 2
    labels[5:8, 5:8] = 4  # there is no label 3
    kept = threshold.keep_shown(two_levels, labels, threshold="li")
    assert kept.tolist() == [True, False, False, False]
    kept = threshold.keep_shown(two_levels, labels, threshold="none")
    assert kept.tolist() == [True, True, False, True]


def test_keep_shown_keeps_all_of_constant_image():
    labels = np.arange(1, 5, dtype=np.int32).reshape(2, 2)
    image = np.full((2, 2), 0.1, np.float32)
    assert threshold.keep_shown(image, labels, threshold="li").all()


def test_keep_shown_without_labels():
    assert threshold.keep_shown(np.ones((3, 3)), np.zeros((3, 3), int), threshold="li").size == 0


def test_keep_shown_rejects_unknown_threshold_and_shapes():
    with pytest.raises(ValueError, match="li, otsu, mean, median"):
        threshold.keep_shown(np.ones((2, 2)), np.ones((2, 2), int), threshold="best")
    with pytest.raises(ValueError, match="one shape"):
        threshold.keep_shown(np.ones((2, 2)), np.ones((2, 3), int), threshold="li")


def test_remove_renumbers_and_maps():
    labels = np.array([[0, 1, 2], [3, 3, 4]], np.int32)
    kept, mapping = threshold.remove(labels, np.array([True, False, True, False]))
    assert kept.tolist() == [[0, 1, 0], [2, 2, 0]]
    assert mapping.tolist() == [0, 1, 0, 2, 0]
    assert kept.dtype == np.int32


def test_remove_rejects_too_few_elements():
    with pytest.raises(ValueError, match="largest label is 3"):
        threshold.remove(np.array([[3]]), np.array([True]))


def test_pieces_count_what_clings_together():
    apart, together = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    apart[2:12, 2:12] = apart[2:12, 20:30] = apart[20:30, 20:30] = True
    apart[35:37, 35:37] = True  # noise: counts as foreground only
    together[2:12, 2:32] = True
    assert threshold.pieces([apart]) == pytest.approx(1000 * 3 / 304)
    assert threshold.pieces([together]) == pytest.approx(1000 / 300)
    assert threshold.pieces([apart, together]) == pytest.approx(1000 * 4 / 604)
    assert threshold.pieces([np.zeros((5, 5))]) is None
