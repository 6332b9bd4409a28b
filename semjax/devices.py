"""Where arrays live: one mesh axis `data`, parameters on every device, batches split over them."""

import os
from pathlib import Path
from typing import Any

import jax
import pooch
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh() -> Mesh:
    """All devices in one axis `data`; the compiler decides how to share the work."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated() -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh(), PartitionSpec())


def put_batch(batch: Any, *, axis: int = 0) -> Any:
    """Moves a batch of NumPy arrays to the devices, split along `axis` where that is even.

    Args:
        batch: tree of arrays.
        axis: the axis that counts samples (1 for a WGAN-GP batch, whose first counts updates).
    """
    grid = mesh()
    split = NamedSharding(grid, PartitionSpec(*([None] * axis), "data"))
    whole = NamedSharding(grid, PartitionSpec())

    def put(x):
        even = x.ndim > axis and x.shape[axis] % grid.size == 0
        return jax.make_array_from_process_local_data(split if even else whole, x)

    return jax.tree.map(put, batch)


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
