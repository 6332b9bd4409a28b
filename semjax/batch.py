"""Many images measured with one model into one folder, going on from whatever is there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from absl import logging
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semjax import devices, measured, measuring, messages, models, processes
from semjax.data import images, metadata
from semjax.exports import fiji
from semjax.models import Model
from semjax.report import sample
from semjax.workdir import CannotWriteError, Work, read_json, write_json, write_text

COMMON = {"nano_nm": 100.0, "bootstrap": 1000, "seed": 0}
N_NAMED = 5  # images named in a warning that concerns many
# What file browsers leave behind in every folder that they show.
STRAY = {".DS_Store", "Thumbs.db", "desktop.ini"}


def run(
    model_path: str | Path,
    given: Sequence[str | Path],
    out: str | Path,
    *,
    pixel_size_nm: float | None = None,
    calibration: float | None = None,
    calibration_uncertainty: float | None = None,
    info_bar_px: int | None = None,
    dark_particles: bool | None = None,
    border: str = "drop",
    rescale: bool = False,
    imagej_table: bool = False,
) -> dict[str, str]:
    """Measures images, and writes a measured folder (see `measured`).

    Images that are there already, made from the same files, are not measured again. Processes
    share the images; the first of them writes the tables.

    Args:
        model_path: a model folder, or a finished work folder.
        given: folders of images, or files.
        out: the measured folder. It may be filled in several goes; its tables hold all images.
        pixel_size_nm: of all images; None reads the instruments' tags.
        calibration: factor on the pixel size, whatever it is from; None for 1, with a warning where
            the training images had another.
        calibration_uncertainty: relative standard uncertainty of the pixel size; None if it is
            not known, or was given when the folder was filled before.
        info_bar_px: rows to cut at the bottom, -1 to find the bar; None as in training.
        dark_particles: whether particles are darker than the ground; None as in training.
        border: drop or weights, see `measure.border` in the settings.
        rescale: whether images of other pixel sizes than the training's are resampled to them.
        imagej_table: whether `imagej.csv` is written as well, with ImageJ's names of columns.

    Returns:
        What went wrong, by the image's name; the first process names those of the others, too.

    Raises:
        FileNotFoundError: no model or no images.
        ValueError: a model or a folder that cannot be used; the message says what to do.
    """
    model = models.load(model_path)
    paths = list_given(given)
    recipe = model.recipe | {
        name: value
        for name, value in (("info_bar_px", info_bar_px), ("dark_particles", dark_particles))
        if value is not None
    }
    if rescale and model.trained["pixel_size_nm"] is None:
        raise ValueError(
            f"the model in {model.path} was trained on images without a pixel size, so nothing can "
            "be rescaled for it; leave --rescale away"
        )
    model = model._replace(recipe=recipe)
    told = calibration is not None or pixel_size_nm is not None
    calibration = calibration or 1.0
    settings = {
        "made by": "segment",
        "pixel_size_nm": pixel_size_nm,
        "calibration": calibration,
        "rescale": rescale,
        **recipe,
    }
    images.warn_of_stacks(paths)
    devices.keep_compiled()
    work = Work(out)
    with _held(work):
        processes.meet("folder")
        before = _look(work.path)
        sizes = _read_sizes(paths, pixel_size_nm, calibration)
        calibrated = any(sizes.values()) or before.get("unit") == "nm"
        facts = {
            "unit": "nm" if calibrated else "px",
            "border": border,
            **COMMON,
            "model": measured.describe(model, path=str(model_path)),
            "settings": settings,
        }
        processes.meet("looked")
        if before:
            _compare(work.path, before, facts)
            if calibration_uncertainty is None:
                calibration_uncertainty = before.get("calibration_uncertainty")
        elif processes.leads():
            write_json(work.path / "measured.json", {"format": measured.FORMAT, **facts})
        if calibrated and not told and (doubt := measuring.doubt_calibration(model)):
            logging.warning("%s", doubt)
        if not calibrated:
            logging.warning("no pixel size in the images' tags; results are in pixels")
        if not rescale:
            _warn({name: measuring.doubt_pixels(model, size) for name, size in sizes.items()})
        todo = [(path, sizes.get(path.stem)) for path in paths]
        errors = _measure_all(work.path, model, processes.share(todo), facts)
        processes.meet("measured")
        if not processes.leads():
            return errors
        for path in paths:
            if not (work.path / "done" / f"{path.stem}.json").is_file():
                errors.setdefault(path.stem, "another process failed, and says why")
        names = [p.stem for p in sorted((work.path / "done").glob("*.json"), key=images.natural)]
        _warn_of_twins(work.path, names)
        if names:
            _, particles, told = measured.finish(
                work.path, names, facts=facts, calibration_uncertainty=calibration_uncertainty
            )
            if imagej_table or (work.path / "imagej.csv").is_file():
                table = fiji.results_table(particles, unit=facts["unit"]).to_csv(index=False)
                write_text(work.path / "imagej.csv", table)
            _warn(_doubt_sizes(work.path, model, particles))
            for key, value in told.items():
                logging.info("%s: %s", key, value)
            _report(work)
    return errors


@contextmanager
def _held(work: Work) -> Iterator[None]:
    """The folder made and locked, with a log, by the process that writes its tables."""
    if not processes.leads():
        yield
        return
    work.create()
    with work.lock(), messages.keep(work.log):
        yield


def _report(work: Work) -> None:
    """Writes the report; a night's work is not lost if it cannot be made."""
    try:
        logging.info("report: %s", sample.write([work.path], work.report))
    except (ValueError, OSError) as error:
        logging.warning("there is no report, but all other results are there: %s", error)


