"""Pixel sizes from the instruments' own tags; never guessed."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import tifffile

NANOMETRES = {
    "m": 1e9,
    "cm": 1e7,
    "mm": 1e6,
    "um": 1e3,
    "\u00b5m": 1e3,  # micro sign
    "\u03bcm": 1e3,  # Greek mu, which looks the same
    "micron": 1e3,
    "microns": 1e3,
    "nm": 1.0,
    "pm": 1e-3,
}


def pixel_size_nm(path: str | Path) -> tuple[float, str] | None:
    """Reads the side of a pixel from a TIFF's calibration.

    Zeiss (CZ_SEM), FEI / Thermo Fisher, OME-XML and ImageJ are understood. A resolution in dots
    per inch is a wish of the printer, not a calibration, and is passed over, as are files that
    are no TIFF.

    Returns:
      (nanometres, "Zeiss tag" | "FEI tag" | "OME-XML" | "ImageJ tag"), or None if not calibrated.

    Raises:
      ValueError: the pixels are not square.
    """
    path = Path(path)
    try:
        tif = tifffile.TiffFile(path)
    except tifffile.TiffFileError:
        return None
    with tif:
        for source, read in (
            ("Zeiss tag", _read_zeiss),
            ("FEI tag", _read_fei),
            ("OME-XML", _read_ome),
            ("ImageJ tag", _read_imagej),
        ):
            size = read(tif)
            if size is None:
                continue
            width, height = size
            if not math.isclose(width, height, rel_tol=5e-3):
                raise ValueError(
                    f"{path}: the {source} gives pixels of {width:g} x {height:g} nm, but only "
                    "square pixels can be measured; resample the image or give pixel_size_nm"
                )
            return width, source
    return None


def _pair(width: float, height: float) -> tuple[float, float] | None:
    """Width and height if both can be lengths, else None."""
    valid = all(math.isfinite(v) and v > 0 for v in (width, height))
    return (width, height) if valid else None


def _read_zeiss(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    tags = tif.sem_metadata or {}
    label, value, unit = (tuple(tags.get("ap_image_pixel_size", ())) + ("", "", ""))[:3]
    rounded = None
    if isinstance(value, int | float) and unit in NANOMETRES:
        rounded = value * NANOMETRES[unit]
    # The nameless head of the tag holds the exact size in metres; the named entry is rounded.
    head = tags.get("", ())
    if len(head) > 3 and isinstance(head[3], int | float):
        exact = head[3] * 1e9
        if rounded is None or math.isclose(exact, rounded, rel_tol=0.01):
            return _pair(exact, exact)
    return None if rounded is None else _pair(rounded, rounded)


def _read_fei(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    tags = tif.fei_metadata or {}
    for section in ("Scan", "EScan"):
        scan = tags.get(section, {})
        try:
            width = float(scan["PixelWidth"])
            height = float(scan["PixelHeight"])
        except (KeyError, TypeError, ValueError):
            continue
        return _pair(width * 1e9, height * 1e9)
    return None


def _read_ome(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    try:
        pixels = ElementTree.fromstring(tif.ome_metadata or "").find(".//{*}Pixels")
        given = {} if pixels is None else pixels.attrib
        width = float(given["PhysicalSizeX"])
        height = float(given.get("PhysicalSizeY", width))
        units = [given.get(f"PhysicalSize{axis}Unit", "\u00b5m") for axis in "XY"]
        return _pair(width * NANOMETRES[units[0]], height * NANOMETRES[units[1]])
    except (ElementTree.ParseError, ValueError, KeyError):
        return None  # no size, or one in "pixel" or "reference frame"


def _read_imagej(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    # ImageJ writes the micro sign as an escape, \u00B5m.
    unit = re.sub(r"\\u00b5", "\u00b5", unit, flags=re.I)
    if unit not in NANOMETRES:
        return None  # "pixel", "inch" (dots per inch of a scanner or printer), ...
    tags = tif.pages.first.tags
    try:
        densities = [tags[f"{axis}Resolution"].value for axis in "XY"]  # pixels per unit
        width, height = (denominator / numerator for numerator, denominator in densities)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return _pair(width * NANOMETRES[unit], height * NANOMETRES[unit])
