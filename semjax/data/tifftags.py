"""Tags of TIFF files: Zeiss, FEI / Thermo Fisher, TESCAN, OME-XML, ImageJ."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from semjax.data import units
from semjax.data.units import NANOMETRES, Tags

TESCAN = 50431  # blocks of text and a thumbnail; the text is found by its words


def read(path: Path) -> list[Tags]:
    """What the tags of a TIFF say, the instrument's own first; nothing for other files."""
    try:
        tif = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError):
        return []
    with tif:
        found = [reader(tif) for reader in (_zeiss, _fei, _tescan, _ome, _imagej)]
    return [tags for tags in found if tags is not None]


def _zeiss(tif: tifffile.TiffFile) -> Tags | None:
    tags = tif.sem_metadata
    if not tags:
        return None

    def value(name: str) -> str:
        """A named entry as it is written: `15.00 kV`."""
        return " ".join(str(part) for part in tuple(tags.get(name, ("", "")))[1:])

    label, size, unit = (tuple(tags.get("ap_image_pixel_size", ())) + ("", "", ""))[:3]
    side = None
    if isinstance(size, int | float) and unit in NANOMETRES:
        side = size * NANOMETRES[unit]
    # The nameless head of the tag holds the exact size in metres; the named entry is rounded.
    head = tags.get("", ())
    if len(head) > 3 and isinstance(head[3], int | float):
        exact = head[3] * 1e9
        if side is None or math.isclose(exact, side, rel_tol=0.01):
            side = exact
    voltage, volt = units.split_unit(value("ap_actualkv"))
    distance = units.length_nm(value("ap_wd"), "mm")
    magnified, thousands = units.split_unit(value("ap_mag"))
    if magnified and thousands.upper() == "K":
        magnified *= 1000
    instrument = units.describe(
        maker="Zeiss",
        model=value("dp_sem"),
        accelerating_voltage=units.say_voltage(
            None if voltage is None else voltage * (1 if volt == "V" else 1000)
        ),
        working_distance=units.say_distance(distance and distance / 1e9),
        detector=value("dp_detector_type") or value("dp_detector_channel"),
        magnification=units.say_magnification(magnified),
        date=f"{value('ap_date')} {value('ap_time')}",
    )
    return Tags("Zeiss tag", None if side is None else units.pair(side, side), instrument)


def _fei(tif: tifffile.TiffFile) -> Tags | None:
    tags = tif.fei_metadata
    if not tags:
        return None

    def value(*names: str) -> object:
        """The first that there is of `Section.Entry`."""
        for name in names:
            section, entry = name.split(".")
            if (found := tags.get(section, {}).get(entry)) not in (None, ""):
                return found
        return ""

    size = None
    for section in ("Scan", "EScan"):
        width, height = (units.to_float(value(f"{section}.Pixel{w}")) for w in ("Width", "Height"))
        if width is not None and height is not None:
            size = units.pair(width * 1e9, height * 1e9)
            break
    # As the instrument shows it: the width of the display over that of the field.
    display = units.to_float(value("System.DisplayWidth"))
    field = units.to_float(value("EScan.HorFieldsize", "EBeam.HFW"))
    instrument = units.describe(
        maker="FEI / Thermo Fisher",
        model=value("System.SystemType", "System.Type"),
        accelerating_voltage=units.say_voltage(units.to_float(value("Beam.HV", "EBeam.HV"))),
        working_distance=units.say_distance(
            units.to_float(value("Stage.WorkingDistance", "EBeam.WD"))
        ),
        detector=f"{value('Detectors.Name')} {value('Detectors.Mode')}",
        magnification=units.say_magnification(display / field if display and field else None),
        date=f"{value('User.Date')} {value('User.Time')}",
    )
    return Tags("FEI tag", size, instrument)


def _tescan(tif: tifffile.TiffFile) -> Tags | None:
    tag = tif.pages.first.tags.get(TESCAN)
    if tag is None:
        return None
    raw = tag.value if isinstance(tag.value, bytes) else str(tag.value).encode("latin-1", "replace")
    # Blocks of text stand between binary ones; an entry is a line of its own.
    found = re.findall(rb"([A-Za-z0-9_]{2,40})=([^\r\n\0]*)[\r\n]", raw)
    entries: dict[str, str] = {}
    for name, text in found:
        entries.setdefault(name.decode("ascii"), text.decode("utf-8", "replace").strip())
    return from_tescan("TESCAN tag", entries)


def from_tescan(source: str, entries: dict[str, str]) -> Tags:
    """Reads TESCAN's entries, which are the same in the tag and in the side file; in SI units."""
    number = {name: units.to_float(text) for name, text in entries.items()}
    width = number.get("PixelSizeX")
    height = number.get("PixelSizeY", width)
    instrument = units.describe(
        maker="TESCAN",
        model=entries.get("DeviceModel") or entries.get("Device"),
        accelerating_voltage=units.say_voltage(
            number.get("HV") or number.get("AcceleratorVoltage")
        ),
        working_distance=units.say_distance(number.get("WD")),
        detector=entries.get("Detector") or entries.get("Detector0"),
        magnification=units.say_magnification(number.get("Magnification")),
        date=f"{entries.get('Date', '')} {entries.get('Time', '')}",
    )
    size = None if width is None or height is None else units.pair(width * 1e9, height * 1e9)
    return Tags(source, size, instrument)


def _ome(tif: tifffile.TiffFile) -> Tags | None:
    try:
        root = ElementTree.fromstring(tif.ome_metadata or "")
    except ElementTree.ParseError:
        return None
    pixels, microscope = root.find(".//{*}Pixels"), root.find(".//{*}Microscope")
    detector, date = root.find(".//{*}Detector"), root.find(".//{*}AcquisitionDate")
    made = {} if microscope is None else microscope.attrib
    instrument = units.describe(
        maker=made.get("Manufacturer"),
        model=made.get("Model"),
        detector="" if detector is None else detector.attrib.get("Model"),
        date="" if date is None else date.text,
    )
    given = {} if pixels is None else pixels.attrib
    try:
        width = float(given["PhysicalSizeX"])
        height = float(given.get("PhysicalSizeY", width))
        side = [given.get(f"PhysicalSize{axis}Unit", "\u00b5m") for axis in "XY"]
        size = units.pair(width * NANOMETRES[side[0]], height * NANOMETRES[side[1]])
    except (ValueError, KeyError):
        size = None  # no size, or one in "pixel" or "reference frame"
    return Tags("OME-XML", size, instrument)


def _imagej(tif: tifffile.TiffFile) -> Tags | None:
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    # ImageJ writes the micro sign as an escape, \u00B5m.
    unit = re.sub(r"\\u00b5", "\u00b5", unit, flags=re.I)
    # ImageJ takes a printer's dots per inch and per cm for a calibration; "pixel" is none, either.
    if unit == "cm" or unit not in NANOMETRES:
        return None
    tags = tif.pages.first.tags
    try:
        densities = [tags[f"{axis}Resolution"].value for axis in "XY"]  # pixels per unit
        width, height = (denominator / numerator for numerator, denominator in densities)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    size = units.pair(width * NANOMETRES[unit], height * NANOMETRES[unit])
    return Tags("ImageJ tag", size, {})
