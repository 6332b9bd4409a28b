"""How many of the measured particles are right, by a person's eye: for materials without a truth.

A few of the kept particles are drawn at random, a person accepts or rejects each of them, and the
share accepted estimates the precision of everything that was measured. `semjax audit WORKDIR` makes
a page for this; in a notebook, `work` being the `Work` of a finished run:

    sample = audit.draw(work)
    shown = audit.pictures(audit.read_config(work), work, sample)
    plt.imshow(figures.sheet(shown, columns=2))

and `audit.wilson(26, 30)` is the interval of 26 accepted ones.
"""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from scipy import ndimage, stats

from semjax import inputs, marks, models, tables
from semjax.data import images
from semjax.report import audit as page
from semjax.workdir import Work, read_json, write_json, write_text

CONFIDENCE = 0.95


def wilson(accepted: int, judged: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share.

    With p = accepted / judged, n = judged and z the normal quantile of (1 + confidence) / 2, the
    ends are

      (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).

    The sample is taken for one of very many particles; of few, it is a little too wide.

    Args:
        accepted: number of particles accepted, 0..judged.
        judged: number of particles judged; with 0 nothing is known, and the interval is (0, 1).
        confidence: in (0, 1).

    Returns:
        (low, high) in [0, 1].

    Raises:
        ValueError: numbers that cannot be.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    if not 0 <= accepted <= judged < math.inf or accepted % 1 or judged % 1:
        raise ValueError(
            f"accepted={accepted}, judged={judged}; expected whole numbers, 0 <= accepted <= judged"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a share between 0 and 1, like 0.95")
    if judged == 0:
        return 0.0, 1.0
    counted = stats.binomtest(int(accepted), int(judged))
    found = counted.proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def read_config(work: Work) -> ConfigDict:
    """The settings that a work folder was made with.

    Raises:
        ValueError: it is no work folder.
    """
    if not work.config.is_file():
        raise ValueError(
            f"expected a work folder with its config.json, but there is no {work.config}; "
            "give the folder of a finished run, like runs/mine"
        )
    found = read_json(work.config)
    if not isinstance(found, dict):
        raise ValueError(f"{work.config} holds no settings; copy the work folder again")
    return ConfigDict(found)


def draw(work: Work, n: int = 30, seed: int = 0) -> pd.DataFrame:
    """Draws particles at random, without replacement, from all that a run has measured and kept.

    Their order is random too: the first ones are a sample themselves, and a larger n adds to it.

    Args:
        work: the work folder.
        n: how many, at least 1; all if there are fewer.
        seed: of the choice, at least 0; the same seed gives the same particles of the same run.

    Returns:
        Their rows of particles.csv, numbered from 0.

    Raises:
        ValueError: nothing has been measured or kept, or n or seed cannot be.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n={n} and seed={seed}; expected n of at least 1 and seed of at least 0")
    table = _kept(work)
    chosen = np.random.default_rng(seed).permutation(len(table))[:n]
    return table.iloc[chosen].reset_index(drop=True)


def _kept(work: Work) -> pd.DataFrame:
    """The rows of particles.csv that are kept."""
    path = work.measure / "particles.csv"
    if not path.is_file() or marks.made(work, "measure") is None:
        raise ValueError(
            f"expected a finished measurement in {work.measure}, but there is "
            f"{'an unfinished one' if work.measure.is_dir() else 'none'}; run the workflow to its "
            "end in this work folder, then audit it"
        )
    table = tables.read_table(path, "image", "label", "kept")
    kept = table[table["kept"]]
    if kept.empty:
        raise ValueError(
            f"expected kept particles in {path}, but none of its {len(table)} is; "
            "see the column 'reason', and perhaps give a lower --config.classify.threshold"
        )
    return kept


def pictures(config: ConfigDict, work: Work, sample: pd.DataFrame) -> list[np.ndarray]:
    """Shows particles, each twice side by side: the micrograph, and on it the particle's outline.

    Grey levels are those of the micrograph in its file (dark particles are dark), with the contrast
    stretched. How the pictures are laid out stands with `semjax.report.audit.draw`.

    Args:
        config: settings of the run.
        work: the work folder.
        sample: with the columns `image` and `label`, as from `draw`.

    Returns:
        One picture a row, uint8 (360, 724, 3).

    Raises:
        FileNotFoundError: micrographs or labels are not there (any more).
        ValueError: they do not fit the sample.
    """
    micrographs = {picture.name: picture for picture in _micrographs(config, work)}
    noted = work.measure / "measured.json"  # which runs of old versions lack
    known = read_json(noted)["images"] if noted.is_file() else {}
    made: dict[tuple[str, int], np.ndarray] = {}
    for name, rows in sample.groupby("image"):
        path = work.measure / "labels" / f"{name}.tif"
        labels = images.read_labels(path)
        if state := _changed(micrographs.get(str(name)), labels, known.get(name, {}).get("sha256")):
            raise ValueError(
                f"the micrograph of {path}, which has {labels.shape} pixels, {state}; put back the "
                "images that were measured, or measure these with --redo=measure"
            )
        image = micrographs[str(name)].image
        image = -image if config.data.dark_particles else image
        boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
        for label in rows["label"]:
            if boxes.get(label) is None:
                raise ValueError(
                    f"{path} has no particle {label}; labels and particles.csv belong to different "
                    "runs: make both again with --redo=measure"
                )
            made[str(name), label] = page.draw(image, labels == label, boxes[label])
    return [made[key] for key in zip(sample["image"], sample["label"], strict=True)]


def _changed(picture: images.Micrograph | None, labels: np.ndarray, sha256: str | None) -> str:
    """What has become of the micrograph that labels belong to; empty if it is still the same."""
    if picture is None:
        return "is not there"
    if picture.image.shape != labels.shape:
        return f"has {picture.image.shape} pixels"
    return "has changed" if sha256 and models.checksum(picture.path) != sha256 else ""


def _micrographs(config: ConfigDict, work: Work) -> list[images.Micrograph]:
    try:
        return inputs.micrographs(config, work)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The run took its micrographs from there: put them back or, if the path is "
            "relative, start from the same folder as the run"
        ) from error


def write_page(work: Work, n: int = 30, seed: int = 0) -> Path:
    """Writes `audit/audit.html`, the page on which to judge, and `audit/sample.csv`, its list.

    Returns:
        The page's path.

    Raises:
        ValueError: as `draw` and `pictures`; or someone has written verdicts into sample.csv.
        FileNotFoundError: as `pictures`.
    """
    config, sample, run = read_config(work), draw(work, n, seed), marks.made(work, "measure")
    listed = work.path / "audit" / "sample.csv"
    if listed.exists() and any(row["verdict"] for _, row in _rows(listed)):
        raise ValueError(
            f"{listed} holds verdicts, which a new sample would overwrite; rename the file to "
            "answers.csv, and count it with --answers"
        )
    facts = {"name": config.name, "folder": work.path, "run": run, "seed": seed}
    facts |= {"n_kept": len(_kept(work)), "quantile": stats.norm.ppf((1 + CONFIDENCE) / 2)}
    text = page.render(sample, pictures(config, work, sample), **facts)
    table = sample[["image", "label"]].assign(verdict="", run=run, seed=seed)
    write_text(listed, table.to_csv(index=False))
    write_text(listed.with_name("audit.html"), text)
    return listed.with_name("audit.html")


def judge(work: Work, answers: Path) -> dict:
    """Counts a person's answers and writes the result as `audit/audit.json`.

    Args:
        work: the work folder that the sample was drawn from.
        answers: a CSV file with the columns image, label and verdict (accept, reject, or empty if
            not judged). By the columns run and seed, which the page saves too, answers for an
            earlier measurement are known even where its particles have the same names.

    Returns:
        `judged`, `accepted`, `precision` (None if nothing was judged), `interval` [low, high] of
        `confidence`, `kept` (particles that the sample stands for), `run`, `seed` (None if it is
        not known, or not one) and `answers`, the file's name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not for this work folder, or damaged; the message names the line.
    """
    table, run = _kept(work), marks.made(work, "measure")
    kept = set(zip(table["image"], table["label"].astype(str), strict=True))
    verdicts: dict[tuple[str, str], str] = {}
    seeds = set()
    for line, row in _rows(answers):
        where, particle = f"{answers}, line {line}", (row["image"], row["label"])
        if row.get("run", "") not in ("", run):
            raise ValueError(
                f"{where}: the answer is for the measurement {row['run']}, but {work.path} holds "
                f"{run}; judge a new page (semjax audit without --answers)"
            )
        if particle not in kept:
            raise ValueError(
                f"{where}: {work.path} has no measured particle {row['label']!r} in an image "
                f"{row['image']!r}; give the answers for this run, as its page saved them"
            )
        if particle in verdicts:
            raise ValueError(
                f"{where}: particle {row['label']} of {row['image']} stood before; keep one line"
            )
        if row["verdict"] not in ("", *page.VERDICTS):
            raise ValueError(
                f"{where}: unknown verdict {row['verdict']!r}; write {' or '.join(page.VERDICTS)} "
                "(or nothing: not judged)"
            )
        verdicts[particle] = row["verdict"]
        seeds.add(row.get("seed", ""))
    given = [verdict for verdict in verdicts.values() if verdict]
    judged, accepted = len(given), given.count(page.VERDICTS[0])
    seed = seeds.pop() if len(seeds) == 1 else ""
    result = {
        "judged": judged,
        "accepted": accepted,
        "precision": accepted / judged if judged else None,
        "interval": list(wilson(accepted, judged)),
        "confidence": CONFIDENCE,
        "kept": len(table),
        "run": run,
        "seed": int(seed) if seed.isdecimal() else None,
        "answers": Path(answers).name,
    }
    write_json(work.path / "audit" / "audit.json", result)
    return result


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Numbers and cells of a table's lines; spreadsheets may have saved it with semicolons."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no answers {path}; save them on the page (audit/audit.html) and give that file"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        comma = ";" if first.count(";") > first.count(",") else ","
        reader = csv.DictReader(io.StringIO(text), delimiter=comma, restval="", restkey="more")
        reader.fieldnames = columns = [name.strip().lower() for name in reader.fieldnames or ()]
        found = [(reader.line_num, row) for row in reader]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no table of answers ({error}); save them again") from error
    if not {"image", "label", "verdict"} <= set(columns):
        raise ValueError(
            f"{path}, line 1: expected the columns image, label, verdict, but there are "
            f"{', '.join(columns) or 'none'}; put them back, or save the answers again"
        )
    for line, row in found:
        cells = {name: row[name].strip() for name in columns}
        yield line, cells | {"verdict": cells["verdict"].lower()}
