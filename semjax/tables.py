"""Tables of a measured folder: where they are, and how they are read."""

from pathlib import Path

import pandas as pd

from semjax.workdir import Work

# Columns that are texts even where they look like numbers or like nothing.
TEXTS = {"image": str, "file": str, "reason": str, "pixel_size_from": str}


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
        ValueError: it cannot be read, or lacks one of `columns`.
    """
    try:
        table = pd.read_csv(path, dtype=TEXTS, keep_default_na=False, na_values=["", "nan", "NaN"])
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"{path} cannot be read as a table ({error})") from error
    if missing := set(columns) - set(table):
        raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}; measure again")
    texts = [column for column in TEXTS if column in table]
    table[texts] = table[texts].fillna("")
    return table
