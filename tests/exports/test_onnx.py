"""ONNX graphs give what the networks give."""

import sys

import numpy as np
import onnxruntime
import pytest

from semjax import predict
from semjax.data.images import stretch_contrast
from semjax.exports import onnx

NETWORKS = {
    "segmenter": {},
    "one output, symmetric": {"outputs": 1, "decoder": "symmetric"},
    "classifier": {"outputs": 1, "channels": 2},
    "bfloat16": {"dtype": "bfloat16", "filters": 3},
}
SIZES = [(1, 64, 64), (3, 96, 160)]


def start(proto):
    return onnxruntime.InferenceSession(proto.SerializeToString())


def run(session, images):
    (outputs,) = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
    return outputs.transpose(0, 2, 3, 1)


def draw(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("kind", NETWORKS)
def test_one_graph_gives_the_networks_outputs_at_several_sizes(make_network, kind):
    network = make_network(**NETWORKS[kind])
    session = start(onnx.build(network))
    channels = NETWORKS[kind].get("channels", 1)
    for n, h, w in SIZES:
        images = draw(n, h, w, channels)
        ours = predict.run_batches(onnx.in_float32(network), images, batch_size=n, sigmoid=True)
        theirs = run(session, images)
        assert ours.std() > 0.05  # not all 0 or 1, where any logits would agree
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_sizes_that_are_no_multiples_of_16_are_padded_as_by_the_network(network):
    images = draw(2, 50, 77, 1)
    ours = predict.run_batches(network, images, batch_size=2, sigmoid=True)
    np.testing.assert_allclose(run(start(onnx.build(network)), images), ours, atol=1e-4)


def test_flips_are_averaged_as_by_semjax(network):
    image = draw(50, 64)
    one, four = onnx.build(network), onnx.build(network, flips=True)
    views = [(slice(None, None, row), slice(None, None, col)) for row in (1, -1) for col in (1, -1)]
    each = [run(start(one), image[view][None, ..., None])[0][view] for view in views]
    assert np.ptp(each, axis=0).max() > 0.01
    mean = run(start(four), image[None, ..., None])[0]
    np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-5)
    # The weights are stored once.
    assert len(four.SerializeToString()) < 2 * len(one.SerializeToString())


def test_batch_height_and_width_are_open_and_old_readers_know_the_operators(network):
    proto = onnx.build(network)
    (image,), (probabilities,) = proto.graph.input, proto.graph.output
    shapes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (image, probabilities)
    ]
    assert shapes == [["batch", 1, "height", "width"], ["batch", 3, "height", "width"]]
    assert proto.opset_import[0].version == 17 and proto.ir_version == 8
    assert {node.domain for node in proto.graph.node} == {""}


@pytest.mark.parametrize("dark_particles", [False, True])
@pytest.mark.parametrize("knee", [0.0, 0.6, 1.0])
def test_a_graph_with_contrast_takes_raw_images_between_percentiles(network, knee, dark_particles):
    raw = np.random.default_rng(2).gamma(2.0, 900.0, (64, 80)).astype(np.uint16)
    contrast = onnx.Contrast(low=1.0, high=98.0, knee=knee, dark_particles=dark_particles)
    bottom, top = np.percentile(raw, contrast.percentiles)
    scaled = ((raw - bottom) / (top - bottom)).astype(np.float32)
    stretched = stretch_contrast(raw, **contrast._asdict())
    np.testing.assert_allclose(
        run(start(onnx.build(network, contrast=contrast)), scaled[None, ..., None]),
        run(start(onnx.build(network)), stretched[None, ..., None]),
        atol=1e-4,
    )


def test_a_written_file_is_complete_and_says_how_near_it_is(network, tmp_path):
    file = tmp_path / "segmenter.onnx"
    assert 0 <= onnx.write(file, network) <= 1e-4
    assert run(onnxruntime.InferenceSession(file), draw(1, 64, 64, 1)).shape == (1, 64, 64, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["segmenter.onnx"]


def test_a_graph_that_is_off_is_not_written(network, make_network, tmp_path, monkeypatch):
    other = onnx.build(make_network(filters=3))
    monkeypatch.setattr(onnx, "build", lambda model: other)
    with pytest.raises(ValueError, match="differs from semjax by .* was not written"):
        onnx.write(tmp_path / "segmenter.onnx", network)
    assert not list(tmp_path.iterdir())


def test_a_network_without_a_graph_is_named(network):
    network.settings["network"] = "vit"
    with pytest.raises(ValueError, match='network "vit", only for: multires_unet'):
        onnx.build(network)


def test_the_extra_is_named_where_it_is_missing(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"pip install 'semjax\[onnx\]'"):
        onnx.build(network)
