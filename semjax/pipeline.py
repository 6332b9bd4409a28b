"""The workflow: which stages run, which are skipped, resumed or made again."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from semjax import marks, messages, processes, validate, variants, versions, workdir
from semjax.workdir import Work

STAGES = {name: f"semjax.stages.{name}" for name in workdir.STAGES}
# What a person leaves in a stage's folder.
BY_HAND = ("reviewed", "particles.edited.csv", "edits.json")


def run(
    config: ConfigDict,
    folder: str | Path,
    *,
    stages: Sequence[str] | None = None,
    redo: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Work:
    """Runs the workflow in a work folder, going on from whatever is there.

    Args:
        config: settings; `config.variant` may be `auto`. Changed in place by the variant.
        folder: the work folder, made if it does not exist.
        stages: names of the stages to run; None for all that the settings need.
        redo: stages to make again from the start.
        overrides: dotted names and values of the user, which win over the variant.

    Returns:
        The work folder.

    Raises:
        ValueError: settings or inputs that cannot work, or other settings than those that a
            stage was made with; the message says what to do.
        PermissionError: the folder cannot be written.
    """
    work = Work(folder)
    names = choose_stages(config, stages, redo)
    _choose_variant(config, work, overrides or {})
    for name in ("images", "outlines", "truth", "classes", "folder"):
        if config.data[name].startswith("~"):
            config.data[name] = str(Path(config.data[name]).expanduser())
    problems = validate.check(config)
    if problems:
        raise ValueError(validate.describe(problems))
    if config.rows or config.repeats:
        from semjax import rows

        rows.check(config)
    plan = marks.plan(config, work, names, redo)
    _look_for_changes(config, work, plan)
    shared = _choose_shared(config, plan)
    # All have read what is there, before it is changed, and have come to the same plan.
    processes.meet(f"stages {','.join(shared)}")
    if processes.leads():
        _lead(config, work, plan, shared)
    else:
        for name in shared:
            processes.meet(name)
            processes.await_file(work.stage(name) / "started.json")
            load_stage(name)(config, work)
    processes.meet("report")
    return work


def _look_for_changes(config: ConfigDict, work: Work, plan: dict[str, marks.Action]) -> None:
    """Tells of files that have changed since finished stages were made from them.

    To make these again may take hours, or be what nobody wants: so it is left to the user. A stage
    that was interrupted starts again in the plan, unless a training would be lost.

    Raises:
        ValueError: a training that was interrupted would go on with other files.
    """
    found: dict[str, list[str]] = {}
    for name, action in plan.items():
        lines = [] if action.kind == "again" else marks.altered(config, work, name)
        if lines and action.kind == "resume":
            if not (work.stage(name) / "checkpoints").is_dir():
                plan[name] = marks.Action("again", "starts again, since its files have changed")
                continue
            raise ValueError(
                f"{name} in {work.path} was begun with other files:\n  "
                + "\n  ".join(lines)
                + f"\nPut them back, or make the stage again with --redo={name}."
            )
        for line in lines:
            found.setdefault(line, []).append(name)
    for line, names in found.items():
        logging.warning(
            "%s; made before that and kept as they are: %s (--redo=NAME makes one of them again, "
            "and what follows from it)",
            *(line, ", ".join(names)),
        )


def _choose_shared(config: ConfigDict, plan: Mapping[str, marks.Action]) -> list[str]:
    """The stages that all processes work on: trainings, and the measuring of images.

    Raises:
        ValueError: batches cannot be shared evenly.
    """
    trained = {
        "shapes": config.shapes.method == "wgan",
        "translate": config.translate.source == "cyclegan",
        "segment": True,
        "classify": True,
    }
    n_processes = processes.place()[1]
    for name in trained:
        size = config[name].batch_size
        if name in plan and trained[name] and size % n_processes:
            raise ValueError(
                f"config.{name}.batch_size (={size}) cannot be shared by {n_processes} processes; "
                "make it a multiple of their number, or start another number of them"
            )
    running = [name for name, action in plan.items() if action.kind != "skip"]
    return [name for name in running if trained.get(name, name == "measure")]


def _lead(
    config: ConfigDict, work: Work, plan: Mapping[str, marks.Action], shared: Sequence[str]
) -> None:
    """Runs the stages of a plan and writes the report; meets the others at shared stages."""
    work.create()
    with work.lock(), messages.keep(work.log):
        _prepare_inputs(config, work, plan)
        _write_config(config, work)
        for name, action in plan.items():
            if action.kind == "skip":
                logging.info("%s: done, skipped", name)
                continue
            _run_stage(name, action, config, work, shared=name in shared)
            _write_report(config, work)
        # A run killed between a stage's mark and its report left the report behind.
        done = [mark.stat().st_mtime for mark in work.path.glob("*/done.json")]
        if not work.report.exists() or work.report.stat().st_mtime < max(done, default=0.0):
            _write_report(config, work)
    logging.info("report: %s", work.report)


def choose_stages(
    config: ConfigDict, stages: Sequence[str] | None, redo: Sequence[str]
) -> list[str]:
    """The stages to run, in the order of the workflow.

    Raises:
        ValueError: a name is not a stage's, or a stage to redo is not among those to run.
    """
    for option, names in (("stages", stages or ()), ("redo", redo)):
        unknown = [name for name in names if name not in STAGES]
        if unknown:
            raise ValueError(
                f"--{option}: unknown stage {', '.join(map(repr, unknown))}; "
                f"the stages are {', '.join(STAGES)}"
            )
    chosen = marks.needed(config) if stages is None else stages
    left_out = [name for name in redo if name not in chosen]
    if left_out:
        raise ValueError(f"--redo={','.join(left_out)} is not among the stages that run")
    return [name for name in STAGES if name in chosen]


def load_stage(name: str) -> Callable[[ConfigDict, Work], dict[str, Any]]:
    """The function of a stage, imported only when it is needed."""
    return import_module(STAGES[name]).run


def _choose_variant(config: ConfigDict, work: Work, overrides: Mapping[str, Any]) -> None:
    recorded = None
    if work.config.exists():
        recorded = workdir.read_json(work.config).get("variant")
    variants.choose(config.variant, platform="cpu", recorded=recorded)  # mistakes first
    if config.variant == "" and not recorded:
        variants.lay(config, "", overrides)
        return
    import jax

    device = jax.devices()[0]
    variants.resolve(
        config,
        overrides,
        platform=device.platform,
        device_kind=device.device_kind,
        recorded=recorded,
    )


def _prepare_inputs(config: ConfigDict, work: Work, plan: Mapping[str, marks.Action]) -> None:
    """Draws the phantom if that is the source, and looks through all inputs before any training."""
    running = [name for name, action in plan.items() if action.kind != "skip"]
    if not running:
        return
    from semjax import inputs, truth
    from semjax.data import images

    if config.data.source == "phantom":
        _draw_phantom(config, work)
    pictures = None
    given: dict[str, set[str]] = {}
    if running != ["shapes"]:
        pictures = inputs.micrographs(config, work)
    if pictures:
        images.warn_of_stacks([picture.path for picture in pictures])
        names = {picture.name for picture in pictures}
        learning = [name for name in running if name in validate.on_given_masks(config)]
        given = {name: inputs.trainable(config, work, name, names) for name in learning}
        if learning or "score" in running:
            truth.check(config, work, pictures)
    outlines = None
    if "shapes" in running:
        outlines = inputs.given_outlines(config, work)
    problems = validate.check_inputs(pictures, outlines, config, given=given)
    if problems:
        raise ValueError(validate.describe(problems))


def _draw_phantom(config: ConfigDict, work: Work) -> None:
    """Draws the phantom's files, unless they are there and were drawn with the same settings.

    Raises:
        ValueError: somebody else's files lie in their place.
    """
    settings = marks.phantom(config)
    if marks.drawn(work) != settings:
        from semjax import inputs

        if _holds_others(work.inputs):
            raise ValueError(
                f"{work.inputs} is where the phantom's files are to be drawn, but it holds files "
                "of yours; move them, or give --workdir another folder"
            )
        if work.inputs.is_symlink():
            work.inputs.unlink()
        elif work.inputs.exists():  # out of the way at once, so that no kill leaves half of it
            work.inputs.rename(work.path / f".inputs-{os.getpid()}")
        for left in work.path.glob(".inputs-*"):  # some by runs that were killed
            shutil.rmtree(left)
        inputs.prepare(config, work)
        workdir.write_json(work.inputs / "done.json", settings)


def _holds_others(folder: Path) -> bool:
    """Whether somebody else's files lie where the phantom's belong; a kill may precede its mark."""
    if not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir()):
        return False
    drawn = (folder / "truth.csv").exists() and any((folder / "images").glob("phantom_*.tif"))
    return not (drawn or (folder / "done.json").exists())


def _remove(folder: Path) -> None:
    """Removes a folder; of one that another work folder shares, only the link.

    Its marks go first: a kill must not leave half a folder that is marked as done.
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        for mark in ("started.json", "done.json"):
            (folder / mark).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _put_aside(folder: Path, work: Work) -> None:
    """Moves what a person has made in a stage's folder out of it before the stage is made again."""
    made = [folder / name for name in BY_HAND if (folder / name).exists()]
    if not made or folder.is_symlink():
        return
    kept = work.path / "by_hand" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    kept.mkdir(parents=True)
    for path in made:
        path.rename(kept / path.name)
        logging.warning("%s is made again; %s is now in %s", folder.name, path.name, kept)