def list_given(given: Sequence[str | Path]) -> list[Path]:
    """Image files of folders, and files, in the order given.

    Of several files, as a shell makes them of `folder/*`, those that are no images are passed over.

    Raises:
        FileNotFoundError: there is no such folder or file.
        ValueError: a folder without images, no image at all, or two images of one name.
    """
    paths: dict[str, Path] = {}
    strange: list[str] = []
    for place in map(Path, given):
        place = place.expanduser()
        if not place.exists():
            raise FileNotFoundError(f"no folder or file {place}; give images or their folder")
        if not (place.is_dir() or images.may_read(place)):
            strange.append(str(place))
            continue
        for path in images.list_images(place) if place.is_dir() else [place]:
            if paths.setdefault(path.stem, path).resolve() != path.resolve():
                raise ValueError(
                    f"{paths[path.stem]} and {path} have the same name, and results are named "
                    "after it; rename one of them, or give another --out for each"
                )
    if not paths:
        raise ValueError(
            f"no images among {', '.join(strange[:N_NAMED])}; expected files ending in "
            f"{', '.join(images.SUFFIXES)}"
        )
    if strange:
        logging.warning("passed over, no images: %s", ", ".join(strange))
    return list(paths.values())


def _read_sizes(
    paths: Sequence[Path], given: float | None, calibration: float
) -> dict[str, float | None]:
    """Pixel sizes by name; without files that cannot be read, whose errors come when they are."""
    sizes: dict[str, float | None] = {}
    for path in paths:
        try:
            found = metadata.pixel_nm(path) if given is None else (given, given, "given")
        except Exception:  # decoders raise errors of any type for damaged files
            continue
        # Pixels that are not square become squares of the shorter side.
        sizes[path.stem] = None if found is None else calibration * min(found[:2])
    return sizes


def _look(folder: Path) -> dict[str, Any]:
    """What the folder's images were measured with; empty if none has been.

    Raises:
        ValueError: it holds other things.
    """
    file = folder / "measured.json"
    if file.is_file():
        return read_json(file) if any((folder / "done").glob("*.json")) else {}
    ours = {".lock", "log.txt", "crash.txt"}
    strangers = sorted({path.name for path in folder.iterdir()} - ours - STRAY)
    if strangers:
        raise ValueError(
            f"{folder} holds other things already ({', '.join(strangers[:3])}); give --out a new "
            "folder, or one that `semjax segment` has begun"
        )
    return {}


