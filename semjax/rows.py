"""Rows of a table: the workflow again with a few other settings, sharing every stage it can.

Each row has a work folder of its own, `rows/<name>`. Stages that a row has in common with the run
itself or with an earlier row are links to theirs, so nothing is trained twice.
"""

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
from absl import logging
from ml_collections import ConfigDict

from semjax import marks, pipeline, processes, validate, variants, workdir
from semjax.report import figures, markup
from semjax.workdir import Work

# Columns of table.csv: file and key of each score, by its name in the table.
SCORES = {
    "image IoU": "image_iou",
    "Youden": "youden",
    "F1 at 0.5": "f1_50",
    "F1 at 0.75": "f1_75",
    "mean AP": "mean_ap",
    "PQ": "pq",
}
SIZES = {
    "mean min Feret error": "mean_error",
    "median min Feret error": "median_error",
    "D10 error": "d10_error",
    "D90 error": "d90_error",
    "log GSD error": "log_gsd_error",
    "Wasserstein": "wasserstein",
    "Kolmogorov-Smirnov": "kolmogorov_smirnov",
}
LEGACY = {
    "legacy image IoU": "image_iou",
    "legacy instance IoU": "instance_iou",
    "legacy Youden": "youden",
    "pixel error": "pixel_error",
    "warping error": "warping_error",
    "Rand error": "rand_error",
    "Rand error, thinned": "rand_error_thinned",
    "information error": "information_error",
}
OURS = "semjax"
ORACLE = "truth's verdicts"  # the choice of particles that only the truth can make
REPEAT = "repeat_"


def rows_of(config: ConfigDict) -> dict[str, ConfigDict]:
    """Changes of every row by name: those of the config, then `config.repeats` new trainings.

    Raises:
        ValueError: a row of the config has the name of one of these trainings.
    """
    again = {
        f"{REPEAT}{i}": ConfigDict(
            {"segment": {"repeat": i}, "classify": {"repeat": i}, "score": {"beside": False}}
        )
        for i in range(1, config.repeats + 1)
    }
    if taken := sorted(set(again) & set(config.rows)):
        raise ValueError(
            f"config.rows has a row {taken[0]!r}, the name of a training of config.repeats; "
            "give the row another name"
        )
    return dict(config.rows) | again


def settings_of(config: ConfigDict, name: str) -> ConfigDict:
    """The settings of one row: those of the run, with the row's changes.

    Raises:
        ValueError: a change names no setting.
    """
    made = ConfigDict(config.to_dict())
    changes = rows_of(made)[name]
    made.rows, made.repeats, made.variant, made.name = ConfigDict(), 0, "", f"{config.name}, {name}"
    if name == OURS or not re.fullmatch("[A-Za-z0-9_-]+", name):
        raise ValueError(
            f"config.rows has a row {name!r}; expected letters, digits, - and _, and not {OURS!r}"
        )
    variants.change(made, changes, f"config.rows.{name}")
    return made


def check(config: ConfigDict) -> None:
    """Refuses rows that cannot work, before the first of them runs.

    Raises:
        ValueError: a row's settings are wrong; the message names the row.
    """
    for name in rows_of(config):
        problems = validate.check(settings_of(config, name))
        if problems:
            raise ValueError(f"row {name!r}: {validate.describe(problems)}")


def run(config: ConfigDict, work: Work, *, redo: Sequence[str] = ()) -> None:
    """Runs all rows and writes `table.csv`, `table.md` and `table.png` into the work folder.

    With repeats, `spread.csv` says how far their results differ.

    Args:
        config: settings of the run itself, with its variant, and `rows`.
        work: the work folder of the finished run.
        redo: stages that were made again in it. Of these, `score` is made again in the rows as
            well, so that all of the table is held against one truth; a row's own trainings are not.
    """
    again = [stage for stage in redo if stage == "score"]
    folders = {OURS: work}
    # Nothing that rows share is made again meanwhile.
    with work.lock() if processes.leads() else nullcontext():
        for name in rows_of(config):
            row, settings = Work(work.path / "rows" / name), settings_of(config, name)
            if processes.leads():
                row.create()
                link(settings, row, list(folders.values()))
            processes.meet(f"row {name}")
            logging.info("row %s", name)
            try:
                pipeline.run(settings, row.path, redo=again)
            except ValueError as error:
                raise ValueError(
                    f"row {name!r}: {error}\nTo have the row made anew, delete {row.path}."
                ) from error
            folders[name] = row
        if not processes.leads():
            return
        if config.repeats:
            again = {k: v for k, v in folders.items() if k == OURS or k.startswith(REPEAT)}
            write_spread(again)
        if (work.score / "scores.json").exists():
            write_table(folders)
        else:
            logging.info("no truth masks, so there is no table of scores")


def link(config: ConfigDict, row: Work, others: Sequence[Work]) -> None:
    """Links what a row would make exactly as another folder has made it.

    Only links are ever replaced; a stage that the row has made itself stays.
    """
    if config.data.source == "phantom":
        if row.inputs.is_symlink():
            row.inputs.unlink()
        same = marks.phantom(config) == marks.drawn(others[0])
        if same and not row.inputs.exists():
            _link(row.inputs, others[0].inputs)
    for stage in marks.needed(config):
        folder = row.stage(stage)
        if folder.is_symlink():
            folder.unlink()
        if folder.exists():
            continue
        wanted = marks.settings(config, stage)
        sources = {s: marks.made(row, s) for s in marks.sources(config, stage)}
        for other in others:
            mark = other.stage(stage) / "done.json"
            if not mark.exists():
                continue
            done = workdir.read_json(mark)
            if done["upstream"] == sources and not marks.changed(done["settings"], wanted):
                _link(folder, other.stage(stage))
                break


