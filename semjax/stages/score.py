"""Step 8: scores against the truth, where there is one, beside those of a mere threshold.

The truth only measures: nothing in the workflow is chosen by it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from absl import logging
from ml_collections import ConfigDict

from semjax import inputs, models, predict, tables, truth
from semjax.analysis import classical, kept, legacy, regions, scores, sizes, split, trust
from semjax.data.images import Micrograph
from semjax.workdir import Work, write_json, write_text

OURS, GAN, CLASSICAL, TRUTH = "semjax", "CycleGAN alone", "blur, Li, watershed", "truth's own masks"
# Per image: numbers that need no truth, and the scores that they are held against.
DOUBTS, TRACKED = ["agreement", "ghost_share"], ["image_iou", "f1_50", "precision_50", "recall_50"]
QUANTITIES = ("min_feret", "max_feret", "equivalent_circular_diameter", "perimeter", "area")


def run(config: ConfigDict, work: Work) -> dict:
    """Writes `scores.json` and `scores.csv`; `kept` and `sizes` where there are classes.

    `scores.json` holds all images together, `scores.csv` each image. `kept.csv` says how well
    measurable particles are told from others, `sizes.csv` how far their sizes are off,
    `true_sizes.csv` and `beside_sizes.csv` what these are for the truth and for the methods beside
    ours with the fixed rule; `trust.csv` how well numbers that need no truth follow the scores;
    `legacy.csv` are the paper's scores, if `score.legacy` asks for them.
    """
    pictures = inputs.micrographs(config, work)
    truths = truth.read(config, work, pictures)
    pictures = [picture for picture in pictures if picture.name in truths]
    if not pictures:
        logging.info("score: no truth masks, nothing to score")
        return {"skipped": "no truth masks"}
    methods = [OURS]
    if config.score.beside:
        # There are no CycleGAN's masks where a segmenter is trained on given ones alone.
        methods += [CLASSICAL, *([GAN] if (work.filter / "gan_labels").is_dir() else [])]
    found = {name: [] for name in methods}
    for picture in pictures:
        for name in methods:
            labels = _labels(name, picture, work)
            # Their foreground is that before splitting but for pieces below the least area.
            found[name].append(scores.score(labels, truths[picture.name].labels))
    table = _pool(found, pictures, inputs.tested(config), scores.pooled)
    write_json(work.score / "scores.json", table)
    rows = [
        {"image": picture.name, "method": name, **_plain(found[name][i])}
        for name in methods
        for i, picture in enumerate(pictures)
    ]
    each = pd.DataFrame(rows)
    write_text(work.score / "scores.csv", each.to_csv(index=False))
    known = tables.read_table(work.measure / "images.csv", "image", *DOUBTS).set_index("image")
    ours = each[each["method"] == OURS].set_index("image")
    tracked = trust.track(known[DOUBTS], ours[TRACKED])
    write_text(work.score / "trust.csv", tracked.to_csv(index=False, float_format="%.4g"))
    if config.score.legacy:
        _score_legacy(config, work, pictures, truths, methods)
    judged = [picture for picture in pictures if truths[picture.name].verdict is not None]
    if not any((truths[picture.name].verdict == kept.GOOD).any() for picture in judged):
        if judged:
            logging.warning("score: no class mask calls a particle good; the choice is not scored")
    else:
        _score_kept(config, work, judged, truths, methods)
    if 0 < len(judged) < len(pictures):
        without = [p.name for p in pictures if truths[p.name].verdict is None]
        logging.warning("score: no classes for %s; kept particles are not scored there", without)
    for name, row in table.items():
        logging.info(
            "score: %-32s image IoU %.3f, F1 at 0.5 %.3f, at 0.75 %.3f, PQ %.3f",
            name,
            row["image_iou"],
            row["f1_50"],
            row["f1_75"],
            row["pq"],
        )
    best = table[OURS]
    models.add_truth(work.model, table)
    return {"images": len(pictures), **{k: best[k] for k in ("image_iou", "f1_50", "f1_75", "pq")}}


def _labels(method: str, picture: Micrograph, work: Work) -> np.ndarray:
    """What a method found in an image, without specks."""
    if method == CLASSICAL:
        labels = classical.classical(picture.image)[0]
    else:
        folder = work.measure / "labels" if method == OURS else work.filter / "gan_labels"
        labels = tifffile.imread(folder / f"{picture.name}.tif").astype(np.int32)
    return scores.drop_specks(labels)


def _pool(found: dict[str, list], pictures: list, tested: set[str], pooled) -> dict[str, Any]:
    """Each method's images together, and those of its test images."""
    table = {name: pooled(rows) for name, rows in found.items()}
    chosen = [i for i, picture in enumerate(pictures) if picture.name in tested]
    if chosen:
        for name, rows in found.items():
            table[f"{name}, test images"] = pooled([rows[i] for i in chosen])
    return table


