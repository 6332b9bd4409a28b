"""Stage 7: segment, split, classify and measure every real image."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from absl import logging
from ml_collections import ConfigDict

from semjax import inputs, predict
from semjax.analysis import distribution, regions, scores, threshold
from semjax.report import figures
from semjax.workdir import Work, write_json, write_text

SUMMARISED = {
    "min_feret": "minimum Feret diameter",
    "max_feret": "maximum Feret diameter",
    "equivalent_circular_diameter": "equivalent circular diameter",
    "perimeter": "perimeter",
}


def run(config: ConfigDict, work: Work) -> dict:
    """Writes labels, probabilities, overlays, tables, `distribution.json` and histograms."""
    c = config.measure
    segmenter = predict.load(work.segment / "model")
    classifier = predict.load(work.classify / "model")
    for name in ("labels", "probability", "overlays"):
        (work.measure / name).mkdir(exist_ok=True)
    pictures = inputs.micrographs(config, work)
    calibrated = [picture.pixel_size_nm is not None for picture in pictures]
    if any(calibrated) and not all(calibrated):
        missing = [p.name for p, known in zip(pictures, calibrated, strict=True) if not known]
        raise ValueError(
            f"pixel sizes are known for some images but not for {', '.join(missing[:5])}; "
            "give data.pixel_size_nm, or leave those images out (data.exclude)."
        )
    unit = "nm" if all(calibrated) else "px"
    if unit == "px":
        logging.warning("measure: no pixel size in the images' tags; results are in pixels")
    tables, rows = [], []
    for picture in pictures:
        outputs = predict.probabilities(segmenter, picture.image, tile_px=c.tile_px, flips=c.flips)
        labels = scores.drop_specks(predict.split(segmenter, outputs), c.min_area_px)
        table = regions.measure(labels, picture.raw, pixel_size_nm=picture.pixel_size_nm)
        score = predict.classify(classifier, picture.image, labels, tile_px=c.tile_px, table=table)
        table.insert(0, "image", picture.name)
        table["class_score"] = score.round(4)
        table["kept"], table["reason"] = _keep(table, score, classifier.settings["threshold"])
        tables.append(table)
        kept = table["kept"].to_numpy()
        sizes = table[kept][f"min_feret_{unit}"]
        # uint16 where the labels fit.
        small = labels.max(initial=0) < 2**16
        _write_tiff(
            work.measure / "labels" / f"{picture.name}.tif",
            labels.astype(np.uint16 if small else np.int32),
        )
        _write_tiff(
            work.measure / "probability" / f"{picture.name}.tif",
            np.rint(255 * outputs[..., 0]).astype(np.uint8),
        )
        figures.write_png(
            work.measure / "overlays" / f"{picture.name}.png",
            figures.overlay(picture.image, labels, kept),
        )
        rows.append(
            {
                "image": picture.name,
                "pixel_size_nm": picture.pixel_size_nm,
                "pixel_size_from": picture.pixel_size_from,
                "info_bar_px": picture.info_bar_px,
                "particles": len(table),
                "kept": int(kept.sum()),
                "foreground_fraction": round(float((labels > 0).mean()), 5),
                **_doubts(picture.image, labels),
                f"mean_min_feret_{unit}": round(
                    float(np.average(sizes, weights=_weights(config, table[kept]))), 3
                )
                if kept.any()
                else None,
            }
        )
    particles = pd.concat(tables, ignore_index=True)
    write_text(work.measure / "particles.csv", particles.to_csv(index=False))
    images = pd.DataFrame(rows)
    write_text(work.measure / "images.csv", images.to_csv(index=False))
    ghosts = (images["ghost_share"] * images["particles"]).sum() / max(len(particles), 1)
    return {
        **_summarise(config, work, particles, unit, len(pictures)),
        "agreement with a threshold": round(float(images["agreement"].mean()), 4),
        "ghost share": round(float(ghosts), 4),
    }


def _doubts(image: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What can be said of a result without any truth.

    `agreement` is the IoU of the foreground with that of blur and Li's threshold; `ghost_share` the
    share of particles that are not brighter than Li's threshold of the image.
    """
    simple, found = threshold.foreground(image), labels > 0
    either = np.count_nonzero(simple | found)
    shown = threshold.keep_shown(image, labels, threshold="li")
    return {
        "agreement": round(np.count_nonzero(simple & found) / either, 5) if either else 1.0,
        "ghost_share": round(1.0 - float(shown.mean()), 5) if shown.size else 0.0,
    }


def _keep(table: pd.DataFrame, score: np.ndarray, threshold: float):
    """Which particles are measured, and why the others are not."""
    low, border = score < threshold, table["border"].to_numpy()
    reason = np.where(border, "touches the border", np.where(low, "class score", ""))
    return ~(low | border), reason


def _weights(config: ConfigDict, kept: pd.DataFrame) -> np.ndarray | None:
    """How often each measured particle counts; None for once."""
    return kept["border_weight"].to_numpy() if config.measure.border == "weights" else None


def _write_tiff(path: Path, pixels: np.ndarray) -> None:
    partial = path.with_name(path.name + ".part")
    tifffile.imwrite(partial, pixels, compression="zlib")
    os.replace(partial, path)


def _summarise(
    config: ConfigDict, work: Work, particles: pd.DataFrame, unit: str, n_images: int
) -> dict:
    c = config.measure
    kept = particles[particles["kept"]]
    weights = _weights(config, kept)
    summary: dict = {"unit": unit, "border": c.border}
    for quantity, words in SUMMARISED.items():
        column = f"{quantity}_{unit}"
        values = kept[column].to_numpy()
        summary[quantity] = distribution.summarize(
            values, weights, bootstrap=c.bootstrap, seed=config.seed, nano_nm=c.nano_nm
        )
        figures.write_png(
            work.measure / f"histogram_{quantity}.png",
            figures.histogram(values, weights, xlabel=words, unit=unit),
        )
        if unit == "px":  # the limit is in nm
            summary[quantity] |= {"share_below_nano": None, "share_below_nano_interval": None}
    write_json(work.measure / "distribution.json", summary)
    sizes = summary["min_feret"]
    return {
        "images": n_images,
        "particles": len(particles),
        "kept": len(kept),
        f"mean min Feret ({unit})": sizes["mean"],
        f"median min Feret ({unit})": sizes["median"],
    }
