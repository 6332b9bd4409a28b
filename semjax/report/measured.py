"""A measured folder as the report reads it: its tables, what was noted beside, and a hand's edits.

Folders of older runs, or copied in part, lack files. Only `particles.csv` has to be there; what
else is missing is said in the report.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from absl import logging

from semjax import tables
from semjax.analysis import edited
from semjax.workdir import Work, read_json, write_json, write_text

NEEDED = ("image", "label", "kept")


class Measured(NamedTuple):
    """One sample: a measured folder."""

    name: str
    folder: Path
    particles: pd.DataFrame  # as in particles.csv
    edited: pd.DataFrame  # the same after the edits by hand
    images: pd.DataFrame  # a row an image, with the column `image` at least
    facts: dict[str, Any]  # as measured.json
    edits: list[dict]  # {image, label, keep}
    sha256: str  # of particles.csv
    notes: list[str]  # what is missing


def find(path: Path) -> Path:
    """The measured folder that is meant: it, or the one in a work folder.

    Raises:
        FileNotFoundError: neither holds a particles.csv.
    """
    path = Path(path).expanduser()
    for folder in (path, Work(path).measure):
        if (folder / "particles.csv").is_file():
            return folder
    raise FileNotFoundError(
        f"expected a measured folder with its particles.csv, but {path} "
        f"{'has none' if path.is_dir() else 'is no folder'}; give the --out folder of `semjax "
        "segment`, or the work folder of a finished run"
    )


def read(path: Path, name: str) -> Measured:
    """Reads a measured folder, or the one in a work folder; nothing in it is changed.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its tables or its JSON files are not what they should be.
    """
    folder = find(path)
    notes: list[str] = []
    particles = tables.read_table(folder / "particles.csv")
    if missing := [column for column in NEEDED if column not in particles]:
        raise ValueError(
            f"{folder / 'particles.csv'} lacks the columns {', '.join(missing)}; expected the "
            "table of `semjax segment` or of a run's measure stage"
        )
    if particles.duplicated(["image", "label"]).any():
        raise ValueError(f"{folder / 'particles.csv'} has a label of an image twice; measure again")
    facts = _facts(folder, particles, notes)
    if f"min_feret_{facts['unit']}" not in particles:
        raise ValueError(
            f"{folder / 'particles.csv'} lacks the column min_feret_{facts['unit']}; expected "
            "sizes in nm or px as `semjax segment` writes them"
        )
    if (folder / "images.csv").is_file():
        images = tables.read_table(folder / "images.csv")
        if "image" not in images or images.empty:
            raise ValueError(f"{folder / 'images.csv'} lists no image; measure again")
    else:
        notes.append("images.csv: images without any particle are not counted")
        images = pd.DataFrame({"image": particles["image"].unique()})
    sha256 = hashlib.sha256((folder / "particles.csv").read_bytes()).hexdigest()
    return Measured(name, folder, particles, particles, images, facts, [], sha256, notes)


def name_all(paths: Sequence[Path]) -> list[str]:
    """A name for each sample: its folder's, or its work folder's; with the parent's where equal."""
    folders = [find(path).resolve() for path in paths]
    if len(set(folders)) < len(folders):
        raise ValueError("the same measured folder was given twice; give each sample once")
    folders = [f.parent if f.name == Work("").measure.name else f for f in folders]
    names, depth = [folder.name for folder in folders], 1
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
    return names