def _score_legacy(
    config: ConfigDict, work: Work, pictures: list, truths: dict, methods: list[str]
) -> None:
    """The paper's scores. Its row of the CycleGAN had ghosts removed first; here none are."""
    folders = {OURS: work.measure / "probability", GAN: work.translate / "gan_masks"}
    found = {name: [] for name in methods}
    for picture in pictures:
        mask = split.draw_lines(truths[picture.name].every)
        for name in methods:
            if name == CLASSICAL:
                probability = classical.classical(picture.image)[1].astype(np.float32)
            else:
                stored = tifffile.imread(folders[name] / f"{picture.name}.tif")
                probability = stored.astype(np.float32) / 255
            found[name].append(legacy.score(probability, mask))
    table = _pool(found, pictures, inputs.tested(config), legacy.best)
    _write_rows(work.score / "legacy.csv", [{"method": n, **row} for n, row in table.items()])


def _score_kept(
    config: ConfigDict, work: Work, pictures: list, truths: dict, methods: list[str]
) -> None:
    """Every method's labels, and the truth's own, through each way of choosing particles."""
    classifier = predict.load(work.classify / "model", channels=2)
    names = [picture.name for picture in pictures]
    subsets = {"": names, ", test images": [n for n in names if n in inputs.tested(config)]}
    counts, measured = {}, {}
    true = {name: truths[name].sizes.assign(image=name) for name in names}
    for method in (*methods, TRUTH):
        for picture in pictures:
            known = truths[picture.name]
            labels = known.labels
            if method != TRUTH:
                labels = _labels(method, picture, work)
            table = regions.measure(labels, pixel_size_nm=picture.pixel_size_nm)
            inside = ~(table["border"] | _beyond(labels, known.active)[table["label"]]).to_numpy()
            choices = {"everything": inside, "fixed rule": inside & kept.fixed_rule(table)}
            if method in (OURS, TRUTH):
                score = predict.classify(
                    classifier, picture.image, labels, tile_px=config.measure.tile_px, table=table
                )
                choices["classifier"] = inside & (score >= classifier.settings["threshold"])
                # What is off with this choice is off by segmentation and contour alone.
                verdict = kept.judge(labels, known.labels, known.verdict)
                choices["truth's verdicts"] = inside & (verdict == kept.GOOD)
            for choice, keep in choices.items():
                key = method, choice, picture.name
                counts[key] = kept.count(labels, keep, known.labels, known.verdict)
                measured[key] = table[keep].assign(image=picture.name)
    kept_rows, size_rows = [], []
    for method, choice in dict.fromkeys(key[:2] for key in counts):
        for subset, chosen in subsets.items():
            if not chosen:
                continue
            what = {"method": method + subset, "choice": choice}
            together = kept.pooled([counts[method, choice, name] for name in chosen])
            kept_rows.append(what | together)
            here = pd.concat([measured[method, choice, name] for name in chosen])
            there = pd.concat([true[name] for name in chosen])
            size_rows += [what | row for row in _compare(config, here, there)]
    _write_rows(work.score / "kept.csv", kept_rows)
    text = pd.concat(true.values()).to_csv(index=False, float_format="%.6g")
    write_text(work.score / "true_sizes.csv", text)
    beside = [
        table.assign(method=method)
        for (method, choice, _), table in measured.items()
        if method not in (OURS, TRUTH) and choice == "fixed rule"
    ]
    if beside:
        made = pd.concat(beside).to_csv(index=False, float_format="%.6g")
        write_text(work.score / "beside_sizes.csv", made)
    _write_rows(work.score / "sizes.csv", size_rows)


def _beyond(labels: np.ndarray, active: tuple[int, int]) -> np.ndarray:
    """Whether each label, 0 first, reaches out of the rows and columns that have classes."""
    out = np.zeros(int(labels.max(initial=0)) + 1, bool)
    out[labels[active[0] :].ravel()] = True
    out[labels[:, active[1] :].ravel()] = True
    return out


def _compare(config: ConfigDict, found: pd.DataFrame, true: pd.DataFrame) -> list[dict]:
    """One row a quantity that both tables have."""
    rows = []
    for quantity in QUANTITIES:
        units = ("nm2", "px") if quantity == "area" else ("nm", "px")
        columns = [f"{quantity}_{unit}" for unit in units]
        column = next((c for c in columns if c in found and c in true), None)
        if column is None:
            continue
        compared = sizes.compare(
            found[column].to_numpy(),
            true[column].to_numpy(),
            images=(found["image"].to_numpy(), true["image"].to_numpy()),
            bootstrap=config.measure.bootstrap,
            seed=config.seed,
        )
        row: dict[str, Any] = {"quantity": column}
        for key, value in compared.items():
            if key.endswith("_interval"):
                low, high = value or (None, None)
                row |= {key.replace("interval", "low"): low, key.replace("interval", "high"): high}
            else:
                row[key] = value
        rows.append(row)
    return rows


def _write_rows(path: Path, rows: list[dict]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def _plain(row: dict) -> dict:
    """A row's plain numbers, without lists."""
    return {name: value for name, value in row.items() if isinstance(value, int | float)}
