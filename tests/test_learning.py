"""A training learns something that single pixels do not show."""

import json
import math

import jax
import numpy as np
from flax import linen as nn

from semjax import optimizers
from semjax.data import augment, batches
from semjax.learners.segmenter import segmenter
from semjax.training import fit


class Shallow(nn.Module):
    """Three convolutions, in place of a U-Net."""

    @nn.compact
    def __call__(self, images, *, train=False):
        x = images
        for _ in range(2):
            x = nn.relu(nn.Conv(8, (5, 5))(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Conv(1, (1, 1))(x)


def test_a_segmenter_learns_discs(tmp_path, discs):
    """The noise is so strong that single pixels do not tell discs from ground."""
    image, labels = discs
    mask = (labels > 0)[..., None].astype(np.float32)

    def make(index, generator):
        tile, target = augment.crop(image[..., None], mask, tile_px=(32, 32), generator=generator)
        tile, target = augment.dihedral(tile, target, generator=generator)
        noisy = tile + generator.normal(0, 0.6, tile.shape).astype(np.float32)
        return {"images": noisy, "targets": target}

    learner = segmenter(Shallow(), optimizers.adam(1e-2), tile_px=(32, 32), positive_weight=2.0)
    state = fit(
        learner,
        batches.training(8, make, batch_size=8, seed=0),
        tmp_path,
        seed=0,
        steps=60,
        log_every=10,
        save_every=60,
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows]
    # Knowing nothing costs at least log 2; knowing each pixel's brightness alone, about 0.3.
    assert losses[-1] < 0.12 < math.log(2)
    assert state.step == 60
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
