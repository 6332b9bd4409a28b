"""Stacks of pictures as one multi-page TIFF each, which ImageJ opens as a stack."""

from pathlib import Path

import numpy as np
import tifffile

from semjax.workdir import whole


def write(path: Path, stack: np.ndarray) -> None:
    """Writes (n, h, w) uint8 or uint16, compressed; the file appears whole or not at all."""
    options = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    with whole(path) as partial, tifffile.TiffWriter(partial) as file:
        file.write(stack, compression="zlib", **options)


def read(path: Path) -> np.ndarray:
    """Reads (n, h, w).

    Raises:
        FileNotFoundError: the stage that writes it has not run.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: expected there by this stage. Run the earlier stages first."
        )
    stack = tifffile.imread(path)
    return stack if stack.ndim == 3 else stack[None]