def _compare(folder: Path, before: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuses results of another model or other settings beside those that are there."""
    old, new = _decisive(before), _decisive(facts)
    changed = [
        f"  {key}: {old.get(key)} -> {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise ValueError(
            f"{folder} holds results that were made otherwise:\n"
            + "\n".join(changed)
            + "\nPut these back, or give --out a new folder; nothing there was changed."
        )


def _decisive(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What all images of a folder must have in common."""
    model = str(facts["model"]["hash"])[:12]
    return {**facts["settings"], "unit": facts["unit"], "border": facts["border"], "model": model}


def _measure_all(
    folder: Path,
    model: Model,
    todo: Sequence[tuple[Path, float | None]],
    facts: Mapping[str, Any],
) -> dict[str, str]:
    """Measures what is not done yet; returns what went wrong, by name."""
    errors: dict[str, str] = {}
    skipped = 0

    def attempt(image: tuple[Path, float | None]) -> tuple[dict[str, Any] | None, str]:
        try:
            return _measure_one(folder, model, *image, facts), ""
        except CannotWriteError:  # nor could the next one
            raise
        except Exception as error:  # one bad image must not end a night's work
            logging.debug("%s", image[0], exc_info=True)
            return None, str(error) or type(error).__name__

    with _progress(len(todo)) as step:
        found = measured.in_turn(attempt, todo)
        for (path, _), (row, error) in zip(todo, found, strict=True):
            if error:
                errors[path.stem] = error
            else:
                skipped += row is None
            step(path.stem, error or (f"{row['particles']} particles" if row else "there already"))
    if skipped:
        logging.info("%d of %d images were there already and have not changed", skipped, len(todo))
    return errors


def _measure_one(
    folder: Path, model: Model, path: Path, pixel_size_nm: float | None, facts: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Measures an image and returns its row of `images.csv`; None if that was done before."""
    origin = measured.origin_of(path, model, pixel_size_nm=pixel_size_nm)
    if measured.is_done(folder, path.stem, origin):
        return None
    settings, done = facts["settings"], folder / "done" / f"{path.stem}.json"
    if done.is_file():
        before = read_json(done)
        place = (folder / before["path"]).resolve()
        elsewhere = place != path.resolve() and place.is_file()
        if elsewhere and before["sha256"] != origin["sha256"]:
            raise ValueError(
                f"{folder} holds results of another image of this name, {place}; "
                "rename one of them, or give --out another folder"
            )
        logging.info("%s has changed, or some of its results are gone; measured again", path.stem)
        done.unlink()
    picture = images.read_micrograph(
        path,
        pixel_size_nm=settings["pixel_size_nm"] or 0.0,
        calibration=settings["calibration"],
        info_bar_px=settings["info_bar_px"],
        dark_particles=settings["dark_particles"],
        **settings["contrast"],
        in_rows=True,
    )
    if picture.pixel_size_nm is None and facts["unit"] == "nm":
        raise ValueError("no pixel size is known, as it is for others; give --pixel_size_nm")
    scale = measuring.scale_of(model, picture.pixel_size_nm) if settings["rescale"] else 1.0
    return measured.measure(
        folder, model, picture, origin=origin, border=facts["border"], scale=scale
    )


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar with the time left on a terminal, plain lines in a log; yields what moves it on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        count = iter(range(1, total + 1))
        yield lambda name, note: logging.info("%d/%d %s: %s", next(count), total, name, note)
        return
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task("measuring", total=total, note="")
        yield lambda name, note: bar.update(task, advance=1, note=f"{name}: {note}"[:60])


def _warn(doubts: Mapping[str, str]) -> None:
    """One warning for all images that have the same trouble."""
    by_text: dict[str, list[str]] = {}
    for name, text in doubts.items():
        if text:
            by_text.setdefault(text, []).append(name)
    for text, names in by_text.items():
        more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
        logging.warning("%s%s: %s", ", ".join(names[:N_NAMED]), more, text)


def _warn_of_twins(folder: Path, names: Sequence[str]) -> None:
    """Warns of images that are there twice, as when a file was renamed: each counts as a field."""
    known: dict[str, str] = {}
    for name in names:
        sha256 = read_json(folder / "done" / f"{name}.json")["sha256"]
        if (other := known.setdefault(sha256, name)) != name:
            logging.warning(
                "%s and %s are the same file, and count as two images; remove %s and start again "
                "to have it counted once",
                *(other, name, folder / "done" / f"{name}.json"),
            )


def _doubt_sizes(folder: Path, model: Model, particles: pd.DataFrame) -> dict[str, str]:
    """What is to be feared for images with particles of other sizes, by name."""
    doubts = {}
    for name, table in particles[particles["kept"]].groupby("image"):
        done = read_json(folder / "done" / f"{name}.json")
        size = done["row"]["pixel_size_nm"]
        sizes = table["min_feret_px"] if size is None else table["min_feret_nm"] / size
        doubts[str(name)] = measuring.doubt_sizes(model, done["scale"] * sizes.to_numpy())
    return doubts
