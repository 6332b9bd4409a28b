"""Rows of panels for the notebooks' figures: one style, and a sentence where a file is missing."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from semjax.report import gallery
from semjax.workdir import STAGES, Work

INK, QUIET = "#22303c", "#6b7885"
GIVEN, OURS, TRUE = "#9db8cc", "#b3420e", "#2f6d94"
GREEN, RED = "#00b36b", "#e13c00"
DPI = 100


def need(work: Work, path: Path) -> Path:
    """The path of a file or folder that a stage leaves.

    Raises:
        FileNotFoundError: the stage has not left it yet; the message is a sentence.
    """
    if path.exists():
        return path
    name = path.relative_to(work.path).as_posix()
    stage = next((stage for stage in STAGES if work.stage(stage) in path.parents), None)
    if stage is None:
        raise FileNotFoundError(f"Nothing to show: this work folder has no {name}.")
    state = "is not finished" if work.stage(stage).exists() else "has not run"
    raise FileNotFoundError(f"Nothing to show yet: the stage {stage} {state} (no {name}).")


def start(
    panels: int, *, columns: int, height: float, width: float = 10.0
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of panels.

    Args:
        panels: how many.
        columns: of the grid; fewer panels make fewer columns.
        height: of a row, in inches.
        width: of the figure, in inches.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width, rows * height), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[panels:]:
        axes.set_axis_off()
    return figure, list(grid.flat[:panels])


def picture(axes: Axes, pixels: np.ndarray, title: str = "") -> None:
    """Shows pixels without ticks: grey (h, w) in [-1, 1] or uint8, or colours (h, w, 3)."""
    low, high = (0, 255) if pixels.dtype == np.uint8 else (-1, 1)
    axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=9, color=INK)


def strip(rows: Sequence[Sequence[np.ndarray]], names: Sequence[str], *, side: float) -> bytes:
    """Rows of pictures of one size, a name at the left of each row: a PNG file's bytes.

    Args:
        rows: the pictures; every row has as many.
        names: of the rows.
        side: of a picture, in inches.
    """
    n = len(rows[0])
    figure, axes = start(n * len(rows), columns=n, height=side, width=n * side + 0.4)
    for place, pixels in zip(axes, (p for row in rows for p in row), strict=True):
        picture(place, pixels)
    for place, name in zip(axes[::n], names, strict=True):
        place.set_ylabel(name, fontsize=9, color=INK)
    return png(figure)


def diagram(axes: Axes, xlabel: str, ylabel: str = "", title: str = "") -> None:
    """Labels a diagram and leaves of its frame only what helps reading."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=8)
    axes.grid(axis="y", color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=9, color=INK)
    axes.set_ylabel(ylabel, fontsize=9, color=INK)
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def shares(
    axes: Axes, values: dict[str, np.ndarray], xlabel: str, *, bins: int = 24, title: str = ""
) -> None:
    """Histograms over each other, as shares: the first filled, the second a line."""
    together = np.concatenate(list(values.values()))
    edges = np.linspace(together.min(), np.percentile(together, 99.5) + 1e-9, bins + 1)
    for style, (name, numbers) in zip(
        ({"color": GIVEN, "fill": True}, {"color": OURS, "lw": 1.6}), values.items(), strict=False
    ):
        share = np.histogram(numbers, edges)[0] / max(len(numbers), 1)
        axes.stairs(share, edges, label=f"{name} ({len(numbers):,})", **style)
    diagram(axes, xlabel, "share", title)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def scale_bar(axes: Axes, shape: tuple[int, int], pixel_size_nm: float | None) -> None:
    """Draws a bar of a round length, about a fifth of the picture, into its lower left corner."""
    if pixel_size_nm is None:
        return
    aim = shape[1] * pixel_size_nm / 5
    power = 10.0 ** math.floor(math.log10(aim))
    length = max(step for step in (1, 2, 5) if step * power <= aim) * power
    x, y = 0.04 * shape[1], 0.95 * shape[0]
    bar = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.5}
    axes.add_patch(Rectangle((x, y), length / pixel_size_nm, 0.014 * shape[0], **bar))
    name = f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm"
    text = axes.text(x, y - 0.02 * shape[0], name, color="white", fontsize=8)
    text.set_bbox({"facecolor": "black", "alpha": 0.45, "linewidth": 0, "pad": 1.5})


def cut_sheet(path: Path, tile_px: tuple[int, int], *, gap: int = 4) -> list[list[np.ndarray]]:
    """The tiles of a sheet that a training drew, row by row: `figures.sheet` backwards."""
    sheet = gallery.read_picture(path)
    rows, columns = (
        (n - gap) // (side + gap) for n, side in zip(sheet.shape, tile_px, strict=False)
    )
    corners = [
        [(gap + i * (tile_px[0] + gap), gap + j * (tile_px[1] + gap)) for j in range(columns)]
        for i in range(rows)
    ]
    return [[sheet[r : r + tile_px[0], c : c + tile_px[1]] for r, c in row] for row in corners]


def samples(work: Work, stage: str, *, most: int, like: str = "*.png") -> list[tuple[str, Path]]:
    """Sample sheets of a training, spread evenly from the first to the last: ("step 250", path).

    Raises:
        FileNotFoundError: none was drawn yet.
    """
    found = sorted(need(work, work.stage(stage) / "samples").glob(like))
    if not found:
        raise FileNotFoundError(f"Nothing to show yet: {stage} has drawn no samples.")
    chosen = np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))
    return [(f"step {int(found[i].stem.split('_')[0])}", found[i]) for i in chosen]


def png(figure: Figure) -> bytes:
    """A PNG file's bytes; the same numbers give the same file."""
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
