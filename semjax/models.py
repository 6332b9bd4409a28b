"""Model folders: all that is needed to measure further images, in one folder to hand on.

    MODEL/model.json                                  how images are prepared, what was trained for
    MODEL/segmenter/{config.json,variables.npz}
    MODEL/classifier/{config.json,variables.npz}

The workflow's `measure` writes one as `model` in the work folder.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from semjax import checkpoints, predict, versions
from semjax.analysis import scores
from semjax.analysis.evidence import SHAPE
from semjax.workdir import Work, read_json, write_bytes, write_json

FORMAT = 1
PARTS = {"segmenter": "segment", "classifier": "classify"}  # and the stages that train them
CHANNELS = {"segmenter": 1, "classifier": 2}  # of their inputs: image; image and mask
FILES = ("config.json", "variables.npz")


def _number(low: float, high: float, *kinds: type) -> Callable[[Any], bool]:
    kinds = kinds or (int, float)
    return lambda value: type(value) in kinds and low <= value <= high  # False of NaN


def _entries(**holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict)
        and value.keys() == holds.keys()
        and all(holds[name](value[name]) for name in holds)
    )


def _numbers(n: int, low: float, high: float, *kinds: type) -> Callable[[Any], bool]:
    one = _number(low, high, *kinds)
    return lambda value: isinstance(value, list) and len(value) == n and all(map(one, value))


_bool = lambda value: type(value) is bool
_share = _number(0, 1)
_percentile = _number(0, 100)
_length = _number(0, 1e9)
# What every entry of model.json must be like, since a stranger may have written it.
RECIPE = {
    "contrast": _entries(low=_percentile, high=_percentile, knee=_share),
    "dark_particles": _bool,
    "info_bar_px": _number(-1, 1e6, int),
    "tile_px": lambda value: (
        _numbers(2, 16, 4096, int)(value) and all(side % 16 == 0 for side in value)
    ),
    "flips": _bool,
    "min_area_px": _length,
    "split": lambda value: value in ("markers", "watershed"),
    "thresholds": _entries(segmenter=_share, classifier=_share),
}
_trained = _entries(
    pixel_size_nm=lambda value: value is None or _numbers(2, 1e-6, 1e9)(value),
    min_feret_px=lambda value: (
        value is None or _entries(p1=_length, p50=_length, p99=_length)(value)
    ),
    calibration=_number(0.1, 10),
)
HOLDS = {
    "recipe": lambda value: isinstance(value, dict),
    "trained": lambda value: isinstance(value, dict) and _trained({"calibration": 1.0} | value),
    "scores": lambda value: (
        isinstance(value, dict) and all(isinstance(row, dict) for row in value.values())
    ),
    "sha256": lambda value: isinstance(value, dict),
}
PERCENTS = (1, 50, 99)  # of the sizes measured on the training images


class Model(NamedTuple):
    """A model in memory.

    Attributes:
        path: the folder it was read from.
        recipe: how images are prepared, split and cleaned; the entries are `RECIPE`.
        trained: `pixel_size_nm`, smallest and largest of the training images, or None;
            `min_feret_px`, percentiles p1, p50 and p99 of the sizes measured there, or None; and
            `calibration`, the factor on their pixel sizes, which models of before have not.
        scores: what is known of its quality, by what it was found on.
        files: the two networks' folders.
        segmenter: with the recipe's threshold.
        classifier: with the recipe's threshold.
        hash: SHA-256 of recipe and weights; the same hash gives the same results.
    """

    path: Path
    recipe: dict[str, Any]
    trained: dict[str, Any]
    scores: dict[str, Any]
    files: dict[str, Path]
    segmenter: predict.Model
    classifier: predict.Model
    hash: str


def load(path: str | Path) -> Model:
    """Reads a model folder, or the model of a finished work folder.

    Raises:
        FileNotFoundError: the folder is neither.
        ValueError: it is damaged, was changed, or was written by a newer semjax; or the workflow
            has not come to its end there.
    """
    path = Path(path).expanduser()
    if (path / "model.json").is_file():
        return _read(path)
    if (path / "config.json").is_file() and (path / "7_measure").is_dir():
        return _of_finished(Work(path))
    raise FileNotFoundError(
        f"no model in {path}: expected a model folder (with model.json, segmenter and classifier) "
        "or the work folder of a finished run"
    )


def of_work(config: Mapping[str, Any], work: Work) -> Model:
    """The model of a work folder whose networks are trained; nothing measured is looked at.

    Args:
        config: all settings of the run.
        work: the work folder.
    """
    files = {part: work.stage(stage) / "model" for part, stage in PARTS.items()}
    networks = {
        part: predict.load(folder, channels=CHANNELS[part]) for part, folder in files.items()
    }
    data, measure = config["data"], config["measure"]
    recipe = {
        "contrast": {end: data[f"contrast_{end}"] for end in ("low", "high", "knee")},
        "dark_particles": data["dark_particles"],
        "info_bar_px": data["info_bar_px"],
        "tile_px": list(measure["tile_px"]),
        "flips": measure["flips"],
        "min_area_px": measure["min_area_px"]
        or networks["segmenter"].settings.get("min_area_px", scores.MIN_AREA_PX),
        "split": networks["segmenter"].settings["split"],
        "thresholds": {part: network.settings["threshold"] for part, network in networks.items()},
    }
    threshold = recipe["thresholds"]["segmenter"]
    tried = read_json(work.segment / "threshold.json")["tried"]
    held_out = {
        f"held-out pairs ({config['segment']['pairs']})": row
        for row in tried
        if row["threshold"] == threshold
    }
    return Model(
        path=work.path,
        recipe=recipe,
        trained={
            "pixel_size_nm": None,
            "min_feret_px": None,
            "calibration": data.get("calibration", 1.0),
        },
        scores=held_out,
        files=files,
        hash=_hash(recipe, _checksums(files)),
        **networks,
    )


def learn_ranges(model: Model, images: pd.DataFrame, particles: pd.DataFrame) -> Model:
    """The model with the ranges of its training images, as they were measured.

    Args:
        model: of the run.
        images: rows of `images.csv`.
        particles: rows of `particles.csv`; those that are kept count.
    """
    known = images["pixel_size_nm"].dropna()
    chosen = particles[particles["kept"]]
    if "min_feret_nm" in chosen:
        side_nm = chosen["image"].map(images.set_index("image")["pixel_size_nm"])
        sizes = chosen["min_feret_nm"] / side_nm
    else:
        sizes = chosen["min_feret_px"]
    found = {f"p{n}": round(float(sizes.quantile(n / 100)), 2) for n in PERCENTS}
    trained = model.trained | {
        "pixel_size_nm": [float(known.min()), float(known.max())] if len(known) else None,
        "min_feret_px": found if len(sizes) else None,
    }
    return model._replace(trained=trained)


def bundle(model: Model, folder: Path) -> None:
    """Writes a model folder; one that is there is replaced.

    `model.json` comes last and says what the other files must be, so that none is half.
    """
    (folder / "model.json").unlink(missing_ok=True)
    for part, source in model.files.items():
        for file in FILES:
            write_bytes(folder / part / file, (source / file).read_bytes())
    described = {
        "format": FORMAT,
        "versions": versions.collect(),
        "recipe": model.recipe,
        "trained": model.trained,
        "scores": model.scores,
        "sha256": _checksums({part: folder / part for part in PARTS}),
    }
    write_json(folder / "model.json", described)


def add_truth(folder: Path, table: Mapping[str, Any]) -> None:
    """Adds the scores of a run's own images to its model folder, if there is one.

    Args:
        folder: the model folder.
        table: as in `scores.json` of the stage `score`.
    """
    if (folder / "model.json").is_file():
        described = read_json(folder / "model.json")
        described["scores"] |= _name_scores(table)
        write_json(folder / "model.json", described)


def _name_scores(table: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        "truth of the run's images": table.get("semjax"),
        "truth of the test images": table.get("semjax, test images"),
    }
    return {name: scores for name, scores in named.items() if scores}


def _read(path: Path) -> Model:
    file = path / "model.json"
    described = checkpoints.read_description(file, newest=FORMAT)
    missing = {"recipe", "trained", "scores", "sha256"} - set(described)
    recipe = described.get("recipe")
    missing |= set(RECIPE) - set(recipe if isinstance(recipe, dict) else ())
    if missing:
        raise ValueError(f"{file} lacks {', '.join(sorted(missing))}; copy the model folder again")
    wrong = [name for name, holds in HOLDS.items() if not holds(described[name])]
    wrong += [name for name, holds in RECIPE.items() if not holds(described["recipe"][name])]
    if wrong:
        raise ValueError(
            f"{file} cannot be used: {', '.join(wrong)} is not what semjax writes there; copy the "
            "model folder again"
        )
    files = {part: path / part for part in PARTS}
    expected, found = described["sha256"], _checksums(files)
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path / name} is not the file that model.json was written for (its SHA-256 "
                "differs): it is damaged or was replaced; copy the model folder again"
            )
    networks = {
        part: predict.load(folder, channels=CHANNELS[part]) for part, folder in files.items()
    }
    _check_networks(files, networks, described["recipe"]["split"])
    recipe = described["recipe"]
    for part, network in networks.items():
        network.settings["threshold"] = recipe["thresholds"][part]
    networks["segmenter"].settings["split"] = recipe["split"]
    return Model(
        path=path,
        recipe=recipe,
        trained=described["trained"],
        scores=described["scores"],
        files=files,
        hash=_hash(recipe, found),
        **networks,
    )


def _check_networks(files: Mapping[str, Path], networks: Mapping[str, Any], split: str) -> None:
    """Refuses networks with other outputs than those that are used, and evidence that is none.

    Raises:
        ValueError: naming the file.
    """
    outputs = {part: getattr(network.network, "outputs", 0) for part, network in networks.items()}
    evidence = networks["classifier"].settings.get("evidence")
    n = len(SHAPE) + 2
    number = partial(_numbers, low=-1e9, high=1e9)
    weights = _entries(
        mean=number(n), scale=_numbers(n, 1e-9, 1e9), weights=number(2 * n), bias=_number(-1e9, 1e9)
    )
    right = {
        "segmenter": outputs["segmenter"] in ((3,) if split == "markers" else (1, 3)),
        "classifier": outputs["classifier"] == 1 and (evidence is None or weights(evidence)),
    }
    for part, holds in right.items():
        if not holds:
            raise ValueError(
                f"{files[part] / 'config.json'} cannot be used: its network is not what semjax "
                f"uses as {part}; copy the model folder again"
            )


def _of_finished(work: Work) -> Model:
    """The model of a work folder, with the ranges and scores that were found there."""
    if not _is_up_to_date(work, "measure"):
        raise ValueError(
            f"the run in {work.path} has not come to its end, so its model is not known yet; "
            "start it again with the same command, it goes on where it ended"
        )
    model = of_work(read_json(work.config), work)
    text = {"image": str}
    images = pd.read_csv(work.measure / "images.csv", dtype=text)
    particles = pd.read_csv(work.measure / "particles.csv", dtype=text | {"kept": bool})
    model = learn_ranges(model, images, particles)
    if _is_up_to_date(work, "score"):
        scores = _name_scores(read_json(work.score / "scores.json"))
        model = model._replace(scores=model.scores | scores)
    return model


def _is_up_to_date(work: Work, name: str) -> bool:
    """Whether a stage is done, with what the stages before it hold now."""
    mark = work.stage(name) / "done.json"
    if not mark.is_file():
        return False
    upstream = {
        work.stage(s) / "done.json": made for s, made in read_json(mark)["upstream"].items()
    }
    return all(path.is_file() and read_json(path)["id"] == made for path, made in upstream.items())


def _checksums(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the networks' files by their names in a model folder."""
    return {
        f"{part}/{file}": checksum(folder / file)
        for part, folder in files.items()
        for file in FILES
        if (folder / file).is_file()
    }


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(recipe: Mapping[str, Any], checksums: Mapping[str, str]) -> str:
    text = json.dumps([recipe, checksums], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
