"""Trains tiny learners in a process of its own, since JAX counts devices and processes once.

    python tests/trainer.py FOLDER --learners=cyclegan [--steps=3] [--published] [--resident]
        [--distributed …]

With SEMJAX_DIE=1:5 in the environment, process 1 kills itself before its fifth batch. The first
process prints a line of JSON: metrics, weights, and compilations of the step by learner.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parent / "learners"))
import conftest

from semjax import processes
from semjax.data import batches
from semjax.data.resident import Resident
from semjax.training import fit

conftest.N = 8  # samples of a batch: as many as the most devices


def define():
    values = flags.FlagValues()
    processes.define(values)
    flags.DEFINE_list("learners", [], "", flag_values=values)
    flags.DEFINE_integer("steps", 3, "", flag_values=values)
    flags.DEFINE_bool("published", False, "", flag_values=values)
    flags.DEFINE_bool("resident", False, "", flag_values=values)
    return values


class Compilations(logging.Handler):
    """Counts those of the step that `fit` calls `update`."""

    count = 0

    def emit(self, record):
        self.count += record.getMessage().startswith("Compiling jit(update)")


class Dying:
    """A stream that may end its process."""

    def __init__(self, stream):
        who, _, last = os.environ.get("SEMJAX_DIE", "").partition(":")
        self.stream, self.left = stream, int(last) if who == str(processes.place()[0]) else -1

    def __next__(self):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return next(self.stream)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def train(name, folder, values):
    folder.mkdir(parents=True, exist_ok=True)
    parts = (conftest.published_networks if values.published else conftest.small_networks)(
        "float32"
    )
    whole = conftest.draw_batch(name)
    size: int | tuple[int, ...] = conftest.N
    if name == "wgan_gp":
        size = whole.shape[:2]
        whole = whole.reshape(-1, *whole.shape[2:])
    items = jax.tree.leaves(whole)[0].shape[0]

    def make(index, generator):
        def change(x):
            return x[index] + 0.01 * generator.standard_normal(x[index].shape, np.float32)

        return jax.tree.map(change, whole)

    def draw(arrays, index, key):
        def change(x):
            return x[index] + 0.01 * jax.random.normal(key, x.shape[1:])

        return jax.tree.map(change, arrays)

    stream = Dying(batches.training(items, make, batch_size=size, seed=0))
    batch_axis = int(isinstance(size, tuple))
    if values.resident:
        stream = Resident(whole, items, draw, size if batch_axis else (size,))
    counted = Compilations()
    logger = logging.getLogger("jax._src.interpreters.pxla")
    logger.addHandler(counted)
    for handler in (*logging.getLogger("jax").handlers, *logging.getLogger().handlers):
        handler.setLevel(logging.ERROR)
    with jax.log_compiles():
        state = fit(
            conftest.make_learner(name, parts),
            stream,
            folder,
            batch_axis=batch_axis,
            seed=0,
            steps=values.steps,
            log_every=3 if values.resident else 1,
            save_every=3 if values.resident else 2,
        )
    logger.removeHandler(counted)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row.pop("steps_per_second")
    weights = float(sum(np.abs(x).sum() for x in jax.tree.leaves(state)))
    return {"rows": rows, "weights": weights, "compilations": counted.count}


def run(values, folder):
    # Compiling takes longer than all the steps.
    jax.config.update("jax_disable_most_optimizations", not values.published)
    with processes.joined(values):
        found = {name: train(name, folder / name, values) for name in values.learners}
        if processes.leads():
            print(json.dumps({"devices": jax.device_count(), **found}))


if __name__ == "__main__":
    values = define()
    (_, folder) = values(sys.argv)
    try:
        run(values, Path(folder))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