def _link(link: Path, target: Path) -> None:
    """A relative link, so that a work folder can be moved as a whole."""
    link.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()))


def write_table(folders: dict[str, Work]) -> None:
    """Collects the rows' scores; test images have lines of their own."""
    lines = []
    base = folders[OURS]
    for name, work in folders.items():
        scores = workdir.read_json(work.score / "scores.json")
        for method, values in scores.items():
            kind, _, subset = method.partition(", test images")
            subset = "test" if method != kind else "all"
            if kind != OURS and work is not base:
                continue  # the threshold is the same in every row; the CycleGAN is the run's
            line = {"row": name if kind == OURS else kind, "images": subset}
            line |= {title: values[key] for title, key in SCORES.items()}
            line |= _chosen(work, method)
            line |= _legacy(work, method)
            lines.append(line)
    table = pd.DataFrame(lines).sort_values("images", kind="stable")
    workdir.write_text(base.path / "table.csv", table.to_csv(index=False, float_format="%.6g"))
    head = [str(column) for column in table.columns]
    rows = [[markup.format_value(value) for value in row] for row in table.itertuples(index=False)]
    text = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    workdir.write_text(base.path / "table.md", "\n".join(f"| {line} |" for line in text) + "\n")
    sizes, unit = _sizes(folders)
    figures.write_png(base.path / "table.png", figures.distributions(sizes, unit=unit))
    logging.info("table: %s", base.path / "table.md")


def write_spread(folders: dict[str, Work]) -> None:
    """Writes what each training found; the last two lines are the mean and standard deviation."""
    lines = []
    for work in folders.values():
        images = pd.read_csv(work.measure / "images.csv")
        summary = workdir.read_json(work.measure / "distribution.json")
        sizes, unit = summary["min_feret"], summary["unit"]
        lines.append(
            {
                "particles": images["particles"].sum(),
                "kept": sizes["n"],
                f"mean_min_feret_{unit}": sizes["mean"],
                f"median_min_feret_{unit}": sizes["median"],
                "agreement": images["agreement"].mean(),
                "ghost_share": images["ghost_share"].mean(),
            }
        )
    table = pd.DataFrame(lines, index=pd.Index(list(folders), name="training"))
    spread = pd.concat([table, table.agg(["mean", "std"])])
    spread.index.name = "training"
    path = folders[OURS].path / "spread.csv"
    workdir.write_text(path, spread.to_csv(float_format="%.6g"))
    for name in table.columns[1:4]:
        relative = table[name].std() / table[name].mean()
        logging.info("%s spreads by %.1f %% over %d trainings", name, 100 * relative, len(table))


def _chosen(work: Work, method: str) -> dict:
    """Scores of the particles that the classifier keeps, beside the fixed rule."""
    if not (work.score / "kept.csv").exists():
        return {}
    kept = pd.read_csv(work.score / "kept.csv").set_index(["method", "choice"])
    sizes = pd.read_csv(work.score / "sizes.csv")
    sizes = sizes[sizes["quantity"].str.startswith("min_feret")].set_index(["method", "choice"])
    if (method, "fixed rule") not in kept.index:
        return {}  # no class masks of the test images
    own = "classifier" if (method, "classifier") in kept.index else "fixed rule"
    found = {"kept F1": kept.loc[(method, own), "f1"]}
    found["fixed rule F1"] = kept.loc[(method, "fixed rule"), "f1"]
    truth = method.replace(OURS, "truth's own masks")
    if (truth, "classifier") in kept.index:
        found["kept F1 on truth's masks"] = kept.loc[(truth, "classifier"), "f1"]
    found |= {title: sizes.loc[(method, own), key] for title, key in SIZES.items()}
    if (method, ORACLE) in kept.index:
        found[f"kept F1, {ORACLE}"] = kept.loc[(method, ORACLE), "f1"]
        error = sizes.loc[(method, ORACLE), SIZES["mean min Feret error"]]
        found[f"mean min Feret error, {ORACLE}"] = error
    return found


def _legacy(work: Work, method: str) -> dict:
    if not (work.score / "legacy.csv").exists():
        return {}
    table = pd.read_csv(work.score / "legacy.csv").set_index("method")
    return {title: table.loc[method, key] for title, key in LEGACY.items()}


def _sizes(folders: dict[str, Work]) -> tuple[dict[str, pd.Series], str]:
    """Minimum Feret diameters and their unit: the truth's, where known, the rows', the others'."""
    tables = {
        name: pd.read_csv(work.measure / "particles.csv", dtype={"image": str})
        for name, work in folders.items()
    }
    unit = "nm" if "min_feret_nm" in tables[OURS] else "px"
    found = {}
    # Of a table without rows, pandas cannot know that a column is one of truth values.
    chosen = {name: table[table["kept"].astype(bool)] for name, table in tables.items()}
    true = folders[OURS].score / "true_sizes.csv"
    if true.exists():
        known = pd.read_csv(true, dtype={"image": str})
        found["truth"] = known[f"min_feret_{unit}"]
        judged = set(known["image"])
        chosen = {name: table[table["image"].isin(judged)] for name, table in chosen.items()}
    found |= {name: table[f"min_feret_{unit}"] for name, table in chosen.items()}
    beside = folders[OURS].score / "beside_sizes.csv"
    if beside.exists():
        for method, table in pd.read_csv(beside).groupby("method", sort=False):
            found[f"{method}, fixed rule"] = table[f"min_feret_{unit}"]
    return found, unit
