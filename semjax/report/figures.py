"""Pictures for people: contact sheets, outlines on micrographs, histograms, training curves.

Pictures of pixels are uint8 arrays, diagrams are PNG bytes; `write_png` stores both. Diagrams are
made with matplotlib's `Figure` objects, which need no display and share no state.
"""

import json
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from semjax.analysis import distribution
from semjax.workdir import write_bytes

# Bluish green and vermilion keep apart for all common kinds of colour blindness; the green is also
# far lighter, so that the two can be told apart in a grey print.
KEPT = (0, 210, 120)
REMOVED = (225, 60, 0)

INK, QUIET, BAR, CURVE = "#22303c", "#6b7885", "#9db8cc", "#b3420e"
_CAPTION_PX = 18
_GOLDEN = (math.sqrt(5) - 1) / 2


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Turns an image in [-1, 1] into grey levels 0..255; values outside are clipped, NaN is 0."""
    levels = (np.asarray(image, np.float32) + 1) * 127.5
    return np.clip(np.nan_to_num(np.rint(levels), nan=0.0), 0, 255).astype(np.uint8)


def to_rgb(picture: np.ndarray) -> np.ndarray:
    """Turns a picture, uint8 or floating point in [-1, 1], into uint8 (h, w, 3).

    Args:
        picture: (h, w), (h, w, 1) or (h, w, 3); booleans become black and white.

    Raises:
        ValueError: if the shape is not that of one picture, or integers are not uint8.
    """
    picture = np.asarray(picture)
    if picture.dtype == bool:
        picture = picture * np.uint8(255)
    elif np.issubdtype(picture.dtype, np.floating):
        picture = to_uint8(picture)
    if picture.dtype != np.uint8:
        raise ValueError(
            f"a picture must be uint8, bool or floating point in [-1, 1], not {picture.dtype}; "
            "give labels to color_labels first"
        )
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise ValueError(f"a picture must be (h, w) or (h, w, 3), not {picture.shape}")
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def sheet(
    images: Sequence[np.ndarray],
    *,
    columns: int = 8,
    gap: int = 4,
    captions: Sequence[str] | None = None,
) -> np.ndarray:
    """Lays pictures out in rows on white, each in a cell as large as the largest picture.

    Args:
        images: pictures (h, w) or (h, w, 3), uint8 or floating point in [-1, 1]; sizes may differ.
        columns: pictures in a row; fewer pictures than this make a narrower sheet.
        gap: white pixels between cells and around the sheet.
        captions: one line of text under each picture; what is too long for its cell is cut.

    Returns:
        uint8 (rows * (h + gap) + gap, columns * (w + gap) + gap, 3); with captions each cell is
        18 px higher.

    Raises:
        ValueError: if there are no images, or not one caption an image.
    """
    if len(images) == 0:
        raise ValueError("a sheet needs at least one image, but got none")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"{len(images)} images need as many captions, but got {len(captions)}")
    if columns < 1:
        raise ValueError(f"columns must be 1 or more, not {columns}")

    pictures = [to_rgb(image) for image in images]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width = max(picture.shape[1] for picture in pictures)
    picture_height = max(picture.shape[0] for picture in pictures)
    height = picture_height + (_CAPTION_PX if captions is not None else 0)

    page = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    corners = [
        (gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap))
        for i in range(len(pictures))
    ]
    for (row, col), picture in zip(corners, pictures, strict=True):
        page[row : row + picture.shape[0], col : col + picture.shape[1]] = picture
    if captions is None:
        return page

    canvas = Image.fromarray(page)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    for (row, col), caption in zip(corners, captions, strict=True):
        text = _fit_text(str(caption), font, width)
        draw.text((col, row + picture_height + 2), text, fill=INK, font=font)
    return np.array(canvas)


def _fit_text(text: str, font, width: int) -> str:
    """The text, or as much of its beginning as fits, ended by dots."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


