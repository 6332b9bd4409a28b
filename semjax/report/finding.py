"""Figures of what was found and measured: segmentation, splitting, choice, sizes, statistics.

Each function takes a work folder and returns a PNG file's bytes or a table. What its stage has not
made yet is a FileNotFoundError whose message is a sentence for the reader.
"""

import math

import numpy as np
import pandas as pd
import tifffile
from matplotlib.colors import LinearSegmentedColormap
from scipy import stats

from semjax import predict
from semjax.analysis import classical
from semjax.data import images
from semjax.report import figures, making, panels
from semjax.workdir import Work, read_json

VIEW_PX = 176  # side of a window on an image
N_PARTICLES = 14
STATISTICS = ("n", "mean", "median", "sd", "d10", "d50", "d90", "geometric_mean", "geometric_sd")
SCORES = LinearSegmentedColormap.from_list("scores", [panels.RED, "#d9c37a", panels.GREEN])


def particles(work: Work) -> pd.DataFrame:
    """The table of all particles.

    Raises:
        FileNotFoundError: nothing has been measured yet, or no particle was found.
    """
    path = panels.need(work, work.measure / "particles.csv")
    table = pd.read_csv(path, dtype={"image": str, "reason": str})
    if table.empty:
        raise FileNotFoundError("Nothing to show: not a single particle was found.")
    return table.astype({"kept": bool, "border": bool})


def segmentation_over_training(work: Work) -> bytes:
    """Real images as the growing segmenter saw them: particles found, and its probability."""
    found = panels.samples(work, "segment", most=4, like="*_real.png")
    tile_px = tuple(2 * side for side in making.settings_of(work).masks.tile_px)
    rows = [panels.cut_sheet(path, tile_px)[0][:6] for _, path in found]
    return panels.strip(rows, [name for name, _ in found], side=1.6)


def outputs(work: Work) -> bytes:
    """A window on the densest image: every output of the segmenter, and what becomes of them."""
    image, labels, view = _window(work)
    model = predict.load(panels.need(work, work.segment / "model"))
    tile_px = tuple(making.settings_of(work).measure.tile_px)
    made = predict.probabilities(model, image, tile_px=tile_px, flips=False)[view]
    names = ("particle", "interior", "distance to the border")[: made.shape[-1]]
    figure, axes = panels.start(3 + len(names), columns=3, height=3.4)
    panels.picture(axes[0], image[view], "image")
    for place, channel, name in zip(axes[1:], np.moveaxis(made, -1, 0), names, strict=False):
        place.imshow(channel, cmap="magma", vmin=0, vmax=1)
        place.set(xticks=[], yticks=[])
        place.set_title(name, loc="left", fontsize=9, color=panels.INK)
    panels.picture(axes[-2], figures.color_labels(labels[view]), "particles")
    panels.picture(axes[-1], figures.overlay(image[view], labels[view]), "on the image")
    return panels.png(figure)


def thresholds(work: Work) -> bytes:
    """By threshold: scores on held-out pairs, and where edges come to lie on real images."""
    found = read_json(panels.need(work, work.segment / "threshold.json"))
    tried = pd.DataFrame(found["tried"])
    figure, (left, right) = panels.start(2, columns=2, height=3.2, width=9)
    for column, name, color in (
        ("image_iou", "foreground IoU", panels.GIVEN),
        ("pq", "panoptic quality", panels.TRUE),
    ):
        left.plot(tried["threshold"], tried[column], "o-", ms=4, color=color, label=name)
    left.legend(frameon=False, fontsize=8, labelcolor=panels.INK)
    offset = tried["edge_offset_px"].astype(float)
    right.plot(tried["threshold"], offset, "o-", ms=4, color=panels.OURS)
    right.axhline(0, color=panels.QUIET, lw=1)
    for axes in (left, right):
        axes.axvline(found["threshold"], color=panels.QUIET, ls="--", lw=1)
    panels.diagram(left, "threshold", "score on held-out pairs", "Learnt")
    chosen = f"Chosen: {found['threshold']:g}"
    panels.diagram(right, "threshold", "edges outside half height, px", chosen)
    return panels.png(figure)


def splitting(work: Work) -> bytes:
    """One window: plain threshold, its watershed, and ours, with the truth where there is one."""
    image, labels, view = _window(work)
    shed, mask = classical.classical(image)
    shown = [
        ("image", image[view]),
        ("blur and Li: foreground", mask[view] * np.uint8(255)),
        (f"watershed: {_count(shed[view])}", figures.color_labels(shed[view])),
        (f"semjax: {_count(labels[view])}", figures.color_labels(labels[view])),
    ]
    truth = work.inputs / "truth" / f"{_densest(work)}.tif"
    if truth.is_file():
        true = tifffile.imread(truth)[: image.shape[0]][view]
        shown.append((f"truth: {_count(true)}", figures.color_labels(true)))
    figure, axes = panels.start(len(shown), columns=len(shown), height=2.4)
    for place, (name, pixels) in zip(axes, shown, strict=True):
        panels.picture(place, pixels, name)
    return panels.png(figure)


