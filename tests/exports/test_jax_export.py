"""Exported functions come back from bytes and give what the networks give."""

import numpy as np
import pytest
from jax import export

from semjax import predict
from semjax.exports import jax_export


def draw(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("kwargs", [{}, {"channels": 2, "outputs": 1}], ids=str)
def test_round_trip_at_several_sizes(make_network, tmp_path, kwargs):
    network, channels = make_network(**kwargs), kwargs.get("channels", 1)
    jax_export.write(tmp_path / "function", network, channels=channels)
    function = jax_export.load(tmp_path / "function")
    for n, h, w in [(1, 64, 64), (3, 96, 160)]:
        images = draw(n, h, w, channels)
        ours = predict.run_batches(network, images, batch_size=n, sigmoid=True)
        np.testing.assert_allclose(function(images), ours, atol=1e-4)


def test_it_is_for_all_devices_and_says_its_sizes(network):
    exported = export.deserialize(bytearray(jax_export.serialize(network, channels=1)))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    assert str(exported.in_avals[0]) == "float32[batch,16*rows,16*columns,1]"
    assert str(exported.out_avals[0]) == "float32[batch,16*rows,16*columns,3]"


def test_sizes_that_are_no_multiples_of_16_are_refused(network, tmp_path):
    jax_export.write(tmp_path / "function", network, channels=1)
    with pytest.raises(ValueError, match="16"):
        jax_export.load(tmp_path / "function")(draw(1, 64, 70, 1))


def test_another_file_is_named(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"no function")
    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as an exported JAX function"):
        jax_export.load(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError):
        jax_export.load(tmp_path / "missing")
