"""The folder that holds what was found in many micrographs.

The workflow's `measure` and `semjax segment` both write it. `done/NAME.json` marks an image as
finished and holds its rows of the tables, which are written for all images together at the end.
"""

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from semjax import measuring, models, versions
from semjax.analysis import bands, distribution, regions, threshold
from semjax.data import contrast, metadata
from semjax.data.images import Micrograph
from semjax.exports import fiji
from semjax.models import Model
from semjax.report import figures
from semjax.workdir import read_json, whole, write_json, write_text

FORMAT = 1
WORKERS = 2  # images at a time
T = TypeVar("T")
R = TypeVar("R")
ONE_LARGE = threading.Lock()  # two large images at a time could take too much memory
SUMMARISED = {
    "min_feret": "minimum Feret diameter",
    "max_feret": "maximum Feret diameter",
    "equivalent_circular_diameter": "equivalent circular diameter",
    "perimeter": "perimeter",
}
# Folders of a measured folder, and the files' suffix in each.
PER_IMAGE = {
    "labels": "tif",
    "probability": "tif",
    "overlays": "png",
    "pictures": "jpg",
    "rois": "zip",
    "done": "json",
}


def in_turn(work: Callable[[T], R], images: Iterable[T]) -> Iterator[R]:
    """What `work` gives for each image, in their order, while further images are worked on.

    While one image is read, split or written, the network sees to another. What `work` gives must
    not depend on other images. An error ends it when the images in hand are done.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(work, images)


def is_done(folder: Path, name: str, origin: Mapping[str, Any]) -> bool:
    """Whether all that belongs to an image is there, made from what `origin` says.

    Args:
        folder: the measured folder.
        name: of the image.
        origin: as given to `measure`.
    """
    files = [folder / kind / f"{name}.{suffix}" for kind, suffix in PER_IMAGE.items()]
    if not all(file.is_file() for file in files):
        return False
    found = read_json(files[-1])
    return all(found[entry] == value for entry, value in origin.items())


def micrograph(folder: Path, name: str) -> Path | None:
    """The file that an image was measured from, if it still is where it was and as it was."""
    mark = folder / "done" / f"{name}.json"
    done = read_json(mark) if mark.is_file() else {}
    path = folder / done.get("path", "")
    return path if path.is_file() and models.checksum(path) == done["sha256"] else None


def _relative(path: Path, folder: Path) -> str:
    """A file's place as seen from a folder, so that both may be moved together."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path.resolve())


def origin_of(path: Path, model: Model, *, pixel_size_nm: float | None) -> dict[str, Any]:
    """What decides whether an image must be measured again, beside the folder's settings."""
    return {
        "sha256": models.checksum(path),
        "model": model.hash,
        "pixel_size_nm": pixel_size_nm,
    }


def measure(
    folder: Path,
    model: Model,
    picture: Micrograph,
    *,
    origin: Mapping[str, Any],
    border: str,
    scale: float = 1.0,
) -> dict[str, Any]:
    """Measures one image, and writes everything of it but its rows in the common tables.

    Args:
        folder: the measured folder.
        model: the model.
        picture: the image.
        origin: what it was made from, see `origin_of`.
        border: drop or weights, see `measure.border` in the settings.
        scale: as for `measuring.segment`.

    Returns:
        The image's row of `images.csv`.
    """
    large = picture.raw.size > contrast.LARGE_PX
    with ONE_LARGE if large else nullcontext():
        return _measure(folder, model, picture, origin=origin, border=border, scale=scale)