def color_labels(labels: np.ndarray) -> np.ndarray:
    """Paints each particle in its own colour on black.

    A label's colour depends on its number alone, so that it is the same in every picture. Hues
    go round by the golden ratio: numbers near each other get hues far apart.

    Args:
        labels: integer (h, w), 0 background.

    Returns:
        uint8 (h, w, 3).
    """
    labels = np.asarray(labels)
    numbers = np.arange(int(labels.max(initial=0)) + 1)
    hue = (numbers * _GOLDEN) % 1
    saturation = 0.5 + 0.15 * (numbers % 3)
    value = 1 - 0.13 * (numbers // 3 % 3)
    colors = np.rint(255 * hsv_to_rgb(np.stack([hue, saturation, value], -1))).astype(np.uint8)
    colors[0] = 0
    return colors[labels]


def overlay(
    image: np.ndarray, labels: np.ndarray, kept: np.ndarray | None = None, *, width_px: int = 1
) -> np.ndarray:
    """Draws the particles' outlines on a micrograph: kept ones green, removed ones orange-red.

    The outline is the particle's own rim (pixels with a neighbour above, below or beside that
    belongs to something else), so that touching particles get one line each.

    Args:
        image: (h, w), floating point in [-1, 1] or uint8.
        labels: integer (h, w), 0 background, 1..N.
        kept: bool (N,), entry i for label i + 1; None keeps all.
        width_px: thickness of the line, grown inwards.

    Returns:
        uint8 (h, w, 3).

    Raises:
        ValueError: if image and labels differ in shape or `kept` is too short.
    """
    labels = np.asarray(labels)
    picture = to_rgb(image).copy()
    if labels.shape != picture.shape[:2]:
        raise ValueError(
            f"labels must have the image's shape {picture.shape[:2]}, not {labels.shape}"
        )
    n = int(labels.max(initial=0))
    kept = np.ones(n, bool) if kept is None else np.asarray(kept, bool)
    if len(kept) < n:
        raise ValueError(f"kept must have an entry for each of the {n} labels, but has {len(kept)}")

    rim = np.zeros(labels.shape, bool)
    inside = labels
    for _ in range(width_px):
        rim |= find_boundaries(inside, connectivity=1, mode="inner")
        inside = np.where(rim, 0, labels)
    colors = np.where(kept[:, None], KEPT, REMOVED).astype(np.uint8)
    picture[rim] = colors[labels[rim] - 1]
    return picture


def histogram(
    values_nm: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    xlabel: str,
    title: str = "",
    unit: str = "nm",
) -> bytes:
    """Draws a size distribution with its log-normal fit.

    Bins begin at 0 and are a round number wide (1, 2, 2.5 or 5 times a power of ten), near the
    Freedman-Diaconis width. The curve is the log-normal density with the mean and SD of the
    values' logarithms, scaled to counts. N, mean, median and SD stand above the diagram.

    Args:
        values_nm: (n,) lengths in `unit`; values that are not finite and positive are left out.
        weights: (n,) positive; a bar is then the sum of its values' weights. N stays the number
            of values; mean, median, SD and curve are those of `distribution.summarize`.
        xlabel: the quantity, without unit.
        title: goes before the numbers.
        unit: nm, or px where no pixel size is known.

    Returns:
        A PNG file as bytes.
    """
    values = np.asarray(values_nm, float).ravel()
    usable = np.isfinite(values) & (values > 0)
    values = values[usable]
    weights = None if weights is None else np.asarray(weights, float).ravel()[usable]
    found = distribution.summarize(values, weights, bootstrap=0, seed=0)
    figure = Figure(figsize=(7.2, 4.0), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    calm(axes)
    axes.set_xlabel(f"{xlabel} ({unit})", color=INK)
    axes.set_ylabel("particles" if weights is None else "particles, weighted", color=INK)
    numbers = f"N = {len(values):,}"
    edges = round_edges(values) if len(values) else np.array([0.0, 1.0])
    for name, key in (("mean", "mean"), ("median", "median"), ("SD", "sd")):
        if found[key] is not None:
            numbers += f"   {name} {format_number(found[key])} {unit}"
    if len(values):
        axes.hist(values, edges.tolist(), weights=weights, color=BAR, ec="white", lw=0.6)
        axes.set_xlim(0, edges[-1])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.text(0.5, 0.5, "no particles", ha="center", color=QUIET, transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
    if len(values) > 1 and found["geometric_sd"] > 1:
        mu, sigma = math.log(found["geometric_mean"]), math.log(found["geometric_sd"])
        x = np.linspace(edges[-1] / 500, edges[-1], 500)
        density = np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2))
        density /= x * sigma * math.sqrt(2 * math.pi)
        label = f"log-normal: geometric mean {format_number(math.exp(mu))} {unit}, "
        label += f"geometric SD {math.exp(sigma):.2f}"
        total = len(values) if weights is None else weights.sum()
        axes.plot(x, total * edges[1] * density, color=CURVE, lw=1.6, label=label)
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right")
        axes.set_ylim(top=axes.get_ylim()[1] * 1.12)
    heading = f"{title}\n{numbers}" if title else numbers
    axes.set_title(heading, loc="left", fontsize=10, color=INK)
    return _png(figure)


def distributions(sizes: Mapping[str, Sequence[float]], *, unit: str) -> bytes:
    """Draws one size distribution a panel, each over the first (the truth), as shares.

    Args:
        sizes: minimum Feret diameters by name; the first is drawn in every panel.
        unit: nm or px.

    Returns:
        A PNG file as bytes.
    """
    names = list(sizes)
    values = {name: np.asarray(sizes[name], float) for name in names}
    together = np.concatenate([v for v in values.values() if v.size] or [np.ones(2)])
    edges = np.linspace(0, np.percentile(together, 99.5), 41)
    shown = names[1:] or names
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.5 * rows), dpi=140, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, shown, strict=False):
        calm(axes)
        for label, style in ((names[0], {"color": BAR}), (name, {"color": CURVE, "fill": False})):
            if values[label].size:
                share = np.histogram(values[label], edges)[0] / values[label].size
                axes.stairs(share, edges, **({"fill": True} | style))
        mean = f", mean {format_number(values[name].mean())} {unit}" if values[name].size else ""
        axes.set_title(f"{name}\nN = {values[name].size}{mean}", fontsize=8, color=INK)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes in grid.flat[len(shown) - columns : len(shown)]:  # with nothing below
        axes.tick_params(labelbottom=True)
    figure.supxlabel(f"minimum Feret diameter ({unit})", fontsize=9, color=INK)
    figure.supylabel(f"share of particles (filled: {names[0]})", fontsize=9, color=INK)
    return _png(figure)