def kept_and_left_out(work: Work) -> bytes:
    """Particles by class score, from the surest down: measured ones green, others orange-red."""
    table = particles(work)
    whole = table[~table["border"]].sort_values("class_score", ascending=False)
    if whole.empty:
        raise FileNotFoundError("Nothing to show: the border cuts every particle.")
    whole = whole.iloc[np.unique(np.linspace(0, len(whole) - 1, N_PARTICLES).round().astype(int))]
    pictures = {picture.name: picture.image for picture in making.micrographs(work)}
    figure, axes = panels.start(len(whole), columns=7, height=1.7)
    for place, row in zip(axes, whole.itertuples(), strict=True):
        labels = tifffile.imread(work.measure / "labels" / f"{row.image}.tif")
        view = making.around(labels == row.label, 72)
        alone = (labels[view] == row.label).astype(np.int32)
        drawn = figures.overlay(pictures[row.image][view], alone, np.array([row.kept]))
        panels.picture(place, drawn, f"score {row.class_score:.2f}")
    return panels.png(figure)


def overlays(work: Work, *, n: int = 2) -> bytes:
    """The densest images with all outlines: measured ones green, those left out orange-red."""
    table = particles(work)
    names = table["image"].value_counts().index[:n]
    found = {picture.name: picture for picture in making.micrographs(work)}
    figure, axes = panels.start(len(names), columns=n, height=5.0)
    for place, name in zip(axes, names, strict=True):
        labels = tifffile.imread(work.measure / "labels" / f"{name}.tif").astype(np.int32)
        mine = table[table["image"] == name].sort_values("label")
        kept = mine["kept"].to_numpy(bool)
        title = f"{name}: {kept.sum()} of {len(kept)} measured"
        panels.picture(place, figures.overlay(found[name].image, labels, kept), title)
        panels.scale_bar(place, labels.shape, found[name].pixel_size_nm)
    return panels.png(figure)


def reasons(work: Work) -> pd.DataFrame:
    """How many particles were measured or left out, and why."""
    why = particles(work)["reason"].fillna("").replace("", "measured")
    return why.value_counts().rename_axis("").to_frame("particles")


def scores(work: Work) -> pd.DataFrame:
    """Scores against the truth, a column a method."""
    found = read_json(panels.need(work, work.score / "scores.json"))
    return pd.DataFrame(found).loc[["image_iou", "f1_50", "f1_75", "pq"]].round(3)


def histogram(work: Work) -> bytes:
    """Minimum Feret diameters with their log-normal fit."""
    values, unit = sizes(work)
    table = particles(work)
    weights = None
    if making.settings_of(work).measure.border == "weights":
        weights = table[table["kept"]]["border_weight"].to_numpy()
    return figures.histogram(values, weights, xlabel="minimum Feret diameter", unit=unit)


def statistics(work: Work) -> pd.DataFrame:
    """Statistics of all quantities, with 95 % intervals for the minimum Feret diameter."""
    found = read_json(panels.need(work, work.measure / "distribution.json"))
    quantities = {key: value for key, value in found.items() if isinstance(value, dict)}
    table = pd.DataFrame(
        {
            key.replace("_", " "): {name: value.get(name) for name in STATISTICS}
            for key, value in quantities.items()
        }
    )
    ends = {name: quantities["min_feret"].get(f"{name}_interval") for name in STATISTICS}
    table.insert(
        1,
        "95 % interval",
        [f"{e[0]:.1f} to {e[1]:.1f}" if e else "" for e in map(ends.get, STATISTICS)],
    )
    return table.round(2)


