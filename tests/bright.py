"""A model that needs no training: what is bright is a particle."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from semjax import checkpoints

RECIPE = {
    "contrast": {"low": 0.5, "high": 99.5, "knee": 0.6},
    "dark_particles": False,
    "info_bar_px": -1,
    "tile_px": [64, 64],
    "flips": True,
    "min_area_px": 9,
    "split": "markers",
    "thresholds": {"segmenter": 0.5, "classifier": 0.5},
}
TRAINED = {"pixel_size_nm": [5.0, 5.0], "min_feret_px": {"p1": 10.0, "p50": 20.0, "p99": 40.0}}
PARTS = ("segmenter", "classifier")


class Bright(nn.Module):
    """What is bright is a particle, inside as well as out."""

    outputs: int

    @nn.compact
    def __call__(self, images, *, train=False):
        slope = self.param("slope", nn.initializers.constant(8.0), (self.outputs,))
        return jnp.tile(images[..., :1], self.outputs) * slope[None, None, None]


def write_parts(folder: Path) -> None:
    """Writes both of a model's networks, for a table in which `Bright` is called bright."""
    for part, outputs in zip(PARTS, (3, 1), strict=True):
        variables = {"params": {"slope": np.full(outputs, 8.0, np.float32)}}
        settings = {"network": "bright", "network_kwargs": {"outputs": outputs}, "threshold": 0.5}
        settings |= {"split": "markers"} if part == "segmenter" else {"evidence": None}
        checkpoints.save_model(folder / part, variables=variables, **settings)
