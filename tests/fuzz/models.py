"""Model folders: what a stranger may hand on."""

import hashlib
import json
from pathlib import Path

import numpy as np

from semjax import measuring, models, networks
from tests import bright
from tests.fuzz import damage

networks.SEGMENTERS["bright"] = bright.Bright
RECIPE = bright.RECIPE | {"flips": False}


def write(folder: Path) -> None:
    """A good model folder."""
    bright.write_parts(folder)
    hashes = {
        f"{part}/{file}": hashlib.sha256((folder / part / file).read_bytes()).hexdigest()
        for part in bright.PARTS
        for file in models.FILES
    }
    described = {
        "format": 1,
        "versions": {},
        "recipe": RECIPE,
        "trained": bright.TRAINED,
        "scores": {},
    }
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
