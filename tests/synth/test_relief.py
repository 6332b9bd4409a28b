"""What a generator is shown of a mask."""

import numpy as np
import pytest

from semjax.synth.place import flat_mask
from semjax.synth.relief import BATCH, EDGE, GREY, LEAST, LINE, RIM, reliefs

DIAMETER_PX = 20.0


@pytest.fixture(scope="module")
def labels():
    """Squares of 16 px in rows of four, some of which touch; every mask alike."""
    mask = np.zeros((96, 80), np.int32)
    for k in range(16):
        row, col = 22 * (k // 4) + 4, 18 * (k % 4) + 4
        mask[row : row + 16, col : col + 18 - k % 3] = k + 1
    return np.repeat(mask[None], BATCH + 3, 0)


def draw(labels, domes=255, seed=0, diameter_px=DIAMETER_PX, domed=0.5):
    domes = np.broadcast_to(np.uint8(domes), labels.shape)
    return reliefs(domes, labels, seed=seed, diameter_px=diameter_px, domed=domed)


def is_domed(labels):
    """Whether each mask is of domes: flat ones are white."""
    return draw(labels).max((1, 2)) == 1


def shaded(labels, **options):
    """Masks of the other kind."""
    shown = draw(labels, **options)
    return shown[shown.max((1, 2)) < 1]


def test_the_share_of_domes_is_as_asked(labels):
    both, none, every = (draw(labels, domed=share) for share in (0.5, 0.0, 1.0))
    domed = is_domed(labels)
    assert domed.mean() == pytest.approx(0.5, abs=0.2)
    assert none.max() < 1 and (every.max((1, 2)) == 1).all()
    # What share there is changes no mask of either kind.
    np.testing.assert_array_equal(both[domed], every[domed])
    np.testing.assert_array_equal(both[~domed], none[~domed])


def test_domes_are_parted_by_dark_lines(labels):
    domes = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
    domed = is_domed(labels)
    shown = draw(labels, domes)[domed]
    flat = np.asarray(flat_mask(labels, line_px=1))[domed] > 0
    lines = (labels[domed] > 0) & ~flat
    assert lines.any() and not shown[lines].any()
    expected = EDGE + (1 - EDGE) * domes[domed] / 255.0
    np.testing.assert_allclose(shown[flat], expected[flat], atol=1e-6)


def test_particles_are_brighter_than_the_ground_and_lines_are_faint(labels):
    shown, inside = draw(labels), labels > 0
    assert shown.dtype == np.float32 and shown.shape == labels.shape
    within = np.asarray(flat_mask(labels, line_px=1)) > 0
    assert shown[within].min() >= LEAST and shown[inside].max() <= 1
    assert shown[~is_domed(labels)][:, inside[0]].min() >= LEAST
    assert shown[~inside].min() >= 0 and 0.9 * LINE < shown[~inside].max() <= LINE
    clear = shown.reshape(len(labels), -1)[:, ~inside[0].ravel()].max(1)
    assert np.ptp(clear) > LINE / 2  # in some masks much clearer than in others
    assert np.mean(shown[~inside] > LINE / 3) < 0.2  # most of the ground is dark


def test_every_particle_has_a_grey_of_its_own_and_differs_within(labels):
    shown = shaded(labels)
    means = np.array([[image[labels[0] == k].mean() for k in range(1, 17)] for image in shown])
    within = np.array([[image[labels[0] == k].std() for k in range(1, 17)] for image in shown])
    low, high = GREY
    # Greys are uniform, slopes and facets add nothing on average.
    assert means.mean() == pytest.approx((low + high) / 2, abs=0.01)
    assert means.std() > 0.9 * (high - low) / np.sqrt(12)
    assert len(np.unique(means.round(6))) > 0.95 * means.size
    assert (within > 0.003).mean() > 0.9 and within.mean() < means.std() / 2


def test_about_half_of_the_particles_have_facets(labels):
    """Steps of two neighbouring pixels that no slope could make."""
    shown = shaded(labels, diameter_px=30.0)
    labels = labels[: len(shown)]
    steps = np.abs(np.diff(shown, axis=2))
    whole = (labels[:, :, 1:] == labels[:, :, :-1]) & (labels[:, :, 1:] > 0)
    sharp = [
        [step[within & (mask[:, 1:] == k)].max() > 0.02 for k in range(1, 17)]
        for step, within, mask in zip(steps, whole, labels, strict=True)
    ]
    assert 0.1 < np.mean(sharp) < 0.5


def test_lengths_follow_the_particles(labels):
    fine, coarse = (np.abs(np.diff(shaded(labels, diameter_px=d), axis=1)) for d in (40.0, 80.0))
    labels = labels[: len(fine)]
    whole = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    ground = (labels[:, 1:] == 0) & (labels[:, :-1] == 0)
    for where in (whole, ground):
        assert fine[where].mean() == pytest.approx(2 * coarse[where].mean(), rel=0.25)


def test_the_rim_is_where_the_dome_is_low(labels):
    domes = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
    plain = ~is_domed(labels)
    flat, shown = draw(labels)[plain], draw(labels, domes)[plain]
    labels, domes = labels[plain], domes[plain]
    unclipped = (labels > 0) & (flat > LEAST) & (shown < 1)
    assert unclipped.sum() > 0.9 * (labels > 0).sum()
    rim = RIM * (1 - domes / 255.0) ** 3
    np.testing.assert_allclose((shown - flat)[unclipped], rim[unclipped], atol=1e-6)
    np.testing.assert_array_equal(shown[labels == 0], flat[labels == 0])


def test_a_mask_depends_on_the_seed_and_its_place_alone(labels):
    shown = draw(labels)
    np.testing.assert_array_equal(draw(labels[:5]), shown[:5])
    more = labels.copy()
    more[-1, 0, 0] = 100  # another mask is fuller
    np.testing.assert_array_equal(draw(more)[:-1], shown[:-1])
    assert not np.array_equal(shown[0], shown[1])
    assert not np.array_equal(draw(labels, seed=1)[0], shown[0])


def test_masks_without_particles():
    shown = draw(np.zeros((2, 64, 64), np.int32))
    assert shown.shape == (2, 64, 64) and 0 < shown.max() <= LINE