def _run_stage(
    name: str, action: marks.Action, config: ConfigDict, work: Work, *, shared: bool
) -> None:
    """Runs one stage and marks it as done, last and at once; not if it had nothing to do."""
    folder = work.stage(name)
    logging.info("%s: %s", name, action.reason)
    if action.kind == "again":
        _put_aside(folder, work)
        _remove(folder)
    from semjax import devices, memory

    devices.keep_compiled()
    start = marks.start(config, work, name)
    memory.forget()
    began = time.monotonic()
    try:
        if shared:
            processes.meet(name)
        summary = load_stage(name)(config, work)
    except BaseException:
        marks.pause(work, name, start, seconds=time.monotonic() - began)
        raise
    if "skipped" in summary:
        marks.drop(work, name)
        logging.info("%s: skipped, %s", name, summary["skipped"])
        return
    seconds = round(start["seconds"] + time.monotonic() - began, 2)
    marks.finish(
        work,
        name,
        {
            **start,
            "seconds": seconds,
            "memory_mib": memory.peaks(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": devices.describe(),
            "versions": versions.collect(),
            "summary": summary,
        },
    )
    logging.info("%s: done in %.0f s", name, seconds)


def _write_config(config: ConfigDict, work: Work) -> None:
    text = config.to_json_best_effort(indent=2) + "\n"
    if not work.config.exists() or work.config.read_text(encoding="utf-8") != text:
        workdir.write_text(work.config, text)


def _write_report(config: ConfigDict, work: Work) -> None:
    page = import_module("semjax.report.page")
    page.write(work.path, title=config.name)
