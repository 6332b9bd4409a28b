"""Where arrays live: parameters on every device of one mesh, batches split over them."""

import contextlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pooch
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("process", "device")
LARGEST_CACHE = 2 * 2**30  # bytes of compiled programs; a run of one variant needs less than 100 MB


def mesh() -> Mesh:
    """All devices of all processes: a row a process. The compiler decides how to share the work."""
    rows = [jax.local_devices(process_index=i) for i in range(jax.process_count())]
    return Mesh(np.array(rows), AXES, axis_types=(AxisType.Auto,) * 2)


def local_mesh() -> Mesh:
    """All devices of this process, for what it does alone."""
    return Mesh(np.array([jax.local_devices()]), AXES, axis_types=(AxisType.Auto,) * 2)


def replicated(grid: Mesh) -> NamedSharding:
    """The same array on every device of a mesh."""
    return NamedSharding(grid, PartitionSpec())


def split(grid: Mesh, *, axis: int = 0) -> NamedSharding:
    """An array's part on every device of a mesh, along `axis`."""
    return NamedSharding(grid, PartitionSpec(*([None] * axis), AXES))


def put_batch(batch: Any, grid: Mesh, *, axis: int = 0) -> Any:
    """Moves a batch of NumPy arrays to the devices of a mesh, split along `axis`.

    What a process's devices cannot split evenly is put whole on each of them; with a constraint to
    `split` in the compiled function, they share the work nevertheless, some with a sample less.

    Args:
        batch: tree of arrays; of several processes, each gives its own part.
        grid: a mesh.
        axis: the axis that counts samples (1 for a WGAN-GP batch, whose first counts updates).
    """
    whole = NamedSharding(grid, PartitionSpec(*([None] * axis), AXES[0]))

    def put(x):
        even = x.shape[axis] % grid.shape[AXES[1]] == 0
        sharding = split(grid, axis=axis) if even else whole
        return jax.make_array_from_process_local_data(sharding, x)

    return jax.tree.map(put, batch)


def put_replicated(tree: Any, grid: Mesh) -> Any:
    """Puts NumPy arrays, the same in every process, on each device of a mesh."""
    put = jax.make_array_from_process_local_data
    return jax.tree.map(lambda x: put(replicated(grid), x), tree)


def local(tree: Any) -> Any:
    """One device's copy of replicated arrays, which this process can use without the others."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def keep_compiled() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start compiles nothing.

    The folder is the user's own: whoever can write there could run code as the user. Above
    `LARGEST_CACHE` bytes, the oldest programs are removed. Set `JAX_COMPILATION_CACHE_DIR` for
    another one, whose size nobody looks after.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder()
    with contextlib.suppress(OSError):  # there is none yet, or another run tidies up, too
        _remove_oldest(folder, LARGEST_CACHE)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _remove_oldest(folder: Path, largest: int) -> None:
    """Removes files until those of a folder have at most `largest` bytes."""
    files = [(path, path.stat()) for path in folder.iterdir()]
    total = sum(found.st_size for _, found in files)
    for path, found in sorted(files, key=lambda file: file[1].st_mtime):
        if total <= largest:
            break
        path.unlink()
        total -= found.st_size


def cache_folder() -> Path:
    """Where compiled programs are kept."""
    own = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(own) if own else Path(pooch.os_cache("semjax")) / "jax"


def describe() -> str:
    """The devices in words, as in `2 x NVIDIA H200`."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