def round_edges(values: np.ndarray) -> np.ndarray:
    """Edges from 0 to above the largest value, a round number apart; at most 80 bins."""
    low, high = np.percentile(values, [25, 75])
    width = max(2 * (high - low) / len(values) ** (1 / 3), values.max() / 80)
    power = 10.0 ** math.floor(math.log10(width))
    width = power * next(step for step in (1, 2, 2.5, 5, 10) if step * power >= width * 0.999)
    return width * np.arange(math.floor(values.max() / width) + 2)


def read_metrics(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads a metrics.jsonl: for each series its steps and values, in the file's order.

    Lines that are not JSON objects with a step (such as one cut off by an interruption) and
    values that are not numbers are left out.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
            step = float(record.pop("step"))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, value in record.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                series.setdefault(name, []).append((step, float(value)))
    return {name: tuple(np.array(points).T) for name, points in series.items()}


def curves(path: Path) -> bytes:
    """Draws every series of a metrics.jsonl over the step, each in its own small diagram.

    Args:
        path: a file of JSON lines, each an object with `step` and numbers.

    Returns:
        A PNG file as bytes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no numbers.
    """
    series = read_metrics(path)
    if not series:
        raise ValueError(f'{path} holds no line like {{"step": 50, "loss": 0.7}}; nothing to draw')
    columns = 2 if len(series) == 4 else min(3, len(series))
    rows = -(-len(series) // columns)
    figure = Figure(figsize=(3.1 * columns + 0.4, 1.9 * rows + 0.3), dpi=110, layout="constrained")
    for place, (name, (steps, values)) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        calm(axes)
        axes.plot(steps, values, color="#2f6d94", lw=1.2, marker="." if len(steps) < 3 else "")
        axes.set_title(name.replace("_", " "), loc="left", fontsize=9, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if place > len(series) - columns:
            axes.set_xlabel("step", fontsize=8, color=QUIET)
    return _png(figure)


def format_number(value: float) -> str:
    """Three digits that count: 0.0312, 4.57, 83.2, 12,345; tiny numbers as 2.5e-05."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    if abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def write_png(path: Path, picture: np.ndarray | bytes) -> None:
    """Writes a PNG; whoever reads the folder meanwhile sees the old file or the whole new one.

    Args:
        path: the file; its folder is made if needed.
        picture: what `to_rgb` takes (grey pictures stay grey), or a PNG file's bytes.
    """
    write_bytes(Path(path), picture if isinstance(picture, bytes) else encode_png(picture))


def encode_png(picture: np.ndarray) -> bytes:
    """A PNG file's bytes of a picture as `to_rgb` takes it; grey pictures stay grey."""
    rgb = to_rgb(picture)
    grey = np.ndim(picture) == 2 or np.shape(picture)[-1] == 1
    file = BytesIO()
    # Ten times faster than zlib's level 9, and files of micrographs are about as small.
    Image.fromarray(rgb[..., 0].copy() if grey else rgb).save(file, "PNG", compress_level=3)
    return file.getvalue()


def calm(axes: Axes) -> None:
    """Leaves of the frame only what helps reading."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=8)
    axes.grid(axis="y", color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    # Without the library's name and version the same numbers give the same file.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
