"""Networks applied to images of any size: tiles, batches, splitting, scores of particles."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy import ndimage

from semjax import checkpoints, networks, predict
from semjax.data import tiles

RECEPTIVE_PX = 3  # each side, of the network below
SHAPES = []  # of the batches for which it was compiled


class Local(nn.Module):
    """Three convolutions 3 x 3 with zeros around: what lies further than 3 px has no influence."""

    outputs: int = 1

    @nn.compact
    def __call__(self, images, *, train=False):
        SHAPES.append(images.shape)
        x = images
        for _ in range(2):
            x = jnp.tanh(nn.Conv(3, (3, 3))(x))
        return nn.Conv(self.outputs, (3, 3))(x)


def make_model(*, channels=1, outputs=1, **settings):
    network = Local(outputs)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 8, 8, channels)))
    return predict.Model(settings, network, variables)


def draw(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_batches_are_filled_up_and_cut_again(sigmoid):
    model, stack = make_model(outputs=2), draw(4, 12, 10, 1)
    expected = model.network.apply(model.variables, stack)
    expected = 1 / (1 + np.exp(-expected)) if sigmoid else expected
    SHAPES.clear()
    found = predict.run_batches(model, stack, batch_size=3, sigmoid=sigmoid)
    assert found.shape == (4, 12, 10, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert set(SHAPES) == {(3, 12, 10, 1)}  # one shape, compiled once
    assert len(SHAPES) == 1


def test_two_calls_run_at_once(monkeypatch):
    model, stack, both = make_model(), draw(4, 12, 10, 1), threading.Barrier(2, timeout=60)

    class Waiting:
        def __array__(self, dtype=None, copy=None):
            both.wait()  # a call that comes alone stays alone, and this fails
            return np.ones((1, 12, 10, 1), np.float32)

    monkeypatch.setattr(predict, "_run", lambda *args: Waiting())
    found = predict.run_batches(model, stack, batch_size=1, sigmoid=False)
    assert found.shape == (4, 12, 10, 1)


def test_an_error_in_one_call_ends_all(monkeypatch):
    model, stack, run, called = make_model(), draw(6, 12, 10, 1), predict._run, []

    def fail(*args):
        called.append(args)
        if len(called) == 2:
            raise FloatingPointError("the second call")
        return run(*args)

    monkeypatch.setattr(predict, "_run", fail)
    threads = threading.active_count()
    with pytest.raises(FloatingPointError, match="the second call"):
        predict.run_batches(model, stack, batch_size=1, sigmoid=False)
    assert len(called) < 6 and threading.active_count() == threads


def run_whole(model, image, grid_px=8):
    """The outputs for an image (h, w, c) in one piece, continued to whole squares as tiles are.

    Tiles of 24 px have squares of 8 in common with the networks' of 16.
    """
    h, w = image.shape[:2]
    image = np.pad(image, ((0, -h % grid_px), (0, -w % grid_px), (0, 0)), mode="reflect")
    return model.network.apply(model.variables, image[None])[0, :h, :w]


@pytest.mark.parametrize("shape", [(40, 56), (33, 24), (24, 24), (25, 71)])
def test_an_image_in_tiles_equals_the_image_as_a_whole(shape):
    model, image = make_model(), draw(*shape)
    expected = run_whole(model, image[..., None])
    found = predict.run_image(
        model, image, tile_px=(24, 24), sigmoid=False, overlap_px=2 * RECEPTIVE_PX
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # With less overlap, tiles' borders show: this test can fail.
    if shape != (24, 24):
        seams = predict.run_image(model, image, tile_px=(24, 24), sigmoid=False, overlap_px=0)
        assert np.abs(seams - expected).max() > 1e-3


@pytest.mark.parametrize("shape", [(320, 160), (195, 292)])
def test_pooling_sees_the_same_squares_in_tiles(monkeypatch, shape):
    network = networks.make(networks.SEGMENTERS, "multires_unet", {"filters": 3})
    image = draw(*shape)
    variables = network.init(jax.random.key(0), image[None, :32, :32, None])
    model = predict.Model({}, network, variables)
    expected = run_whole(model, image[..., None], predict.GRID_PX)
    keys = {"tile_px": (144, 144), "sigmoid": False, "overlap_px": 64}
    apart = np.abs(predict.run_image(model, image, **keys) - expected).max()
    # With tiles that begin anywhere: this test can fail.
    monkeypatch.setattr(predict, "GRID_PX", 1)
    shifted = np.abs(predict.run_image(model, image, **keys) - expected).max()
    assert apart < shifted / 10


@pytest.mark.parametrize("shape, n", [((56, 56), 9), ((24, 88), 5), ((24, 40), 2), ((9, 9), 1)])
def test_no_more_tiles_are_computed_than_needed(monkeypatch, shape, n):
    model, image, run, called = make_model(), draw(*shape), predict._run, []
    monkeypatch.setattr(predict, "_run", lambda *args: called.append(len(args[2])) or run(*args))
    predict.run_image(model, image, tile_px=(24, 24), sigmoid=False, overlap_px=8)
    assert called == [1] * n


@pytest.mark.parametrize("shape", [(40, 56), (61, 24), (25, 71), (97, 50), (9, 30)])
def test_rows_of_flips_are_the_average_over_flipped_images(shape):
    model, image = make_model(), draw(*shape)
    options = {"tile_px": (24, 16), "overlap_px": 7}
    total = np.float32(0)
    for view in [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]:
        total = total + predict.run_image(model, image[view], **options)[view]
    asked = []

    def read(first, last):
        asked.append(last - first)
        return image[first:last]

    rows = list(predict.run_rows(model, read, shape, flips=True, **options))
    assert max(asked) <= 24 and len(rows) == len(tiles.starts(shape[0], 24, 7, 8))
    assert np.array_equal(np.concatenate(rows), total / np.float32(4))


def test_the_usual_overlap_is_at_most_half_a_tile():
    model, image = make_model(), draw(40, 40)
    expected = run_whole(model, image[..., None])
    found = predict.run_image(model, image, tile_px=(16, 24), sigmoid=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_several_channels_go_through_tiles():
    model, image = make_model(channels=2), draw(30, 40, 2)
    expected = nn.sigmoid(run_whole(model, image))
    found = predict.run_image(model, image, tile_px=(24, 24), overlap_px=8)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("tile_px", [(1, 1), (1, 9), (16, 16), (35, 8)])
def test_tiles_of_any_size_will_do(tile_px):
    found = predict.run_image(make_model(), draw(9, 20), tile_px=tile_px, overlap_px=0)
    assert found.shape == (9, 20, 1) and (found > 0).all()


def test_an_image_smaller_than_a_tile_keeps_its_size():
    model, image = make_model(), draw(20, 40)
    expected = model.network.apply(model.variables, image[None, ..., None])[0]
    found = predict.run_image(model, image, tile_px=(24, 24), sigmoid=False, overlap_px=8)
    assert found.shape == expected.shape
    inside = slice(0, 20 - RECEPTIVE_PX)  # below, the image is continued by reflection, not zeros
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


def foreground(labels):
    return labels > 0


def test_averaging_over_flips_makes_a_segmenter_blind_to_them():
    model = make_model(split="watershed", threshold=0.5)
    image = ndimage.gaussian_filter(draw(32, 40), 2) * 5
    options = {"tile_px": (32, 40)}

    def segment(image, **more):
        return predict.split(model, predict.probabilities(model, image, **options, **more))

    labels = segment(image)
    assert labels.dtype == np.int32 and labels.shape == image.shape
    assert 0.02 < foreground(labels).mean() < 0.98
    single = segment(image, flips=False)
    for flip in (np.flipud, np.fliplr):
        flipped = segment(flip(image).copy())
        assert (foreground(flipped) != flip(foreground(labels))).mean() < 0.002  # rounding
        flipped = segment(flip(image).copy(), flips=False)
        assert (foreground(flipped) != flip(foreground(single))).any()


@pytest.fixture
def touching():
    """Probabilities of two discs that touch: particle, interior, distance; (40, 60, 3)."""
    rows, cols = np.mgrid[:40, :60]
    distance = np.maximum(*(1 - np.hypot(rows - 20, cols - col) / 11 for col in (20, 40))).clip(
        0, 1
    )
    return np.stack([0.8 * (distance > 0), 0.6 * (distance > 0.3), distance], axis=-1)


def test_outputs_are_split_by_the_method_asked_for(touching):
    markers = predict.split_outputs(touching, method="markers")
    watershed = predict.split_outputs(touching[..., :1], method="watershed")
    for labels in (markers, watershed):
        assert labels.max() == 2 and labels.dtype == np.int32
        assert labels[20, 20] != labels[20, 40]
        assert np.array_equal(labels > 0, touching[..., 0] > 0.5)
    assert ndimage.label(touching[..., 0] > 0.5)[1] == 1


def test_thresholds_reach_the_splitting(touching):
    split = lambda **options: predict.split_outputs(touching, method="markers", **options).max()
    assert split(threshold=0.79) == 2
    assert split(threshold=0.81) == 0
    watershed = lambda t: predict.split_outputs(touching, method="watershed", threshold=t).max()
    assert (watershed(0.79), watershed(0.81)) == (2, 0)


@pytest.fixture
def labels():
    """Touching rectangles, an L around a square, and one alone."""
    made = np.zeros((20, 30), np.int32)
    made[2:8, 2:10] = 1
    made[2:8, 10:16] = 2
    made[8:14, 2:16] = 3
    made[10:14, 9:16] = 4
    made[3:6, 20:28] = 5
    return made


def test_the_classifier_sees_the_image_and_separated_particles(labels):
    before, image = labels.copy(), draw(*labels.shape)
    found = predict.classifier_input(image, labels)
    assert found.shape == (*labels.shape, 2) and found.dtype == np.float32
    assert np.array_equal(found[..., 0], image)
    assert set(np.unique(found[..., 1])) == {-1.0, 1.0}
    mask = found[..., 1] > 0
    pieces, n = ndimage.label(mask)  # 4-connected
    assert n == 5
    assert all(np.unique(labels[pieces == i]).size == 1 for i in range(1, n + 1))
    assert not mask[labels == 0].any()
    assert np.array_equal(mask[labels == 5], np.ones(24, bool))  # no line around what is alone
    lost = (labels > 0) & ~mask
    assert 0 < lost.sum() < 0.2 * (labels > 0).sum()
    assert np.array_equal(labels, before)


def test_means_by_label(labels):
    values = draw(*labels.shape)
    found = predict.mean_by_label([values[:7], values[7:]], labels)
    expected = [values[labels == i].mean(dtype=np.float64) for i in range(1, 6)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    holed = np.where(labels == 2, 0, labels)
    assert predict.mean_by_label([values], holed)[1] == 0
    assert predict.mean_by_label([values], np.zeros_like(labels)).shape == (0,)


class Echo(nn.Module):
    """Logits that are twice the mask channel, or the image channel."""

    channel: int = 1

    @nn.compact
    def __call__(self, images, *, train=False):
        return 2.0 * images[..., self.channel : self.channel + 1]


def test_a_particle_s_class_score_is_its_mean(labels):
    image = draw(*labels.shape)
    seen = predict.classifier_input(image, labels)
    for channel in (0, 1):
        model = predict.Model({}, Echo(channel), {})
        found = predict.classify(model, image, labels, tile_px=(16, 16))
        scores = 1 / (1 + np.exp(-2.0 * seen[..., channel]))
        expected = [scores[labels == i].mean() for i in range(1, 6)]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_model_folder_gives_the_network_it_was_written_from(tmp_path):
    kwargs = {"width": 3, "downs": 1, "blocks": 0, "upsample": "resize"}
    network = networks.make(networks.TRANSLATORS, "resnet", kwargs)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    variables = jax.tree.map(lambda x: draw(*x.shape), shapes)
    checkpoints.save_model(
        tmp_path, variables=variables, network="resnet", network_kwargs=kwargs, mask_input="flat"
    )
    model = predict.load(tmp_path)
    assert model.network == network
    assert model.settings["mask_input"] == "flat"
    assert jax.tree.structure(model.variables) == jax.tree.structure(variables)
    for found, expected in zip(*map(jax.tree.leaves, (model.variables, variables)), strict=True):
        assert isinstance(found, jax.Array) and np.array_equal(found, expected)


def test_a_model_of_an_unknown_network_is_refused(tmp_path):
    checkpoints.save_model(tmp_path, variables={}, network="unet9", network_kwargs={})
    with pytest.raises(ValueError, match="unet9.*resnet"):
        predict.load(tmp_path)
