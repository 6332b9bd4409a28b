"""Where arrays live: one mesh axis `data`, parameters on every device, batches split over them."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pooch
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh(batch_size: int) -> Mesh:
    """The devices that divide a batch evenly, as many as there are, in one axis `data`.

    Every process has the same number of them, and they stand in the order of the processes: the
    first samples of a batch belong to the first process. The compiler decides how to share the
    work.

    Args:
        batch_size: samples of a batch, over all processes; a multiple of their number.
    """
    owned = [jax.local_devices(process_index=i) for i in range(jax.process_count())]
    numbers = range(1, min(map(len, owned)) + 1)
    n = max(n for n in numbers if batch_size % (n * len(owned)) == 0)
    return _line([device for some in owned for device in some[:n]])


def local_mesh() -> Mesh:
    """All devices of this process, for what it does alone."""
    return _line(jax.local_devices())


def _line(chosen: list[Any]) -> Mesh:
    return Mesh(np.array(chosen), ("data",), axis_types=(AxisType.Auto,))


def replicated(grid: Mesh) -> NamedSharding:
    """The same array on every device of a mesh."""
    return NamedSharding(grid, PartitionSpec())


def put_batch(batch: Any, grid: Mesh, *, axis: int = 0) -> Any:
    """Moves a batch of NumPy arrays to the devices of a mesh, split evenly along `axis`.

    Args:
        batch: tree of arrays; of several processes, each gives its own part.
        grid: a mesh whose size divides the whole batch.
        axis: the axis that counts samples (1 for a WGAN-GP batch, whose first counts updates).
    """
    split = NamedSharding(grid, PartitionSpec(*([None] * axis), "data"))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(split, x), batch)


def local(tree: Any) -> Any:
    """One device's copy of replicated arrays, which this process can use without the others."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def keep_compiled() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start compiles nothing.

    The folder is the user's own: whoever can write there could run code as the user. Set
    `JAX_COMPILATION_CACHE_DIR` for another one.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))


def cache_folder() -> Path:
    """Where compiled programs are kept."""
    own = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(own) if own else Path(pooch.os_cache("semjax")) / "jax"


def describe() -> str:
    """The devices in words, as in `2 x NVIDIA H200`."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
