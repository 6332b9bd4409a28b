"""Checkpoints of a training, and model folders. The only file that speaks to Orbax."""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from orbax.checkpoint import v1 as ocp

from semjax.workdir import explained, whole, write_text

MODEL_FORMAT = 1


class Checkpoints:
    """The newest checkpoint of one training: its state and the position in its data."""

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
        if step != self.latest:
            with explained(self.folder / str(step)), self._disk_errors():
                self._checkpointer.save_checkpointables(
                    step, {"state": state, "batches": batches}, force=True
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
            step, {"state": abstract, "batches": batches}
        )
        return loaded["state"]

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Raises what the disk refused as the OSError that it is; TensorStore puts it into words.

        What was written of the checkpoint is removed: it may have taken the last of the room.
        """
        try:
            yield
        except Exception as error:
            for begun in self.folder.glob("*.orbax-checkpoint-tmp"):
                shutil.rmtree(begun, ignore_errors=True)
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error

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
    arrays = {
        name: np.asarray(value)
        for name, value in traverse_util.flatten_dict(variables, sep="/").items()
    }
    with whole(folder / "variables.npz") as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
    text = json.dumps({"format": MODEL_FORMAT, **settings}, indent=2) + "\n"
    write_text(folder / "config.json", text)


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