def _measure(
    folder: Path,
    model: Model,
    picture: Micrograph,
    *,
    origin: Mapping[str, Any],
    border: str,
    scale: float,
) -> dict[str, Any]:
    labels, probability = _segment(folder, model, picture.image, scale)
    table = regions.measure(labels, picture.raw, pixel_size_nm=picture.pixel_size_nm)
    table = measuring.judge(model, picture.image, labels, table, scale=scale)
    table.insert(0, "image", picture.name)
    kept = table["kept"].to_numpy()
    paths = {kind: folder / kind / f"{picture.name}.{suffix}" for kind, suffix in PER_IMAGE.items()}
    paths["done"].unlink(missing_ok=True)
    write_labels(paths["labels"], labels, pixel_size_nm=picture.pixel_size_nm)
    fiji.write_tiff(paths["probability"], probability, pixel_size_nm=picture.pixel_size_nm)
    step = contrast.shown_step(labels)
    shown = picture.image if step == 1 else bands.shrink(picture.image, step)
    overlay = figures.overlay(shown, labels[::step, ::step][: len(shown), : shown.shape[1]], kept)
    figures.write_png(paths["overlays"], overlay)
    # As bright as in the file: dark particles are dark.
    _write_jpeg(
        paths["pictures"], figures.to_uint8(-shown if model.recipe["dark_particles"] else shown)
    )
    fiji.write_rois(paths["rois"], labels)
    unit = _unit(picture.pixel_size_nm)
    sizes = table[kept][f"min_feret_{unit}"]
    weights = _weights(table[kept], border)
    row = {
        "image": picture.name,
        "pixel_size_nm": picture.pixel_size_nm,
        "pixel_size_from": picture.pixel_size_from,
        "info_bar_px": picture.info_bar_px,
        "particles": len(table),
        "kept": int(kept.sum()),
        "foreground_fraction": round(np.count_nonzero(labels) / labels.size, 5),
        **_doubts(picture.image, labels),
        f"mean_min_feret_{unit}": round(float(np.average(sizes, weights=weights)), 3)
        if kept.any()
        else None,
        "file": picture.path.name,
        "height_px": labels.shape[0],
        "width_px": labels.shape[1],
    }
    done = {
        **origin,
        "path": _relative(picture.path, folder),
        "scale": scale,
        "row": row,
        "instrument": metadata.instrument(picture.path),
        "types": table.dtypes.astype(str).to_dict(),
        "particles": table.to_dict("list"),
    }
    write_text(paths["done"], json.dumps(done) + "\n")
    return row


def _unit(pixel_size_nm: float | None) -> str:
    return "px" if pixel_size_nm is None else "nm"