def apply(samples: Sequence[Measured], path: Path) -> list[Measured]:
    """The samples with a hand's edits, as the report's button "Download edits" saves them.

    Each sample is recognised by the SHA-256 of its particles.csv, so that edits can never reach
    other particles than those that were seen.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is none of edits, or was made for other particles.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of edits {path}; the report saves one")
    found = read_json(path)
    wanted = '{"format": 1, "samples": {name: sha256}, "edits": [{sample, image, label, keep}]}'
    try:
        hashes, edits = dict(found["samples"]), list(found["edits"])
        edits = [{key: e[key] for key in ("sample", "image", "label", "keep")} for e in edits]
        kinds = {"sample": str, "image": str, "label": int, "keep": bool}
        right = all(isinstance(sha256, str) for sha256 in hashes.values())
        right &= found["format"] == 1 and all(
            isinstance(e[key], kind) for e in edits for key, kind in kinds.items()
        )
    except (KeyError, TypeError, ValueError):
        right, hashes, edits = False, {}, []
    if not right:
        raise ValueError(f"{path} is no file of edits; expected {wanted}, as the report saves it")
    known = {sample.sha256 for sample in samples}
    for sample in {edit["sample"] for edit in edits}:
        if hashes.get(sample) not in known:
            raise ValueError(
                f"the edits in {path} of {sample} were made for another particles.csv than those "
                "given; give the folder that the report was made of, or edit a new report"
            )
    return [_edit(s, [e for e in edits if hashes[e["sample"]] == s.sha256], path) for s in samples]


def write_edited(sample: Measured) -> None:
    """Writes particles.edited.csv and its edits beside particles.csv, which stays as it is.

    Earlier edits of other particles are renamed; `edits.json` can be given to a report again. A
    sample without edits is left as it is, for a report of several may be edited in one alone.
    """
    path, noted = sample.folder / "particles.edited.csv", sample.folder / "edits.json"
    if not sample.edits:
        if path.is_file():
            logging.warning("%s stays as it is: no edits of it were given", path)
        return
    edits = [{"sample": sample.name, **edit} for edit in sample.edits]
    made = {"format": 1, "samples": {sample.name: sample.sha256}, "edits": edits}
    if noted.is_file() and read_json(noted) != made:
        day = datetime.fromtimestamp(noted.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S.%f")
        earlier = noted.with_name(f"edits.{day}.json")
        noted.rename(earlier)
        logging.warning("%s: other edits were made before, they are now in %s", path, earlier.name)
    write_json(noted, made)
    write_text(path, sample.edited.to_csv(index=False))


def _edit(sample: Measured, edits: list[dict], path: Path) -> Measured:
    table = sample.particles.copy()
    table["reason"] = table["reason"].astype(object) if "reason" in table else ""
    places = {place: i for i, place in enumerate(zip(table["image"], table["label"], strict=True))}
    changed = []
    for edit in edits:
        place = places.get((edit["image"], edit["label"]))
        if place is None:
            raise ValueError(
                f"{path} names particle {edit['label']} of {edit['image']}, which is not known; "
                "save the edits again"
            )
        if edit["keep"] and "border" in table and bool(table["border"].iloc[place]):
            raise ValueError(
                f"{path}: particle {edit['label']} of {edit['image']} touches the border, so that "
                "its size is a lower bound only; it cannot be kept by hand"
            )
        if bool(table["kept"].iloc[place]) != edit["keep"]:
            row = table.index[place]
            table.loc[row, ["kept", "reason"]] = [edit["keep"], edited.BY_HAND[edit["keep"]]]
            changed.append({key: edit[key] for key in ("image", "label", "keep")})
    table["kept"] = table["kept"].astype(bool)
    return sample._replace(edited=table, edits=changed)


def _facts(folder: Path, particles: pd.DataFrame, notes: list[str]) -> dict[str, Any]:
    """measured.json, or what older files say of the same."""
    facts: dict[str, Any] = {
        "unit": "nm" if "min_feret_nm" in particles else "px",
        **{"border": "drop", "nano_nm": 100.0, "bootstrap": 1000, "seed": 0},
        **{"calibration_uncertainty": None, "versions": {}, "settings": {}, "images": {}},
    }
    if (folder / "measured.json").is_file():
        found = tables.read_facts(folder / "measured.json")
        if found.get("format") != 1:
            raise ValueError(
                f"{folder / 'measured.json'} has the format {found.get('format')!r}; this version "
                "of semjax reads format 1"
            )
        facts |= {key: value for key, value in found.items() if key in facts or value is not None}
    else:
        notes.append("measured.json: hashes of the images and instrument data are not known")
        done, old = (
            tables.read_facts(folder / name) if (folder / name).is_file() else {}
            for name in ("done.json", "distribution.json")
        )
        facts |= {key: done[key] for key in ("versions", "settings") if key in done}
        facts["seed"] = facts["settings"].get("seed", 0)
        facts["border"] = old.get("border", "drop")
        facts["bootstrap"] = facts["settings"].get("measure.bootstrap", 1000)
        facts["nano_nm"] = facts["settings"].get("measure.nano_nm", 100.0)
    return facts
