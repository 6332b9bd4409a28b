"""Lengths and voltages as instruments write them."""

import math
import re
from typing import NamedTuple

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


# What is told of an instrument, see `Tags`.
INSTRUMENT = (
    *("maker", "model", "accelerating voltage", "working distance", "detector"),
    *("magnification", "date"),
)


class Tags(NamedTuple):
    """What one source says of an image.

    Attributes:
      source: where it stands, as in "Zeiss tag".
      pixel_nm: width and height of a pixel in nm; None if the source does not say.
      instrument: in words, by the names of `INSTRUMENT`, as far as the source has them.
    """

    source: str
    pixel_nm: tuple[float, float] | None
    instrument: dict[str, str]


def pair(width: float, height: float) -> tuple[float, float] | None:
    """Width and height if both can be lengths, else None."""
    valid = all(math.isfinite(v) and v > 0 for v in (width, height))
    return (width, height) if valid else None


def to_float(text: object) -> float | None:
    """A number, or None for anything else; a comma may stand for the decimal point."""
    try:
        value = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def split_unit(text: object) -> tuple[float | None, str]:
    """The number and the unit of texts such as `5um`, `8000 um` and `15.00 kV`."""
    found = re.match(r"\s*([-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?)\s*(\S*)", str(text))
    return (None, "") if found is None else (to_float(found[1]), found[2])


def length_nm(text: object, unit: str) -> float | None:
    """A positive length in nm from a text; `unit` is meant where the text has none."""
    value, written = split_unit(text)
    factor = NANOMETRES.get(written or unit)
    if value is None or factor is None or value <= 0:
        return None
    return value * factor


def say_voltage(volts: float | None) -> str:
    """A voltage in kV, in words; empty if there is none."""
    return "" if not volts else f"{abs(volts) / 1e3:.4g} kV"


def say_distance(metres: float | None) -> str:
    """A working distance in mm, in words; empty if there is none."""
    return "" if not metres else f"{metres * 1e3:.3g} mm"


def say_magnification(value: float | None) -> str:
    """A magnification, in words; empty if there is none."""
    return "" if not value else f"{value:.6g} x"


def describe(**given: object) -> dict[str, str]:
    """What is known of an instrument, by the words of `Tags.instrument`; blanks are left out."""
    words = {name.replace("_", " "): " ".join(str(v or "").split()) for name, v in given.items()}
    return {name: text for name, text in words.items() if text}
