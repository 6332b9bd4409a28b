import jax
import numpy as np
import pytest

from semjax.synth.perlin import perlin


def draw(seed=0, shape=(64, 96), **options):
    return np.asarray(perlin(jax.random.key(seed), shape, **{"frequency": 6.0} | options))


def test_same_key_same_noise():
    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_zero_at_lattice_points():
    # 96 pixels, 6 cells: a lattice point every 16 pixels, along the shorter side as well.
    assert np.abs(draw()[::16, ::16]).max() < 1e-6


@pytest.mark.parametrize("octaves", [1, 3])
def test_range_and_mean(octaves):
    fields = np.stack([draw(seed, octaves=octaves) for seed in range(20)])
    assert np.abs(fields).max() <= 0.5**0.5
    assert fields.std() > 0.1
    assert abs(fields.mean()) < 0.02


def test_continuous():
    # A pixel is a sixteenth of a cell; the steepest rise of the noise is about 2 a cell.
    field = draw()
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 2.5 / 16


def test_octaves_add_detail():
    rough = [np.abs(np.diff(draw(octaves=n, persistence=0.9))).mean() for n in (1, 4)]
    assert rough[1] > 1.5 * rough[0]


@pytest.mark.parametrize("shape", [(1, 7), (50, 20), (33, 33)])
@pytest.mark.parametrize("frequency", [0.3, 4.0, 7.7])
def test_any_shape(shape, frequency):
    field = draw(shape=shape, frequency=frequency)
    assert field.shape == shape and field.dtype == np.float32 and np.isfinite(field).all()


@pytest.mark.parametrize("options", [{"frequency": 0.0}, {"octaves": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match="positive frequency"):
        draw(**options)
