"""Networks as serialised StableHLO: they run where JAX is, without semjax and without Flax."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from semjax.networks import layers
from semjax.predict import Model
from semjax.workdir import write_bytes

PLATFORMS = ("cpu", "cuda", "tpu")
LEAST_PX = 64


def write(path: Path, model: Model, *, channels: int) -> None:
    """Writes `serialize`'s bytes to a file, whole or not at all; one that is there is replaced."""
    write_bytes(path, serialize(model, channels=channels))


def serialize(model: Model, *, channels: int) -> bytes:
    """A segmenter or classifier with its weights, as a function of images of many sizes.

    It takes float32 (batch, rows, columns, channels) in [-1, 1] and gives float32 (batch, rows,
    columns, outputs) in [0, 1]. Rows and columns are multiples of 16, from 64 on. JAX reads
    what it wrote for at least six months of newer versions.

    Args:
        model: the network.
        channels: of the input: 1 for a segmenter, 2 for a classifier.
    """

    def probabilities(images: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(model.network.apply(model.variables, images, train=False))

    batch, rows, columns = export.symbolic_shape(
        "batch, rows, columns",
        constraints=[f"rows >= {LEAST_PX // 16}", f"columns >= {LEAST_PX // 16}"],
    )
    images = jax.ShapeDtypeStruct((batch, 16 * rows, 16 * columns, channels), jnp.float32)
    # The forms that are quick on a CPU are slow elsewhere; the plain ones serve all platforms.
    with layers.force_blocks(False):
        # A function of its own: what was traced for this computer's device does not come in.
        exported = export.export(jax.jit(probabilities), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def load(path: str | Path) -> Callable[[np.ndarray], jax.Array]:
    """Reads a file of `serialize`.

    Returns:
        The function of images; the first call with a new shape compiles it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else, or was written by a version of JAX too far away.
    """
    content = Path(path).read_bytes()
    try:
        return jax.jit(export.deserialize(bytearray(content)).call)
    except Exception as error:  # the reader raises errors of any type for other files
        raise ValueError(
            f"{path} cannot be read as an exported JAX function ({error}); write it anew with "
            "`semjax export … --jax`, or update JAX"
        ) from error
