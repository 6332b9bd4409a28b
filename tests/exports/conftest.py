"""Small networks with random weights, as models."""

from functools import partial

import jax
import numpy as np
import pytest

from semjax import models, networks, predict


def _make(key, *, channels=1, **kwargs):
    """A MultiResUNet with two filters, and weights and statistics as after a training."""
    kwargs = {"filters": 2, "outputs": 3, **kwargs}
    network = networks.make(networks.SEGMENTERS, "multires_unet", kwargs)
    image = jax.ShapeDtypeStruct((1, 32, 32, channels), np.float32)
    shapes = jax.eval_shape(network.init, key, image)
    rng = np.random.default_rng(1)

    def draw(path, shape):
        name = path[-1].key
        if name == "kernel":
            scale = np.sqrt(2.0 / np.prod(shape.shape[:-1]))
            return rng.normal(0.0, scale, shape.shape).astype(np.float32)
        low, high = {"var": (0.3, 2.0), "scale": (0.5, 1.5)}.get(name, (-0.5, 0.5))
        return rng.uniform(low, high, shape.shape).astype(np.float32)

    variables = jax.tree_util.tree_map_with_path(draw, shapes)
    settings = {
        "network": "multires_unet",
        "network_kwargs": kwargs,
        "split": "markers",
        "threshold": 0.5,
    }
    return predict.Model(settings, network, variables)


@pytest.fixture
def make_network(key):
    """Makes a small network of random weights: `make_network(channels=1, outputs=3, …)`."""
    return partial(_make, key)


@pytest.fixture
def network(make_network):
    """A segmenter of three outputs."""
    return make_network()


@pytest.fixture
def model(make_network, network, tmp_path):
    """A model with a segmenter and a classifier."""
    recipe = {
        "contrast": {"low": 0.5, "high": 99.5, "knee": 0.6},
        "dark_particles": False,
        "info_bar_px": 0,
        "tile_px": [128, 128],
        "flips": False,
        "min_area_px": 9,
        "split": "markers",
        "thresholds": {"segmenter": 0.5, "classifier": 0.5},
    }
    return models.Model(
        path=tmp_path,
        recipe=recipe,
        trained={
            "pixel_size_nm": [2.0, 2.5],
            "min_feret_px": {"p1": 8.0, "p50": 20.0, "p99": 50.0},
        },
        scores={"held-out pairs": {"pq": 0.5}},
        files={},
        segmenter=network,
        classifier=make_network(channels=2, outputs=1),
        hash="",
    )
