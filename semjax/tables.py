"""Tables and facts of a measured folder: where they are, how they are read, what they may hold.

Spreadsheets and strangers may have changed them, so nothing in them is taken for granted.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from semjax.data import limits, units
from semjax.workdir import Work, read_json

# Columns that are texts even where they look like numbers or like nothing.
TEXTS = {"image": str, "file": str, "reason": str, "pixel_size_from": str}
# Columns of particles.csv that are true or false, and those of both tables that are numbers.
TRUTHS = ("kept", "border", "edited")
SIZES = ("area_", "min_feret_", "max_feret_", "equivalent_circular_diameter_", "perimeter_")
COUNTS = ("label", "height_px", "width_px")
NUMBERS = (
    *("row", "col", "border_weight", "aspect_ratio", "solidity", "circularity", "orientation_deg"),
    *("mean_intensity", "class_score", "pixel_size_nm", "foreground_fraction", "agreement"),
    *("ghost_share", "mean_min_feret_nm", "mean_min_feret_px", "info_bar_px", "particles"),
)
LARGEST = 1e15  # number in a table; no size comes near, and the powers of larger ones overflow


def find(path: str | Path) -> Path:
    """The measured folder that is meant: this one, that of a work folder, or that of a review.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(path).expanduser()
    if path.name == "reviewed" and (path / "review.json").is_file():
        path = path.parent
    for folder in (path, Work(path).measure):
        if (folder / "particles.csv").is_file() and (folder / "images.csv").is_file():
            return folder
    raise FileNotFoundError(
        f"expected a measured folder with particles.csv and images.csv, but {path} "
        f"{'has not both' if path.is_dir() else 'is no folder'}; give the --out folder of `semjax "
        "segment`, or the work folder of a finished run"
    )


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """A CSV file in which texts stay texts: an image may be called 0012 or NA.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read, lacks one of `columns`, or a cell holds what cannot be.
    """
    try:
        table = pd.read_csv(path, dtype=TEXTS, keep_default_na=False, na_values=["", "nan", "NaN"])
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise ValueError(
            f"{path} cannot be read as a table ({error}); measure again, or copy it again"
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"{path} has rows of more cells than columns; measure again")
    if missing := set(columns) - set(table):
        raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}; measure again")
    texts = [column for column in TEXTS if column in table]
    table[texts] = table[texts].fillna("")
    for column, values in table.items():
        wrong = values[~_holds(str(column), values)]
        if len(wrong) and (column not in TRUTHS or "label" in table):
            raise ValueError(
                f"{path}, line {wrong.index[0] + 2}: {column} cannot be {str(wrong.iloc[0])[:40]!r}"
                "; put back what semjax has written, or measure again"
            )
    if "label" in table:
        for column in set(TRUTHS) & set(table):
            table[column] = table[column].astype(str).str.lower() == "true"
    return table


def _holds(column: str, values: pd.Series) -> pd.Series:
    """Whether each cell is what its column may hold."""
    if column == "image":  # files are named after it
        return ~values.str.contains(r"[/\\\0]") & ~values.isin(["", ".", ".."])
    if column in TRUTHS:
        return values.astype(str).str.lower().isin(["true", "false"])
    if not (column in (*COUNTS, *NUMBERS) or column.startswith(SIZES)):
        return pd.Series(True, values.index)
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.astype(float)
    else:  # texts or enormous numbers are among them
        numbers = values.map(units.to_float).astype(float)
    if column in COUNTS:
        return (numbers >= 1) & (numbers <= limits.LABEL) & (numbers % 1 == 0)
    if column.startswith(SIZES):
        return (numbers > 0) & (numbers < LARGEST)
    # Empty where nothing is known; a text is something else.
    return (numbers.abs() < LARGEST) | values.isna()


def _number(low: float, high: float, *kinds: type) -> Callable[[Any], bool]:
    kinds = kinds or (int, float)
    return lambda value: type(value) in kinds and low <= value <= high  # False of NaN


_table = lambda value: isinstance(value, dict)
# What the facts beside the tables may be, where a file has them.
FACTS: dict[str, Callable[[Any], bool]] = {
    "unit": lambda value: value in ("nm", "px"),
    "border": lambda value: value in ("drop", "weights"),
    "nano_nm": _number(1e-9, LARGEST),
    "bootstrap": _number(1, 1e6, int),
    "seed": _number(0, 2**63, int),
    "calibration_uncertainty": lambda value: value is None or _number(0, 1)(value),
    "versions": _table,
    "settings": _table,
    "model": _table,
    "images": lambda value: _table(value) and all(map(_table, value.values())),
}


def read_facts(path: Path) -> dict[str, Any]:
    """What a JSON file beside the tables says.

    Raises:
        ValueError: it is damaged, or holds what cannot be.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object; measure again, or copy it again")
    for name, holds in FACTS.items():
        if name in found and not holds(found[name]):
            raise ValueError(
                f"{path}: {name} cannot be {str(found[name])[:40]!r}; measure again, or copy it "
                "again"
            )
    return found
