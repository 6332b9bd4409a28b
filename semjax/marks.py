"""Marks of the stages in a work folder: what was made, with which settings, from what.

`started.json` is written before a stage runs and `done.json` after it, last and at once; a stage
with the first alone was interrupted. Each making has an id of its own, and remembers the ids of
the stages that it was made from: if one of those has been made again since, it is out of date.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from semjax.settings import get_config
from semjax.workdir import STAGES, Work, read_json, write_json

# Settings of other sections that a stage's result depends on too.
BORROWED = {
    "masks": ("translate.tiles", "translate.foreground_range", "translate.brightness_ratio"),
    "filter": ("masks.line_px",),
    "segment": ("masks.line_px", "measure.split", "measure.tile_px"),
    "classify": (
        *("segment.brightness", "segment.contrast", "segment.noise", "segment.blur_px"),
        "measure.tile_px",
    ),
    "score": ("measure.bootstrap", "classify.min_visible"),
}
# Settings of the data that only lengths in nm depend on.
PIXEL_SIZES = {"pixel_size_nm", "scale_bar_nm", "scale_bar_px"}
CALIBRATION = {*PIXEL_SIZES, "calibration", "calibration_uncertainty"}
# Settings that change neither a stage's result nor whether it may go on.
FREE = ("log_every", "save_every")


class Action(NamedTuple):
    """What is to be done about a stage."""

    kind: str  # skip, run, resume, again
    reason: str  # in words, for the log


def sources(config: ConfigDict, name: str) -> tuple[str, ...]:
    """The stages whose artifacts a stage is made from, under these settings."""
    pairs = () if config.segment.pairs != "synthetic" else ("masks", "filter")
    labels = () if config.classify.labels != "synthesis" else ("masks", "filter", "segment")
    outlines = () if config.masks.source != "synthesis" else ("shapes",)
    return {
        "shapes": (),
        "masks": outlines,
        "translate": ("masks",),
        "filter": ("masks", "translate"),
        "segment": pairs,
        "classify": labels,
        "measure": ("segment", "classify"),
        "score": ("measure",),
    }[name]


def needed(config: ConfigDict, name: str = "score") -> list[str]:
    """The stages that lead to one under these settings, it included, in order."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting.extend(sources(config, name))
    return [name for name in STAGES if name in found]


def settings(config: ConfigDict, name: str) -> dict[str, Any]:
    """What a stage's result depends on, as dotted names: its section, the data and the seed."""
    uses_truth = {
        "segment": config.segment.pairs != "synthetic",
        "classify": config.classify.labels != "synthesis",
        "score": True,
    }.get(name, False)
    left_out = {"folder"}  # where the verified copy lies does not matter
    if not uses_truth or (name == "segment" and config.segment.pairs == "tsem"):
        left_out.add("truth")
    if name == "shapes":  # which sees of the micrographs no more than the size of their pixels
        left_out |= {"clean", "test_images"}
    if not (uses_truth or config.data.clean):
        left_out.add("test_images")
    if not uses_truth or name == "segment":
        left_out.add("classes")
    if name not in ("measure", "score"):
        left_out |= CALIBRATION
    if name == "shapes" and config.data.outline_pixel_size_nm > 0:
        # Outlines are scaled to the micrographs' pixels; a factor on all sizes changes nothing.
        left_out -= PIXEL_SIZES
    else:
        left_out.add("outline_pixel_size_nm")
    if name != "shapes":
        left_out.add("outlines")
    section = config.get(name, {})
    own = {key: value for key, value in section.items() if key not in FREE}
    found = {"seed": config.seed}
    found |= {f"data.{key}": value for key, value in config.data.items() if key not in left_out}
    found |= {f"{name}.{key}": value for key, value in own.items()}
    for borrowed in BORROWED.get(name, ()):
        other, key = borrowed.split(".")
        found[borrowed] = config[other][key]
    return plain(found)


def plan(
    config: ConfigDict, work: Work, names: Sequence[str], redo: Sequence[str]
) -> dict[str, Action]:
    """Decides what to do about each stage, before anything is touched.

    Args:
        config: settings, the variant laid over them.
        work: the work folder.
        names: stages to run, in the order of the workflow.
        redo: those of them to make again.

    Raises:
        ValueError: a stage was made with other settings, or one that is needed is missing.
    """
    actions: dict[str, Action] = {}
    for name in names:
        if any(s not in actions and not _done(work, s) for s in sources(config, name)):
            before = needed(config, name)[:-1]
            missing = [s for s in before if s not in actions and not _done(work, s)]
            raise ValueError(
                f"{name} needs stages that are not done in {work.path}: {', '.join(missing)}; "
                "leave --stages away or add them"
            )
        actions[name] = _decide(config, work, name, name in redo, actions)
    # The work folder's settings are those of all its stages: of those that do not run, too.
    for name in STAGES:
        rests = name not in actions and any(name in needed(config, n) for n in names)
        if rests and (mark := _done(work, name)):
            _compare(mark, config, work, name, finished=True, runs=False)
    return actions


