"""Checkpoints of a training, by Orbax, and model folders."""

import json
import math
import os
import re
import shutil
import textwrap
import zipfile
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np
from flax import traverse_util
from orbax.checkpoint import v1 as ocp

from semjax import processes
from semjax.workdir import explained, whole, write_text

MODEL_FORMAT = 1
OLDEST = 1  # format of a model folder's files that is still read
LARGEST_JSON = 2**22  # bytes; ours have some thousand
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
        with explained(self.folder / str(step)), self._disk_errors(), context:
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
        settings: what `load_settings` returns; must be plain JSON values.
    """
    arrays = {
        name: np.asarray(value)
        for name, value in traverse_util.flatten_dict(variables, sep="/").items()
    }
    with whole(folder / "variables.npz") as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
    text = json.dumps({"format": MODEL_FORMAT, **settings}, indent=2) + "\n"
    write_text(folder / "config.json", text)


def read_description(path: Path, *, newest: int) -> dict[str, Any]:
    """Reads the JSON of a model folder; nothing in it is taken for granted.

    Args:
        path: the file.
        newest: the newest format that is known here.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of a format that is not known; the message says what to do.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"of more than {LARGEST_JSON} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or type(content.get("format")) is not int:
            raise ValueError('no JSON object with a whole number as "format"')
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy the model folder again") from error
    found = content["format"]
    if found > newest:
        raise ValueError(
            f"{path} was written by a newer semjax: it has format {found}, but this one knows "
            f"formats up to {newest}; update it (pip install -U semjax)"
        )
    if found < OLDEST:
        raise ValueError(
            f"{path} has format {found}, which is older than any that is still read ({OLDEST}); "
            "train the model again, or use the semjax that wrote it"
        )
    return content


def load_settings(folder: Path) -> dict[str, Any]:
    """Reads what a model folder says of its network.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: its format is not known here, or it is damaged.
    """
    if not (folder / "config.json").is_file() or not (folder / "variables.npz").is_file():
        raise FileNotFoundError(
            f"no model in {folder}: expected config.json and variables.npz there. "
            "Run the stage that trains it, or give another folder."
        )
    settings = read_description(folder / "config.json", newest=MODEL_FORMAT)
    return {name: value for name, value in settings.items() if name != "format"}


def load_variables(folder: Path, declared: Any) -> Any:
    """Reads the weights of a model folder, if they are what its network needs.

    The arrays' headers are looked at before any of them is read, so that the file cannot ask for
    more memory than it has bytes; nothing in it is executed.

    Args:
        folder: the model folder.
        declared: the network's variables, as trees of shapes and types (`jax.eval_shape`).

    Returns:
        The Linen variables as nested dicts of NumPy arrays.

    Raises:
        ValueError: they are others, or damaged.
    """
    path = folder / "variables.npz"
    flat: Any = traverse_util.flatten_dict(declared, sep="/")
    expected = {f"{name}.npy": (x.shape, np.dtype(x.dtype)) for name, x in flat.items()}
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            stored = sum(member.file_size for member in members)
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or stored > path.stat().st_size:
                raise ValueError("compressed, as semjax never writes it")
            if sorted(member.filename for member in members) != sorted(expected):
                raise ValueError("other arrays than those of the network in config.json")
            for member in members:
                name = member.filename
                with archive.open(member) as file:
                    shape, dtype = _read_header(file)
                size = dtype.itemsize * math.prod(shape)
                if (shape, dtype) != expected[name] or size > member.file_size:
                    raise ValueError(
                        f"{name} is {dtype} {shape}, the network in config.json needs "
                        f"{expected[name][1]} {expected[name][0]}"
                    )
                with archive.open(member) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                if not np.isfinite(array).all():
                    raise ValueError(f"{name} has NaN or infinite weights")
                arrays[name.removesuffix(".npy")] = array
    except Exception as error:  # a damaged file makes the libraries raise errors of any type
        # zipfile quotes whole headers.
        reason = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise ValueError(
            f"{path} cannot be used ({reason}); copy the model folder again"
        ) from error
    return traverse_util.unflatten_dict(arrays, sep="/")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a NumPy file."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype
