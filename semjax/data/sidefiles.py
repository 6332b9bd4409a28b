"""Text files that instruments write beside an image: JEOL, Hitachi, TESCAN.

`a.tif` has `a.txt` (JEOL, Hitachi) or `a.hdr` or `a-tif.hdr` (TESCAN) in the same folder. Other
texts of these names are passed over.
"""

import re
from pathlib import Path

from semjax.data import tifftags, units
from semjax.data.units import Tags

_LARGEST = 2**20  # bytes; what is larger is no such file


def read(path: Path, *, width_px: int | None = None) -> list[Tags]:
    """What a side file says of an image; nothing if there is none.

    Args:
      path: the image.
      width_px: columns of the image, to see that the side file is for an image of this size.

    Raises:
      ValueError: the side file is for an image of another width.
    """
    found = []
    for side in _beside(path):
        text = _read_text(side)
        for reader in (_jeol, _hitachi, _tescan):
            entries, tags = reader(text)
            if tags is None:
                continue
            _check_width(path, side, tags, entries, width_px)
            found.append(tags)
    return found


def _beside(path: Path) -> list[Path]:
    names = {f"{path.stem}.txt", f"{path.stem}.hdr", f"{path.stem}-{path.suffix[1:]}.hdr"}
    names = {name.lower() for name in names}
    if not path.parent.is_dir():
        return []
    # Suffixes come in capitals, too.
    return sorted(p for p in path.parent.iterdir() if p.name.lower() in names and p.is_file())


def _read_text(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        return ""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    text = raw.decode("utf-8-sig", "replace")
    return text if "\ufffd" not in text else raw.decode("cp1252", "replace")


def _check_width(
    path: Path, side: Path, tags: Tags, entries: dict[str, str], width_px: int | None
) -> None:
    """A picture that was cropped or resized after it was taken no longer fits its side file."""
    stated = units.split_unit(entries.get("width", ""))[0]
    if tags.pixel_nm is None or not stated or width_px in (None, int(stated)):
        return
    raise ValueError(
        f"{side.name} gives the pixel size of an image {stated:.0f} px wide, but {path} is "
        f"{width_px} px wide: it was cropped or resized since; give data.pixel_size_nm, or put "
        "back the instrument's own image"
    )


def _jeol(text: str) -> tuple[dict[str, str], Tags | None]:
    """Lines such as `$CM_MAG 30000`; the pixel follows from the scale bar's length."""
    lines = re.findall(r"^\${1,2}([A-Z0-9_]+)[ \t]+(.*?)\s*$", text, flags=re.M)
    entries = dict(lines)
    if not any(name.startswith("CM_") for name in entries):
        return {}, None
    bar_px = units.to_float(entries.get("SM_MICRON_BAR"))
    bar_nm = units.length_nm(entries.get("SM_MICRON_MARKER", ""), "um")
    size = units.pair(bar_nm / bar_px, bar_nm / bar_px) if bar_px and bar_nm else None
    kilovolt = units.to_float(entries.get("CM_ACCEL_VOLT"))
    distance = units.to_float(entries.get("SM_WD"))  # mm
    instrument = units.describe(
        maker="JEOL",
        model=entries.get("CM_INSTRUMENT"),
        accelerating_voltage=units.say_voltage(kilovolt and kilovolt * 1e3),
        working_distance=units.say_distance(distance and distance * 1e-3),
        detector=entries.get("CM_SIGNAL_NAME") or entries.get("CM_SIGNAL"),
        magnification=units.say_magnification(units.to_float(entries.get("CM_MAG"))),
        date=f"{entries.get('CM_DATE', '')} {entries.get('CM_TIME', '')}",
    )
    width = entries.get("CM_FULL_SIZE", "")
    return {"width": width}, Tags("JEOL side file", size, instrument)


def _hitachi(text: str) -> tuple[dict[str, str], Tags | None]:
    """Lines such as `PixelSize=9.921875`, in nm, under `[SemImageFile]`."""
    if "[SemImageFile]" not in text:
        return {}, None
    entries = dict(re.findall(r"^([A-Za-z0-9]+)=(.*?)\s*$", text, flags=re.M))
    side = units.length_nm(entries.get("PixelSize", ""), "nm")
    volts, unit = units.split_unit(entries.get("AcceleratingVoltage", ""))
    distance = units.length_nm(entries.get("WorkingDistance", ""), "um")
    instrument = units.describe(
        maker="Hitachi",
        model=entries.get("InstructName"),  # the maker's own spelling
        accelerating_voltage=units.say_voltage(
            volts and volts * (1e3 if unit.lower() == "kv" else 1)
        ),
        working_distance=units.say_distance(distance and distance / 1e9),
        detector=entries.get("SignalName"),
        magnification=units.say_magnification(units.to_float(entries.get("Magnification"))),
        date=f"{entries.get('Date', '')} {entries.get('Time', '')}",
    )
    width = entries.get("DataSize", "").lower().partition("x")[0]
    size = units.pair(side, side) if side else None
    return {"width": width}, Tags("Hitachi side file", size, instrument)


def _tescan(text: str) -> tuple[dict[str, str], Tags | None]:
    """Lines such as `PixelSizeX=2.5e-9`, in SI units, under `[MAIN]` and `[SEM]`."""
    if not re.search(r"^\[(MAIN|SEM)\]", text, flags=re.M):
        return {}, None
    entries: dict[str, str] = {}
    for name, value in re.findall(r"^([A-Za-z0-9_]+)=(.*?)\s*$", text, flags=re.M):
        entries.setdefault(name, value)
    return {}, tifftags.from_tescan("TESCAN side file", entries)
