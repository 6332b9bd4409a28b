"""Model folders: what a stranger may hand on."""

import hashlib
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from semjax import checkpoints, measuring, models, networks
from tests.fuzz import damage


class Bright(nn.Module):
    """What is bright is a particle, inside as well as out."""

    outputs: int

    @nn.compact
    def __call__(self, images, *, train=False):
        slope = self.param("slope", nn.initializers.constant(8.0), (self.outputs,))
        return jnp.tile(images[..., :1], self.outputs) * slope[None, None, None]


networks.SEGMENTERS["bright"] = Bright
RECIPE = {
    "contrast": {"low": 0.5, "high": 99.5, "knee": 0.6},
    "dark_particles": False,
    "info_bar_px": -1,
    "tile_px": [64, 64],
    "flips": False,
    "min_area_px": 9,
    "split": "markers",
    "thresholds": {"segmenter": 0.5, "classifier": 0.5},
}


def write(folder: Path) -> None:
    """A good model folder."""
    hashes = {}
    for part, outputs in (("segmenter", 3), ("classifier", 1)):
        variables = {"params": {"slope": np.full(outputs, 8.0, np.float32)}}
        settings = {"network": "bright", "network_kwargs": {"outputs": outputs}, "threshold": 0.5}
        settings |= {"split": "markers"} if part == "segmenter" else {"evidence": None}
        checkpoints.save_model(folder / part, variables=variables, **settings)
        for file in models.FILES:
            found = (folder / part / file).read_bytes()
            hashes[f"{part}/{file}"] = hashlib.sha256(found).hexdigest()
    trained = {"pixel_size_nm": [5.0, 5.0], "min_feret_px": {"p1": 10.0, "p50": 20.0, "p99": 40.0}}
    described = {"format": 1, "versions": {}, "recipe": RECIPE, "trained": trained, "scores": {}}
    (folder / "model.json").write_text(json.dumps(described | {"sha256": hashes}))


def sign(folder: Path) -> None:
    """Puts the checksums of the files that are there into model.json: a stranger would."""
    described = json.loads((folder / "model.json").read_text())
    for name in described["sha256"]:
        found = (folder / name).read_bytes() if (folder / name).is_file() else b""
        described["sha256"][name] = hashlib.sha256(found).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))


def make(rng: np.random.Generator, folder: Path) -> None:
    """A model folder of which one to two files are spoilt, mostly with checksums that fit."""
    folder = folder / "model"
    write(folder)
    for _ in range(rng.integers(1, 3)):
        part = damage.pick(rng, ("segmenter", "classifier"))
        kind = rng.integers(6)
        if kind == 0:
            good = {"format": 1, "network": "bright", "network_kwargs": {"outputs": 3}}
            good |= {"threshold": 0.5, "split": "markers", "evidence": None}
            damage.write_json(rng, folder / part / "config.json", good)
        elif kind == 1 and (folder / part / "variables.npz").is_file():
            damage.spoil_file(rng, folder / part / "variables.npz")
        elif kind == 2:
            arrays = {
                "params/slope": damage.pick(
                    rng,
                    (
                        *(np.full(3, np.nan, "f4"), np.ones(2, "f4"), np.ones((3, 9), "f4")),
                        *(np.array([{"a": 1}], object), np.array(["x"]), np.zeros(0, "f4")),
                        *(np.zeros(3, "c8"), np.zeros((40_000, 5_000), "u1"), np.ones(3, "i8")),
                    ),
                )
            }
            if rng.random() < 0.3:
                arrays[damage.pick(rng, ("params", "a/b", "", "../climb", "params/slope/x"))] = (
                    np.ones(3)
                )
            np.savez_compressed(folder / part / "variables.npz", **arrays)
        elif kind == 3:
            (folder / part / damage.pick(rng, models.FILES)).unlink(missing_ok=True)
        elif kind == 4:
            path = folder / part / damage.pick(rng, models.FILES)
            path.unlink(missing_ok=True)
            path.symlink_to(damage.pick(rng, ("/etc/passwd", "nowhere", "/dev/zero")))
    if rng.random() < 0.9:
        sign(folder)
    if rng.random() < 0.3:
        good = json.loads((folder / "model.json").read_text())
        damage.write_json(rng, folder / "model.json", good)


def load_and_segment(folder: Path) -> None:
    """As `semjax segment` uses it; a model that loads works."""
    model = models.load(folder / "model")
    image = np.full((40, 50), -1, np.float32)
    image[10:25, 10:30] = 0.9
    labels, probability = measuring.segment(model, image)
    assert labels.shape == image.shape and np.isfinite(probability).all()


READERS = (load_and_segment,)
