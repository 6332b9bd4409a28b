"""A finished run on a tiny phantom, with networks that need no training to be of use."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from ml_collections import ConfigDict

from semjax import main, networks
from semjax.workdir import Work

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.py"
BOOK_KEEPING = ("done.json", "metrics.jsonl")  # hold times


class Discs(nn.Module):
    """Draws discs whose size depends on z, far from what norms expect before any training."""

    outline_px: int
    width: int

    @nn.compact
    def __call__(self, z, *, train=False):
        size = nn.Dense(1, bias_init=nn.initializers.constant(4.0))(z)
        size = nn.BatchNorm(use_running_average=not train)(size)
        radius = self.outline_px * (0.25 + 0.05 * jnp.tanh(size))[..., None, None]
        axis = jnp.arange(self.outline_px) - self.outline_px / 2
        distance = jnp.hypot(axis[:, None], axis[None, :])
        return jnp.tanh(radius - distance[None, ..., None])


class Painter(nn.Module):
    """A relief stays a relief."""

    width: int
    downs: int
    blocks: int
    use_bias: bool
    skip: bool
    residual: bool
    upsample: str
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        return jnp.tanh(images + 0.05 * nn.Conv(1, (3, 3))(images))


class Patches(nn.Module):
    """One strided convolution."""

    version: str
    width: int
    noise: float
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        return nn.Conv(1, (4, 4), strides=4)(images)


class Brightness(nn.Module):
    """Takes what is bright for a particle, whole."""

    filters: int
    outputs: int
    decoder: str
    dtype: str

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(2, (3, 3))(images))
        return 8.0 * images[..., :1] + 2.0 + 0.05 * nn.Conv(self.outputs, (1, 1))(x)


class Sum(nn.Module):
    """A critic that is linear."""

    width: int

    @nn.compact
    def __call__(self, outlines, *, train=False):
        return nn.Dense(1)(outlines.reshape(outlines.shape[0], -1))[:, 0]


@contextmanager
def small_networks() -> Iterator[None]:
    """Small networks, quickly compiled: the real ones would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.OUTLINE_GENERATORS, "wgan", Discs)
        patch.setitem(networks.OUTLINE_CRITICS, "wgan", Sum)
        patch.setitem(networks.TRANSLATORS, "resnet", Painter)
        patch.setitem(networks.DISCRIMINATORS, "patch", Patches)
        patch.setitem(networks.SEGMENTERS, "multires_unet", Brightness)
        patch.setitem(networks.CLASSIFIERS, "multires_unet", Brightness)
        before = jax.config.read("jax_disable_most_optimizations")
        jax.config.update("jax_disable_most_optimizations", True)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True)
def networks_are_small():
    with small_networks():
        yield


class Run(Work):
    """A work folder and what tests do with it."""

    def start(self, *flags: str) -> int:
        """Runs the workflow from the command line; returns the exit code."""
        return main.main([f"--config={SMOKE}", f"--workdir={self.path}", *flags])

    def settings(self, **changes) -> ConfigDict:
        """The settings of the run, with changes to dotted names (`__` in place of the dot)."""
        config = ConfigDict(json.loads(self.config.read_text()))
        with config.unlocked():
            config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
        for section in ("masks", "translate", "segment", "classify", "measure"):
            config[section].tile_px = tuple(config[section].tile_px)
        return config

    def run_alone(self, name: str, **changes) -> dict:
        """Runs one stage anew on the artifacts of the others; returns its summary."""
        shutil.rmtree(self.stage(name))
        self.stage(name).mkdir()
        return import_module(f"semjax.stages.{name}").run(self.settings(**changes), self)

    def files(self) -> dict[str, Path]:
        """All files by their names in the folder."""
        return {str(p.relative_to(self.path)): p for p in self.path.rglob("*") if p.is_file()}

    def artifacts(self) -> dict[str, bytes]:
        """What the stages made, without book-keeping, checkpoints and log."""
        return {
            name: path.read_bytes()
            for name, path in self.files().items()
            if "/" in name and path.name not in BOOK_KEEPING and "checkpoints" not in path.parts
        }


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Run:
    """The work folder of a whole run; not to be changed."""
    made = Run(tmp_path_factory.mktemp("stages") / "run")
    with small_networks():
        assert made.start() == 0
    return made


@pytest.fixture
def copy(finished, tmp_path) -> Run:
    """A copy of it, to be changed."""
    shutil.copytree(finished.path, tmp_path / "copy")
    return Run(tmp_path / "copy")
