"""One sample in numbers, as `semjax.analysis.summary` gives them of its tables and label images."""

from pathlib import Path

import numpy as np
import pandas as pd

from semjax.analysis import agglomerates, summary, uncertainty
from semjax.data import images
from semjax.report import cells, measured

# How far the segmenter's threshold might as well have been higher or lower.
STEP = 0.15


def describe(sample: measured.Measured) -> cells.Sample:
    """Everything that the fixed sections say.

    Groups of touching particles come from the label images. How far the mean size depends on the
    segmenter's threshold comes from its probabilities, where they and the threshold are known.

    Raises:
        ValueError: a label image or a probability image cannot be read.
    """
    nm = sample.facts["unit"] == "nm"
    threshold = sample.facts["settings"].get("thresholds", {}).get("segmenter")
    thresholds = [] if threshold is None else [threshold - STEP, threshold, threshold + STEP]
    particles = sample.edited
    groups, moved, counts = [], [], []
    pixel_sizes = sample.images.get("pixel_size_nm", pd.Series(dtype=float))
    for name, pixel_size in zip(sample.images["image"], pixel_sizes, strict=False):
        labels = read_labels(sample.folder, name)
        if labels is None:
            continue
        groups.append(agglomerates.groups(labels, pixel_size_nm=pixel_size if nm else None))
        probability = _read(sample.folder / "probability" / f"{name}.tif")
        kept = particles[(particles["image"] == name) & particles["kept"]]
        if thresholds and probability is not None and probability.shape == labels.shape:
            sizes = uncertainty.at_thresholds(
                labels, probability, kept["label"].to_numpy(), thresholds=thresholds
            )
            moved.append(sizes * (pixel_size if nm else 1.0))
            weights = sample.facts["border"] == "weights"
            counts.append(kept["border_weight"] if weights else np.ones(len(kept)))
    sensitivity = None
    if len(moved) == len(sample.images):  # of all images or none
        sensitivity = uncertainty.sensitivity(
            np.concatenate(moved), np.concatenate(counts), thresholds=thresholds
        )
    found = summary.describe(
        particles if "reason" in particles else particles.assign(reason=""),
        sample.images,
        unit=sample.facts["unit"],
        **{key: sample.facts[key] for key in ("border", "nano_nm", "bootstrap", "seed")},
        calibration_uncertainty=sample.facts["calibration_uncertainty"],
        agglomerates=pd.concat(groups) if groups else None,
        sensitivity=sensitivity if sensitivity is not None and len(sensitivity) else None,
    )
    return cells.Sample(sample, found)


def read_labels(folder: Path, name: str) -> np.ndarray | None:
    """The label image of one micrograph, int32 (h, w); None if there is none.

    Raises:
        ValueError: it is no label image.
    """
    path = folder / "labels" / f"{name}.tif"
    return images.read_labels(path) if path.is_file() else None


def _read(path: Path) -> np.ndarray | None:
    return images.read_image(path) if path.is_file() else None
