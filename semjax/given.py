"""Which of the user's files a stage was made from, and whether they are still the same."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ml_collections import ConfigDict

from semjax import truth
from semjax.data import annotations, images, tio2

Files = dict[str, dict[str, tuple[int, int, str]]]


def files(config: ConfigDict, name: str) -> Files:
    """The user's files that a stage reads, as they are now.

    Returns:
        By setting and name: bytes, time of the last change in ns, SHA-256. Without the settings
        that are empty, and files of the published data and of the phantom, which never change; but
        with the masks that score, since a copy of the published data may come to hold more.
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


def reads(config: ConfigDict, name: str) -> tuple[str, ...]:
    """What a stage reads beside what other stages made, as settings of the data."""
    manual = {"segment": config.segment.pairs, "classify": config.classify.labels}
    if name in manual and manual[name] == "manual":
        return ("images", "truth") if name == "segment" else ("images", "truth", "classes")
    return {
        "shapes": ("outlines",),
        "classify": (),
        "score": ("images", "truth", "classes"),
    }.get(name, ("images",))


def _paths(config: ConfigDict, name: str) -> dict[str, list[Path]]:
    data = config.data
    left_out = {str(stem) for stem in data.exclude}
    found = {}
    for setting in reads(config, name):
        scores = setting in ("truth", "classes")
        is_given = bool(data[setting]) and (data.source == "folder" or scores)
        published = None
        if name == "score" and scores and data.source == "tio2":
            published = _list_published(setting, config)
        if not is_given and published is None:
            continue
        paths = _list_files(Path(data[setting])) if is_given else []
        if setting == "outlines":
            if _is_same_folder(data.outlines, data.images):  # whose pictures are no outlines
                paths = [path for path in paths if not images.may_read(path)]
        else:
            known = {truth.image_of(path) for path in paths}
            paths += [path for image, path in (published or {}).items() if image not in known]
            paths = [path for path in paths if truth.image_of(path) not in left_out]
        found[setting] = paths
    return found


def _list_published(setting: str, config: ConfigDict) -> dict[str, Path] | None:
    """Published masks, or masks of classes, that the copy in use holds; None without a copy."""
    published = tio2.mask_paths() if setting == "truth" else tio2.class_mask_paths(4)
    try:
        return tio2.list_copied(published, folder=config.data.folder)
    except FileNotFoundError:  # the copy is gone, which says nothing of the masks
        return None


def _is_same_folder(one: str, other: str) -> bool:
    return bool(one and other) and Path(one).resolve() == Path(other).resolve()


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
    from semjax import models  # which a finished run need not wait for

    return models.checksum(path)


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
