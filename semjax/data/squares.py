"""Images whose pixels are not square, on a grid of square ones."""

from pathlib import Path

import numpy as np
from absl import logging
from skimage.transform import resize

LONGEST = 4.0  # a pixel's longer side in shorter ones; what is longer is a damaged tag


def resample(raw: np.ndarray, width: float, height: float, path: Path) -> tuple[np.ndarray, float]:
    """Resamples an image, linearly, to squares of the shorter side: nothing seen is lost.

    Args:
      raw: (h, w).
      width: of a pixel, in nm.
      height: of a pixel, in nm.
      path: the image, for messages.

    Returns:
      The image, of the same number type, and the side of its pixels in nm.

    Raises:
      ValueError: no instrument has such pixels.
    """
    side = min(width, height)
    if max(width, height) > LONGEST * side:
        raise ValueError(
            f"the tags of {path} give pixels of {width:g} x {height:g} nm, which cannot be; "
            "give data.pixel_size_nm"
        )
    shape = (round(raw.shape[0] * height / side), round(raw.shape[1] * width / side))
    logging.warning(
        "%s: pixels of %g x %g nm are resampled to squares of %g nm; results lie on %d x %d px "
        "instead of %d x %d",
        *(path.name, width, height, side, *shape, *raw.shape),
    )
    square = resize(raw.astype(np.float32), shape, order=1, mode="edge", anti_aliasing=False)
    if raw.dtype.kind in "ui":
        square = np.rint(square).astype(raw.dtype)
    return square, side
