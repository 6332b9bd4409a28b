"""Pixel sizes and instruments from the images' own tags and side files; never guessed."""

import math
from pathlib import Path

from absl import logging

from semjax.data import formats, sidefiles, tifftags
from semjax.data.units import Tags

SQUARE = 5e-3  # sides that differ by less are one length, written with few digits


def pixel_nm(path: str | Path, *, width_px: int | None = None) -> tuple[float, float, str] | None:
    """Reads width and height of a pixel from an image's calibration.

    Tags of Zeiss (CZ_SEM), FEI / Thermo Fisher, TESCAN, OME-XML and ImageJ are understood, then
    side files of JEOL, Hitachi and TESCAN, and what RosettaSciIO reads. A resolution in dots per
    inch is a wish of the printer, not a calibration, and is passed over.

    Args:
      path: the image.
      width_px: columns of the image as read, to see whether a side file belongs to it.

    Returns:
      (width in nm, height in nm, "Zeiss tag" | "JEOL side file" | ...), or None if not calibrated.

    Raises:
      ValueError: the side file is for an image of another size.
    """
    for tags in _read(Path(path), width_px):
        if tags.pixel_nm is not None:
            return *tags.pixel_nm, tags.source
    return None


def pixel_size_nm(path: str | Path) -> tuple[float, str] | None:
    """Reads the side of a square pixel, see `pixel_nm`.

    Returns:
      (nanometres, source), or None if not calibrated.

    Raises:
      ValueError: the pixels are not square.
    """
    found = pixel_nm(path)
    if found is None:
        return None
    width, height, source = found
    if not is_square(width, height):
        raise ValueError(
            f"{path}: the {source} gives pixels of {width:g} x {height:g} nm, but only "
            "square pixels can be measured; resample the image or give pixel_size_nm"
        )
    return width, source


def is_square(width: float, height: float) -> bool:
    """Whether two sides of a pixel are the same length."""
    return math.isclose(width, height, rel_tol=SQUARE)


def instrument(path: str | Path) -> dict[str, str]:
    """What tags and side files say of the instrument and how the image was taken.

    Returns:
      Texts by `maker`, `model`, `accelerating voltage`, `working distance`, `detector`,
      `magnification` and `date`, as far as they are known; empty if nothing is.
    """
    found: dict[str, str] = {}
    for tags in _read(Path(path), None):
        found = tags.instrument | found  # the first that says it is right
    return found


def _read(path: Path, width_px: int | None) -> list[Tags]:
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path}; correct its name, or a link to it")
    own = formats.reads(path)
    if own and not formats.installed():
        raise ValueError(f"reading {path} {formats.NEEDED}")
    try:
        found = [formats.tags(path)] if own else tifftags.read(path)
    except Exception as error:  # readers raise errors of any type for damaged tags
        logging.warning("%s: its tags are passed over, they cannot be read (%s)", path, error)
        found = []
    return found if own else [*found, *sidefiles.read(path, width_px=width_px)]
