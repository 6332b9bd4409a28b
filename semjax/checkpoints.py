"""Checkpoints of a training, by Orbax, and model folders."""

import json
import os
import zipfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from orbax.checkpoint import v1 as ocp

from semjax import processes

MODEL_FORMAT = 1
POSITION = "process_0-of-1.json"  # as Grain calls it where there is one process


class _Position:
    """The position in the data, the same in every process: any number of them can go on from it."""

    def __init__(self, batches: Any):
        self.batches = batches

    async def save(self, directory: Any) -> Awaitable[None]:
        state = json.dumps(self.batches.get_state(), indent=4)

        async def write() -> None:
            path = await directory.await_creation()
            if processes.leads():
                (path / POSITION).write_text(state)

        return write()

    async def load(self, directory: Any) -> Awaitable[None]:
        async def read() -> None:
            self.batches.set_state(json.loads((directory / POSITION).read_text()))

        return read()


class Checkpoints:
    """The newest checkpoint of one training: its state and the position in its data.

    Of several processes, all call `save` and `restore` together.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._checkpointer = ocp.training.Checkpointer(
            folder.resolve(),
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=ocp.training.preservation_policies.LatestN(1),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """Step of the newest checkpoint, None if there is none."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def save(self, step: int, state: Any, batches: Any) -> None:
        """Writes state and data position; an earlier checkpoint is removed after that."""
        if step == self.latest:
            return
        context = ocp.Context()
        # Or every device would write a slice of every array, and compile the cutting of each.
        context.array.saving.use_replica_parallel = False
        with context:
            self._checkpointer.save_checkpointables(
                step, {"state": state, "batches": _Position(batches)}, force=True
            )

    def restore(self, step: int, state: Any, batches: Any) -> Any:
        """Returns the state saved at `step` and moves `batches` to its position.

        Args:
            step: a step that was saved.
            state: a state of the same structure, whose shapes and shardings are used.
            batches: the data iterator; changed in place.
        """
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
        )
        loaded = self._checkpointer.load_checkpointables(
            step, {"state": abstract, "batches": _Position(batches)}
        )
        return loaded["state"]

    def close(self) -> None:
        """Waits for writes and frees the folder."""
        self._checkpointer.close()


def save_model(folder: Path, *, variables: Any, **settings: Any) -> None:
    """Writes a model folder: `config.json` and `variables.npz` (plain arrays, nothing to execute).

    Args:
        folder: is made; files in it are replaced whole.
        variables: Linen variables.
        settings: what `load_model` returns beside them; must be plain JSON values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.asarray(value)
        for name, value in traverse_util.flatten_dict(variables, sep="/").items()
    }
    partial = folder / "variables.npz.part"
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, folder / "variables.npz")
    partial = folder / "config.json.part"
    partial.write_text(json.dumps({"format": MODEL_FORMAT, **settings}, indent=2) + "\n")
    os.replace(partial, folder / "config.json")


def load_model(folder: Path) -> tuple[dict, Any]:
    """Reads a model folder.

    Returns:
        Its settings and the Linen variables as nested dicts of NumPy arrays.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: the folder is of a newer format than this program knows, or damaged.
    """
    if not (folder / "config.json").is_file() or not (folder / "variables.npz").is_file():
        raise FileNotFoundError(
            f"no model in {folder}: expected config.json and variables.npz there. "
            "Run the stage that trains it, or give another folder."
        )
    try:
        settings = json.loads((folder / "config.json").read_text())
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON ({error}).") from error
    if settings.pop("format", 0) > MODEL_FORMAT:
        raise ValueError(f"the model in {folder} was written by a newer semjax; please update.")
    try:
        # NumPy leaves a damaged file open that it has opened itself.
        with (
            (folder / "variables.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder / 'variables.npz'} is damaged ({error}).") from error
    return settings, traverse_util.unflatten_dict(arrays, sep="/")