def _decide(
    config: ConfigDict, work: Work, name: str, redo: bool, actions: Mapping[str, Action]
) -> Action:
    done = _done(work, name)
    mark = done or _read(work, name, "started")
    if redo:
        return Action("again", "made again, as asked")
    if mark is None:
        # What a crash left before the first mark is not to be mixed with what is made now.
        return Action("again", "starts")
    newer = [
        s
        for s in sources(config, name)
        if (s in actions and actions[s].kind != "skip") or made(work, s) != mark["upstream"].get(s)
    ]
    if newer:
        return Action("again", f"made again, since {', '.join(newer)} was made again")
    _compare(mark, config, work, name, finished=bool(done))
    if done:
        return Action("skip", "done")
    return Action("resume", "was interrupted, goes on")


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between the settings of two makings of a stage, a line each.

    What another version did not know yet was as it is by default; what it knew alone is gone.
    """
    defaults = {
        f"{section}.{key}": value
        for section, values in get_config().items()
        if isinstance(values, ConfigDict)
        for key, value in values.items()
    }
    known = plain(defaults)
    before, now = {**known, **old}, {**known, **new}
    return [
        f"  config.{key}: {json.dumps(before[key])} -> {json.dumps(now[key])}"
        for key in sorted(old.keys() | new.keys())
        if key in now and before[key] != now[key]
    ]


def _unmoved(mark: Mapping[str, Any], config: ConfigDict, name: str) -> set[str]:
    """Settings of folders that a stage does not read, or that hold the same files as before."""
    from semjax import given

    files = mark.get("files") or {}
    return {
        f"data.{setting}"
        for setting in ("images", "outlines", "truth", "classes")
        if setting not in given.reads(config, name)
        or (setting in files and not given.changes({setting: files[setting]}, config, name))
    }


def _compare(
    mark: Mapping[str, Any],
    config: ConfigDict,
    work: Work,
    name: str,
    *,
    finished: bool,
    runs: bool = True,
) -> None:
    old, new = mark["settings"], settings(config, name)
    if old != new:
        same = _unmoved(mark, config, name)
        old, new = ({k: v for k, v in s.items() if k not in same} for s in (old, new))
    if differences := changed(old, new):
        state = "was made" if finished else "was begun"
        raise ValueError(
            f"{name} in {work.path} {state} with other settings:\n"
            + "\n".join(differences)
            + f"\nPut them back, make the stage again with --redo={name}"
            + ("" if runs else " (and --stages left away, or the stage among them)")
            + ", "
            "or give --workdir a new folder."
        )


def start(config: ConfigDict, work: Work, name: str) -> dict[str, Any]:
    """Marks a stage as begun, or reads the mark of one that goes on. Returns the mark."""
    mark = _read(work, name, "started")
    if mark is None:
        from semjax import given

        mark = {
            "stage": name,
            "id": datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f"),
            "upstream": {s: made(work, s) for s in sources(config, name)},
            "settings": settings(config, name),
            "files": given.files(config, name),
            "seconds": 0.0,
        }
        write_json(work.stage(name) / "started.json", mark)
    return mark


def altered(config: ConfigDict, work: Work, name: str) -> list[str]:
    """What has happened to the user's files since a stage began with them, see `given.changes`."""
    if work.stage(name).is_symlink():
        return []  # told of where it was made
    mark = _done(work, name) or _read(work, name, "started")
    if not (mark and mark.get("files")):
        return []
    from semjax import given

    return given.changes(mark["files"], config, name)


def pause(work: Work, name: str, mark: Mapping[str, Any], *, seconds: float) -> None:
    """Adds up the time of a stage that ends early, so that its whole time is known later."""
    try:
        write_json(
            work.stage(name) / "started.json",
            {**mark, "seconds": round(mark["seconds"] + seconds, 2)},
        )
    except OSError:
        pass  # the disk is full or gone: the error that ended the stage says so


def finish(work: Work, name: str, mark: Mapping[str, Any]) -> None:
    """Marks a stage as done."""
    write_json(work.stage(name) / "done.json", mark)
    (work.stage(name) / "started.json").unlink(missing_ok=True)


def drop(work: Work, name: str) -> None:
    """Takes back the mark of a stage that found nothing to do."""
    folder = work.stage(name)
    (folder / "started.json").unlink(missing_ok=True)
    if not any(folder.iterdir()):
        shutil.rmtree(folder)


def phantom(config: ConfigDict) -> dict[str, Any]:
    """What the phantom's files depend on."""
    own = {key: value for key, value in config.data.items() if key.startswith("phantom_")}
    return plain({"seed": config.seed, **own})


def drawn(work: Work) -> dict[str, Any] | None:
    """What a work folder's phantom was drawn with; None if there is none."""
    path = work.inputs / "done.json"
    return read_json(path) if path.exists() else None


def plain(value: Any) -> Any:
    """A value as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(value))


def _read(work: Work, name: str, kind: str) -> dict[str, Any] | None:
    path = work.stage(name) / f"{kind}.json"
    return read_json(path) if path.exists() else None


def _done(work: Work, name: str) -> dict[str, Any] | None:
    return _read(work, name, "done")


def made(work: Work, name: str) -> str | None:
    """The id of a finished stage; None if it is not finished."""
    mark = _done(work, name)
    return mark["id"] if mark else None