def cumulative(work: Work) -> bytes:
    """Cumulative distribution of all images, of each alone, and of the truth if there is one."""
    values, unit = sizes(work)
    table = particles(work)
    table = table[table["kept"]]
    figure, (left, right) = panels.start(2, columns=2, height=3.6)
    for _, mine in table.groupby("image"):
        _steps(left, mine[f"min_feret_{unit}"].to_numpy(), color=panels.GIVEN, lw=0.8)
    _steps(left, values, color=panels.OURS, lw=2, label=f"measured ({len(values)})")
    truth = work.inputs / "truth.csv"
    if truth.is_file():
        true = pd.read_csv(truth)
        true = true[~true["touches_border"].astype(bool)][f"min_feret_{unit}"].to_numpy()
        _steps(
            left,
            true,
            color=panels.TRUE,
            lw=1.6,
            ls="--",
            label=f"truth ({len(true)}, covered ones too)",
        )
    left.set_xlim(0, np.percentile(values, 99.5) * 1.1)
    label = f"minimum Feret diameter ({unit})"
    panels.diagram(left, label, "share of smaller particles", "Thin lines: image by image")
    left.legend(frameon=False, fontsize=8, loc="lower right")
    logs = np.log(np.sort(values))
    normal = stats.norm.ppf((np.arange(len(logs)) + 0.5) / len(logs))
    right.plot(np.exp(logs.mean() + logs.std() * normal), np.exp(logs), ".", color=panels.OURS)
    ends = [np.exp(logs[0]), np.exp(logs[-1])]
    right.plot(ends, ends, color=panels.QUIET, lw=1)
    panels.diagram(right, f"log-normal ({unit})", f"measured ({unit})", "Q-Q plot")
    return panels.png(figure)


def how_many(work: Work) -> bytes:
    """How well the mean is known by the number of particles: half its 95 % interval, in percent."""
    values, _ = sizes(work)
    spread = values.std() / values.mean()
    n = np.geomspace(10, max(2000, 4 * len(values)), 100)
    figure, (axes,) = panels.start(1, columns=1, height=3.0, width=7)
    axes.plot(n, 196 * spread / np.sqrt(n), color=panels.TRUE)
    now = 196 * spread / math.sqrt(len(values))
    axes.plot([len(values)], [now], "o", color=panels.OURS)
    note = f" here: {len(values)} particles, ± {now:.1f} %"
    axes.annotate(note, (len(values), now), textcoords="offset points", xytext=(4, 6), fontsize=9)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    panels.diagram(axes, "particles measured", "± % of the mean", "Counting alone")
    return panels.png(figure)


def shapes(work: Work) -> bytes:
    """Size and shape of every whole particle, coloured by class score."""
    _, unit = sizes(work)
    table = particles(work)
    table = table[~table["border"]]
    figure, axes = panels.start(2, columns=2, height=3.6)
    style = {"cmap": SCORES, "vmin": 0, "vmax": 1, "s": 14, "alpha": 0.8, "linewidths": 0}
    lengths = table[f"min_feret_{unit}"]
    for place, column in zip(axes, ("aspect_ratio", "solidity"), strict=True):
        place.scatter(lengths, table[column], c=table["class_score"], **style)
        panels.diagram(place, f"minimum Feret diameter ({unit})", column.replace("_", " "))
    figure.colorbar(axes[0].collections[0], ax=axes, label="class score", shrink=0.8)
    return panels.png(figure)


def by_image(work: Work) -> pd.DataFrame:
    """One row an image: particles, doubts, mean size."""
    path = panels.need(work, work.measure / "images.csv")
    table = pd.read_csv(path, dtype={"image": str})
    return table.drop(columns=["pixel_size_nm", "pixel_size_from", "info_bar_px"]).round(3)


def sizes(work: Work) -> tuple[np.ndarray, str]:
    """Minimum Feret diameters of the measured particles, and their unit.

    Raises:
        FileNotFoundError: there are none.
    """
    table = particles(work)
    unit = "nm" if "min_feret_nm" in table else "px"
    values = table[table["kept"]][f"min_feret_{unit}"].to_numpy()
    if len(values) < 2:
        raise FileNotFoundError(f"Nothing to show: {len(values)} particles were measured.")
    return values, unit


def _steps(axes, values: np.ndarray, **style) -> None:
    if len(values):
        axes.ecdf(values, **style)


def _count(labels: np.ndarray) -> str:
    n = len(np.unique(labels[labels > 0]))
    return f"{n} particle" if n == 1 else f"{n} particles"


def _densest(work: Work) -> str:
    return str(particles(work)["image"].value_counts().index[0])


def _window(work: Work) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """The image with most particles, its labels, and the window that shows most of them."""
    name = _densest(work)
    found: images.Micrograph = next(p for p in making.micrographs(work) if p.name == name)
    labels = tifffile.imread(work.measure / "labels" / f"{name}.tif").astype(np.int32)
    table = particles(work)
    middles = table.loc[table["image"] == name, ["row", "col"]].to_numpy()
    near = [int((np.abs(middles - middle).max(1) < VIEW_PX / 2).sum()) for middle in middles]
    row, col = middles[int(np.argmax(near))]
    mask = np.zeros(labels.shape, bool)
    mask[int(row), int(col)] = True
    return found.image, labels, making.around(mask, min(VIEW_PX, *labels.shape))