def _segment(
    folder: Path, model: Model, image: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, int32 (h, w), and the probability of foreground, uint8 (h, w), 255 for 1.

    Those of a large image lie in files without a name in the folder, which vanish with the arrays.
    """
    if scale != 1.0 or image.size <= contrast.LARGE_PX:
        labels, probability = measuring.segment(model, image, scale=scale)
        return labels, np.rint(255 * probability).astype(np.uint8)
    labels, levels = (_on_disk(folder, image.shape, dtype) for dtype in (np.int32, np.uint8))
    row = 0
    for some, probability in measuring.segment_rows(model, image):
        here = slice(row, row + len(some))
        labels[here], levels[here] = some, np.rint(255 * probability)
        row += len(some)
    return labels, levels


def _on_disk(folder: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype, mode="w+", shape=shape)


def _doubts(image: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What can be said of a result without any truth.

    `agreement` is the IoU of the foreground with that of blur and Li's threshold; `ghost_share` the
    share of particles that are not brighter than Li's threshold of the image. Bands of large images
    have thresholds of their own.
    """
    both = either = n_shown = n = 0
    for rows in bands.rows(labels):
        simple, found = threshold.foreground(image[rows]), labels[rows] > 0
        both += np.count_nonzero(simple & found)
        either += np.count_nonzero(simple | found)
    for rows, particles, _ in bands.whole(labels):
        shown = threshold.keep_shown(image[rows], particles, threshold="li")
        n_shown, n = n_shown + np.count_nonzero(shown), n + shown.size
    return {
        "agreement": round(both / either, 5) if either else 1.0,
        "ghost_share": round(1.0 - n_shown / n, 5) if n else 0.0,
    }


def _weights(kept: pd.DataFrame, border: str) -> np.ndarray | None:
    """How often each measured particle counts; None for once."""
    return kept["border_weight"].to_numpy() if border == "weights" else None


def write_labels(path: Path, labels: np.ndarray, *, pixel_size_nm: float | None) -> None:
    """Writes labels (h, w) as a TIFF, for ImageJ unless there are more than it has integers for."""
    if labels.max(initial=0) < 2**16:
        fiji.write_tiff(path, labels, pixel_size_nm=pixel_size_nm)
        return
    with whole(path) as partial:
        tifffile.imwrite(partial, labels, compression="zlib")


def _write_jpeg(path: Path, pixels: np.ndarray) -> None:
    with whole(path) as partial:
        Image.fromarray(pixels).save(partial, "JPEG", quality=90)


def check_units(sizes: Mapping[str, float | None]) -> str:
    """The unit of all results: nm, or px where no pixel size is known.

    Raises:
        ValueError: it is known for some images only.
    """
    missing = [name for name, size in sizes.items() if size is None]
    if missing and len(missing) < len(sizes):
        raise ValueError(
            f"pixel sizes are known for some images but not for {', '.join(missing[:5])}; "
            "give data.pixel_size_nm, or leave those images out (data.exclude)."
        )
    return "px" if missing else "nm"


def describe(model: Model, *, path: str) -> dict[str, Any]:
    """What a measured folder says of its model, which lies at `path`."""
    return {"path": path, "hash": model.hash, "scores": model.scores}


def finish(
    folder: Path,
    names: Sequence[str],
    *,
    facts: Mapping[str, Any],
    calibration_uncertainty: float | None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Writes what concerns all images: tables, `distribution.json`, histograms, `measured.json`.

    Args:
        folder: the measured folder.
        names: of the images, at least one; all of them done.
        facts: `unit`, `border`, `nano_nm`, `bootstrap`, `seed`, `model` and `settings`, which
            `measured.json` holds too.
        calibration_uncertainty: relative standard uncertainty of the pixel size; None if unknown.

    Returns:
        Rows of `images.csv`, rows of `particles.csv`, and a summary in a few words.
    """
    done = {name: read_json(folder / "done" / f"{name}.json") for name in names}
    images = pd.DataFrame([found["row"] for found in done.values()])
    tables = [pd.DataFrame(found["particles"]).astype(found["types"]) for found in done.values()]
    particles = pd.concat(tables, ignore_index=True)
    write_text(folder / "particles.csv", particles.to_csv(index=False))
    write_text(folder / "images.csv", images.to_csv(index=False))
    unit, border = facts["unit"], facts["border"]
    kept = particles[particles["kept"]]
    weights = _weights(kept, border)
    summary: dict = {"unit": unit, "border": border}
    for quantity, words in SUMMARISED.items():
        values = kept[f"{quantity}_{unit}"].to_numpy()
        summary[quantity] = distribution.summarize(
            values,
            weights,
            images=kept["image"].to_numpy(str),
            bootstrap=facts["bootstrap"],
            seed=facts["seed"],
            nano_nm=facts["nano_nm"],
        )
        figures.write_png(
            folder / f"histogram_{quantity}.png",
            figures.histogram(values, weights, xlabel=words, unit=unit),
        )
        if unit == "px":  # the limit is in nm
            summary[quantity] |= {"share_below_nano": None, "share_below_nano_interval": None}
    write_json(folder / "distribution.json", summary)
    measured = {
        "format": FORMAT,
        "semjax": versions.collect()["semjax"],
        "versions": versions.collect(),
        **facts,
        "calibration_uncertainty": calibration_uncertainty,
        "images": {
            name: {
                "file": found["row"]["file"],
                **{entry: found[entry] for entry in ("sha256", "scale", "instrument")},
            }
            for name, found in done.items()
        },
    }
    write_json(folder / "measured.json", measured)
    ghosts = (images["ghost_share"] * images["particles"]).sum() / max(len(particles), 1)
    sizes = summary["min_feret"]
    told = {
        "images": len(images),
        "particles": len(particles),
        "kept": len(kept),
        f"mean min Feret ({unit})": sizes["mean"],
        f"median min Feret ({unit})": sizes["median"],
        "agreement with a threshold": round(float(images["agreement"].mean()), 4),
        "ghost share": round(float(ghosts), 4),
    }
    return images, particles, told
