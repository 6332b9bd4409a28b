"""Tables of a measured image after edits by hand."""

from typing import Any

import numpy as np
import pandas as pd

from semjax.analysis import distribution, editing, regions

BORDER = "touches the border"
MEASURANDS = ("min_feret", "max_feret", "equivalent_circular_diameter", "perimeter")
BY_HAND = {True: "kept by hand", False: "dropped by hand"}


def particles(
    rows: pd.DataFrame,
    original: np.ndarray,
    labels: np.ndarray,
    choices: dict[int, bool],
    *,
    image: np.ndarray | None,
    pixel_size_nm: float | None,
) -> pd.DataFrame:
    """Measures what was edited, and leaves the rows of all other particles as they are.

    A particle counts as edited if its pixels differ from those of its number in `original`, so
    that an edit taken back leaves no trace. It has no class score, and is kept unless it touches
    the border.

    Args:
        rows: the image's rows of particles.csv as measured, with the columns of
            `regions.measure`, `image`, `class_score`, `kept` and `reason` (and perhaps more,
            which stay empty for edited particles).
        original: (h, w) labels as measured.
        labels: (h, w) labels after the edits.
        choices: particles kept or dropped by hand, whatever was found.
        image: (h, w) as measured; None if it is not there, then edited particles have no
            `mean_intensity`.
        pixel_size_nm: side of a pixel; None if the rows' lengths are in pixels.

    Returns:
        One row a particle, by number, with the columns of `rows` and `edited`.
    """
    numbers = editing.changed(labels, original)
    untouched = rows["label"].isin(np.unique(labels)) & ~rows["label"].isin(numbers)
    table = rows[untouched].assign(edited=False)
    if numbers.size:
        only = np.where(np.isin(labels, numbers), labels, 0)
        new = regions.measure(only, image, pixel_size_nm=pixel_size_nm)
        new = new.assign(class_score=np.nan, kept=~new["border"], edited=True)
        new["image"] = rows["image"].iloc[0] if len(rows) else ""
        new["reason"] = np.where(new["border"], BORDER, "")
        new = new.reindex(columns=table.columns)
        table = pd.concat([table, new], ignore_index=True) if len(table) else new
    table = table.sort_values("label", ignore_index=True)
    marked = table[["label", "kept", "reason"]].itertuples(index=False)
    decided = [(choices.get(label, kept), label in choices, why) for label, kept, why in marked]
    table["kept"] = np.array([kept for kept, _, _ in decided], bool)
    table["reason"] = [BY_HAND[kept] if by_hand else why for kept, by_hand, why in decided]
    return table


def mean_size(particles: pd.DataFrame, *, unit: str, border: str) -> float:
    """Mean minimum Feret diameter of the kept particles in `unit`; NaN if there are none.

    Args:
        particles: rows of particles.csv.
        unit: "nm" or "px".
        border: "weights" if whole particles stand for those that the border cuts, or "drop".
    """
    kept = particles[particles["kept"]]
    if kept.empty:
        return float("nan")
    weights = kept["border_weight"] if border == "weights" else None
    return float(np.average(kept[f"min_feret_{unit}"], weights=weights))


def summarize(
    particles: pd.DataFrame, *, unit: str, border: str, bootstrap: int, seed: int, nano_nm: float
) -> dict[str, Any]:
    """Summary of the kept particles' sizes, as `distribution.json` of the measure stage.

    Args:
        particles: rows of particles.csv.
        unit: "nm" or "px".
        border: "weights" or "drop", see `mean_size`.
        bootstrap: samples for the intervals.
        seed: of their random numbers.
        nano_nm: see `distribution.summarize`.
    """
    kept = particles[particles["kept"]]
    weights = kept["border_weight"].to_numpy() if border == "weights" else None
    summary: dict[str, Any] = {"unit": unit, "border": border}
    for quantity in MEASURANDS:
        values = kept[f"{quantity}_{unit}"].to_numpy()
        summary[quantity] = distribution.summarize(
            values,
            weights,
            images=kept["image"].to_numpy(str),
            bootstrap=bootstrap,
            seed=seed,
            nano_nm=nano_nm,
        )
        if unit == "px":  # the limit is in nm
            summary[quantity] |= {"share_below_nano": None, "share_below_nano_interval": None}
    return summary
