"""Step 8: scores against the truth, where there is one, beside those of a mere threshold.

The truth only measures: nothing in the workflow is chosen by it.
"""

import numpy as np
import pandas as pd
import tifffile
from absl import logging
from ml_collections import ConfigDict

from semjax import inputs
from semjax.analysis import classical, scores
from semjax.workdir import Work, write_json, write_text


def run(config: ConfigDict, work: Work) -> dict:
    """Writes `scores.json` (all images together) and `scores.csv` (image by image)."""
    truths = inputs.truth(config, work)
    pictures = [p for p in inputs.micrographs(config, work) if p.name in truths]
    if not pictures:
        logging.info("score: no truth masks, nothing to score")
        return {"skipped": "no truth masks"}
    least = config.measure.min_area_px
    rows: dict[str, list] = {"semjax": [], "blur, Li, watershed": []}
    gan_labels = work.filter / "gan_labels"
    if gan_labels.is_dir():  # not there when the segmenter learns from given masks
        rows["CycleGAN alone"] = []
    for picture in pictures:
        truth = inputs.read_truth(truths[picture.name], picture.image.shape)
        truth = scores.drop_specks(truth, least)
        found = {
            "semjax": tifffile.imread(work.measure / "labels" / f"{picture.name}.tif"),
            "blur, Li, watershed": classical.classical(picture.image)[0],
        }
        if "CycleGAN alone" in rows:
            found["CycleGAN alone"] = tifffile.imread(gan_labels / f"{picture.name}.tif")
        for name, labels in found.items():
            # Splitting removes no pixel, so the labels' foreground is the one before it.
            labels = scores.drop_specks(labels.astype(np.int32), least)
            rows[name].append(scores.score(labels, truth))
    table = {name: scores.pooled(found) for name, found in rows.items()}
    tested = [i for i, p in enumerate(pictures) if p.name in inputs.tested(config)]
    if tested:
        for name, found in rows.items():
            table[f"{name}, test images"] = scores.pooled([found[i] for i in tested])
    write_json(work.score / "scores.json", table)
    flat = [
        {"image": picture.name, "method": name, **_plain(found[i])}
        for name, found in rows.items()
        for i, picture in enumerate(pictures)
    ]
    write_text(work.score / "scores.csv", pd.DataFrame(flat).to_csv(index=False))
    for name, row in table.items():
        logging.info(
            "score: %-32s image IoU %.3f, F1 at 0.5 %.3f, at 0.75 %.3f, PQ %.3f",
            name,
            row["image_iou"],
            row["f1_50"],
            row["f1_75"],
            row["pq"],
        )
    best = table["semjax"]
    return {"images": len(pictures), **{k: best[k] for k in ("image_iou", "f1_50", "f1_75", "pq")}}


def _plain(row: dict) -> dict:
    """A row's plain numbers, without lists."""
    return {name: value for name, value in row.items() if isinstance(value, int | float)}
