"""Work shared by two devices; in a process of its own, since JAX counts devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from semjax import devices

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, pathlib, sys
import jax, jax.numpy as jnp, numpy as np
from flax import struct
from semjax import devices
from semjax.data import batches
from semjax.training import Learner, fit

class State(struct.PyTreeNode):
    step: jax.Array
    weights: jax.Array

def step(state, batch, key):
    noise = 0.01 * jax.random.normal(key, (3,))
    towards = jnp.mean(batch["x"], axis=1).mean(axis=0) - state.weights
    weights = state.weights + 0.1 * towards + noise
    return State(state.step + 1, weights), {"loss": jnp.sum(towards**2)}

learner = Learner(lambda key: State(jnp.zeros((), jnp.int32), jax.random.normal(key, (3,))), step)
folder = pathlib.Path(sys.argv[1])
folder.mkdir()

def train(steps, folder=folder):
    make = lambda index, generator: {"x": generator.random(3, dtype=np.float32) + index}
    stream = batches.training(5, make, batch_size=(3, 4), seed=0)
    often = {"log_every": 1, "save_every": 2}
    return fit(learner, stream, folder, seed=0, steps=steps, batch_axis=1, **often)

def count(x):
    return len({(s.index[0].start, s.index[-1].start) for s in x.addressable_shards})

put = devices.put_batch({"even": np.ones((4, 3), "f4"), "odd": np.ones((3, 3), "f4")})
turned = devices.put_batch(np.ones((3, 4), "f4"), axis=1)
train(3)
print(json.dumps({
    "devices": jax.device_count(),
    "parts": [count(put["even"]), count(put["odd"]), count(turned)],
    "weights": train(6).weights.tolist(),
    "straight": train(6, folder.with_name("straight" + folder.name)).weights.tolist(),
}))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the script prints, for one and for two devices."""
    folder, found = tmp_path_factory.mktemp("devices"), {}
    for n in (1, 2):
        (folder / f"straight{n}").mkdir()
        found[n] = json.loads(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, str(folder / str(n))],
                cwd=ROOT,
                env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(n)},
                check=True,
                capture_output=True,
            ).stdout
        )
    return found


def test_batches_are_split_where_that_is_even(results):
    assert results[1]["devices"] == 1 and results[2]["devices"] == 2
    assert results[1]["parts"] == [1, 1, 1]
    assert results[2]["parts"] == [2, 1, 2]


@pytest.mark.parametrize("n", [1, 2])
def test_a_restart_changes_nothing(n, results):
    assert results[n]["weights"] == results[n]["straight"]


def test_two_devices_learn_what_one_learns(results):
    np.testing.assert_allclose(results[2]["weights"], results[1]["weights"], rtol=1e-5)


def test_arrays_arrive_as_they_are():
    batch = {"images": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int32([4])}
    found = devices.put_batch(batch)
    assert isinstance(found["images"], jax.Array)
    assert all(np.array_equal(found[name], batch[name]) for name in batch)


def test_devices_in_words():
    assert devices.describe() == f"{jax.device_count()} x {jax.devices()[0].device_kind}"
