"""What an instrument wrote into an image file about itself: a report names it."""

import math
from pathlib import Path

import tifffile

# Zeiss: our name for what the entries of its tag say.
_ZEISS = {
    "dp_sem": "microscope",
    "sv_serial_number": "serial number",
    "ap_actualkv": "accelerating voltage",
    "ap_wd": "working distance",
    "ap_mag": "magnification",
    "dp_detector_type": "detector",
    "ap_date": "date",
    "ap_time": "time",
}
# FEI / Thermo Fisher: section, entry, our name, factor to the unit, unit.
_FEI = (
    ("System", "SystemType", "microscope", 1, ""),
    ("System", "Dnumber", "serial number", 1, ""),
    ("Beam", "HV", "accelerating voltage", 1e-3, "kV"),
    ("Stage", "WorkingDistance", "working distance", 1e3, "mm"),
    ("Detectors", "Name", "detector", 1, ""),
    ("User", "Date", "date", 1, ""),
    ("User", "Time", "time", 1, ""),
)


def read(path: str | Path) -> dict[str, str]:
    """Reads microscope, voltage, working distance, detector, date and the like from a TIFF's tags.

    Zeiss (CZ_SEM) and FEI / Thermo Fisher are understood. Names of persons are passed over.

    Returns:
      Values with their units by name; empty if the file says nothing or is no TIFF.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            zeiss, fei = tif.sem_metadata or {}, tif.fei_metadata or {}
    except tifffile.TiffFileError:
        return {}
    found = {}
    for entry, name in _ZEISS.items():
        _, *value = zeiss.get(entry, ("",))
        found[name] = " ".join(map(str, value))
    for section, entry, name, factor, unit in _FEI:
        value = fei.get(section, {}).get(entry, "")
        if unit and isinstance(value, int | float) and math.isfinite(value):
            value = f"{value * factor:g} {unit}"
        found[name] = found.get(name) or str(value)
    return {name: text.strip() for name, text in found.items() if text.strip()}
