"""Which of the user's files a stage was made from, and whether they are still the same."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ml_collections import ConfigDict

from semjax.data import annotations, images

# What a stage reads beside what other stages made, as settings of the data.
READS = {
    "shapes": ("outlines",),
    "masks": ("images",),
    "translate": ("images",),
    "segment": ("images",),
    "measure": ("images",),
    "score": ("truth", "classes"),
}
Files = dict[str, dict[str, tuple[int, int, str]]]


def files(config: ConfigDict, name: str) -> Files:
    """The user's files that a stage reads, as they are now.

    Returns:
        By setting and name: bytes, time of the last change in ns, SHA-256. Without the settings
        that are empty, and files of the published data and of the phantom, which never change.
    """
    return {
        setting: {path.name: _describe(path) for path in paths}
        for setting, paths in _paths(config, name).items()
    }


def changes(before: Mapping, config: ConfigDict, name: str) -> list[str]:
    """What has happened to a stage's files since, in words, a line for each setting.

    Args:
        before: what `files` told then.
        config: settings.
        name: of the stage.
    """
    lines = []
    for setting, paths in _paths(config, name).items():
        if setting not in before:
            continue  # made by a version that kept no account of it
        old, now = before[setting], {path.name: path for path in paths}
        kinds = {
            "new": now.keys() - old.keys(),
            "gone": old.keys() - now.keys(),
            "changed": {n for n in now.keys() & old.keys() if not _is_same(now[n], old[n])},
        }
        found = [f"{kind}: {_list(names)}" for kind, names in kinds.items() if names]
        if found:
            lines.append(f"config.data.{setting}: {'; '.join(found)}")
    return lines


def _paths(config: ConfigDict, name: str) -> dict[str, list[Path]]:
    settings = READS.get(name, ())
    if config.data.source != "folder":
        settings = [setting for setting in settings if setting in ("truth", "classes")]
    places = {setting: Path(config.data[setting]) for setting in settings if config.data[setting]}
    left_out = {str(stem) for stem in config.data.exclude}
    return {
        setting: [path for path in _list_files(place) if path.stem not in left_out]
        for setting, place in places.items()
    }


def _list_files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        return []  # an error of its own, where it is read
    found = [path for path in place.iterdir() if path.is_file() and not path.name.startswith(".")]
    marked = annotations.SUFFIXES
    return [path for path in found if images.may_read(path) or path.suffix.lower() in marked]


def _describe(path: Path) -> tuple[int, int, str]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, _checksum(path, found.st_size, found.st_mtime_ns)


@cache
def _checksum(path: Path, size: int, changed: int) -> str:
    """SHA-256, reckoned once for a file that stays as it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_same(path: Path, before: tuple[int, int, str]) -> bool:
    """Whether a file has the same content; read only if its size is and its time is not."""
    size, changed, sha256 = before
    found = path.stat()
    if (found.st_size, found.st_mtime_ns) == (size, changed):
        return True
    return found.st_size == size and _describe(path)[2] == sha256


def _list(names: set[str], most: int = 5) -> str:
    shown = sorted(names)[:most]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more
