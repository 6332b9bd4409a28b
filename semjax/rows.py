"""Rows of a table: the workflow again with a few other settings, sharing every stage it can.

Each row has a work folder of its own, `rows/<name>`. Stages that a row has in common with the run
itself or with an earlier row are links to theirs, so nothing is trained twice.
"""

import os
from collections.abc import Sequence

import pandas as pd
from absl import logging
from ml_collections import ConfigDict

from semjax import marks, pipeline, validate, workdir
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
    "Wasserstein": "wasserstein",
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


def settings_of(config: ConfigDict, name: str) -> ConfigDict:
    """The settings of one row: those of the run, with the row's changes.

    Raises:
        ValueError: a change names no setting.
    """
    made = ConfigDict(config.to_dict())
    changes = made.rows[name].to_dict()
    made.rows, made.variant, made.name = ConfigDict(), "", f"{config.name}, {name}"
    for section, values in changes.items():
        for key, value in values.items():
            if section not in made or key not in made[section]:
                raise ValueError(
                    f"config.rows.{name}.{section}.{key} is no setting; see semjax/settings.py"
                )
            made[section][key] = value
    return made


def check(config: ConfigDict) -> None:
    """Refuses rows that cannot work, before the first of them runs.

    Raises:
        ValueError: a row's settings are wrong; the message names the row.
    """
    for name in config.rows:
        problems = validate.check(settings_of(config, name))
        if problems:
            raise ValueError(f"row {name!r}: {validate.describe(problems)}")


def run(config: ConfigDict, work: Work) -> None:
    """Runs all rows and writes `table.csv`, `table.md` and `table.png` into the work folder.

    Args:
        config: settings of the run itself, with its variant, and `rows`.
        work: the work folder of the finished run.
    """
    folders = {OURS: work}
    for name in config.rows:
        row, settings = Work(work.path / "rows" / name), settings_of(config, name)
        row.create()
        link(settings, row, list(folders.values()))
        logging.info("row %s", name)
        pipeline.run(settings, row.path)
        folders[name] = row
    write_table(config, folders)


def link(config: ConfigDict, row: Work, others: Sequence[Work]) -> None:
    """Links what a row would make exactly as another folder has made it.

    Only links are ever replaced; a stage that the row has made itself stays.
    """
    if config.data.source == "phantom" and not row.inputs.is_symlink():
        row.inputs.symlink_to(os.path.relpath(others[0].inputs, row.path))
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
            if done["settings"] == wanted and done["upstream"] == sources:
                folder.symlink_to(os.path.relpath(other.stage(stage).resolve(), row.path))
                break


def write_table(config: ConfigDict, folders: dict[str, Work]) -> None:
    """Collects the rows' scores; test images have lines of their own."""
    lines = []
    base = folders[OURS]
    for name, work in folders.items():
        scores = workdir.read_json(work.score / "scores.json")
        for method, values in scores.items():
            kind, _, subset = method.partition(", test images")
            subset = "test" if method != kind else "all"
            if kind != OURS and work is not base:
                continue  # the threshold and the CycleGAN alone are the same in every row
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
    figures.write_png(base.path / "table.png", figures.distributions(_sizes(config, folders)))
    logging.info("table: %s", base.path / "table.md")


def _chosen(work: Work, method: str) -> dict:
    """Scores of the particles that the classifier keeps, beside the fixed rule."""
    if not (work.score / "kept.csv").exists():
        return {}
    kept = pd.read_csv(work.score / "kept.csv").set_index(["method", "choice"])
    sizes = pd.read_csv(work.score / "sizes.csv")
    sizes = sizes[sizes["quantity"].str.startswith("min_feret")].set_index(["method", "choice"])
    own = "classifier" if (method, "classifier") in kept.index else "fixed rule"
    found = {"kept F1": kept.loc[(method, own), "f1"]}
    found["fixed rule F1"] = kept.loc[(method, "fixed rule"), "f1"]
    truth = method.replace(OURS, "truth's own masks")
    if (truth, "classifier") in kept.index:
        found["kept F1 on truth's masks"] = kept.loc[(truth, "classifier"), "f1"]
    return found | {title: sizes.loc[(method, own), key] for title, key in SIZES.items()}


def _legacy(work: Work, method: str) -> dict:
    if not (work.score / "legacy.csv").exists():
        return {}
    table = pd.read_csv(work.score / "legacy.csv").set_index("method")
    return {title: table.loc[method, key] for title, key in LEGACY.items()}


def _sizes(config: ConfigDict, folders: dict[str, Work]) -> dict[str, pd.Series]:
    """Minimum Feret diameters by row, the truth's first where they are known."""
    found = {}
    true = folders[OURS].score / "true_sizes.csv"
    names = None
    if true.exists():
        table = pd.read_csv(true, dtype={"image": str})
        names = set(table["image"])
        found["truth"] = _min_feret(table)
    for name, work in folders.items():
        table = pd.read_csv(work.measure / "particles.csv", dtype={"image": str})
        scored = table["kept"] & (table["image"].isin(names) if names else True)
        found[name] = _min_feret(table[scored])
    return found


def _min_feret(table: pd.DataFrame) -> pd.Series:
    return table["min_feret_nm" if "min_feret_nm" in table else "min_feret_px"]
