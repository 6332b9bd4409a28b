"""Instruments' own file formats, read by RosettaSciIO: the extra `formats`."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from semjax.data import units
from semjax.data.units import NANOMETRES, Tags

# Suffix: the module of RosettaSciIO that reads it.
READERS = {
    ".dm3": "digitalmicrograph",  # Gatan
    ".dm4": "digitalmicrograph",
    ".emd": "emd",  # Velox and NCEM
    ".ser": "tia",  # FEI
    ".bcf": "bruker",
    ".elid": "phenom",
    ".mrc": "mrc",
}
NEEDED = "needs the extra: pip install 'semjax[formats]'"


def reads(path: Path) -> bool:
    """Whether a file's name says that it is of one of these formats."""
    return path.suffix.lower() in READERS


def installed() -> bool:
    """Whether RosettaSciIO is there; it is not imported."""
    return importlib.util.find_spec("rsciio") is not None


def read(path: Path) -> np.ndarray:
    """The first image of a file, (h, w); of a stack the first plane, of colours all channels.

    Raises:
      ValueError: RosettaSciIO is not installed, or the file holds no image.
    """
    data = np.asarray(_load(path)["data"])
    if data.dtype.names:  # colours come as fields
        return np.stack([data[name] for name in data.dtype.names], axis=-1)
    while data.ndim > 2:
        data = data[0]
    return data


def tags(path: Path) -> Tags:
    """Pixel size and instrument as the file has them.

    Raises:
      ValueError: RosettaSciIO is not installed, or the file holds no image.
    """
    image = _load(path)
    size = None
    sides = [axis for axis in image["axes"] if not axis.get("navigate", False)][-2:]
    if len(sides) == 2 and all(str(axis.get("units")) in NANOMETRES for axis in sides):
        height, width = (abs(axis["scale"]) * NANOMETRES[str(axis["units"])] for axis in sides)
        size = units.pair(width, height)
    found = image.get("metadata", {})
    used = found.get("Acquisition_instrument", {})
    column: dict[str, Any] = used.get("SEM") or used.get("TEM") or {}
    general = found.get("General", {})
    kilovolt = units.to_float(column.get("beam_energy"))
    distance = units.to_float(column.get("working_distance"))  # mm
    instrument = units.describe(
        model=column.get("microscope"),
        accelerating_voltage=units.say_voltage(kilovolt and kilovolt * 1e3),
        working_distance=units.say_distance(distance and distance * 1e-3),
        magnification=units.say_magnification(units.to_float(column.get("magnification"))),
        date=f"{general.get('date', '')} {general.get('time', '')}",
    )
    return Tags(f"{path.suffix[1:].lower()} file", size, instrument)


def _load(path: Path) -> dict[str, Any]:
    """RosettaSciIO's account of the first image in a file."""
    if not installed():
        raise ValueError(f"reading {path} {NEEDED}")
    reader = importlib.import_module(f"rsciio.{READERS[path.suffix.lower()]}")
    for found in reader.file_reader(str(path)):
        if np.ndim(found["data"]) >= 2 and min(np.shape(found["data"])[-2:]) > 1:
            return found
    raise ValueError(f"{path} holds no image, only spectra or other data")
