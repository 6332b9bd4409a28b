"""Figures of what went in and of what was made of it: images, outlines, masks, translations.

Each function takes a work folder and returns a PNG file's bytes or a table. What its stage has not
made yet is a FileNotFoundError whose message is a sentence for the reader.
"""

import json

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from semjax import audit, inputs, stacks
from semjax.analysis import regions, threshold
from semjax.data import images
from semjax.report import figures, panels
from semjax.workdir import Work

N_GHOSTS = 12


def settings_of(work: Work):
    """The settings that a work folder was made with.

    Raises:
        FileNotFoundError: it is empty.
    """
    panels.need(work, work.config)
    return audit.read_config(work)


def micrographs(work: Work) -> list[images.Micrograph]:
    """The micrographs of a run, read and stretched as the run does.

    Raises:
        FileNotFoundError: the folder is empty, or the images have gone.
    """
    return inputs.micrographs(settings_of(work), work)


def table_of_images(work: Work) -> pd.DataFrame:
    """One row a micrograph: size, pixel size, information bar, foreground."""
    return pd.DataFrame(
        {
            "image": picture.name,
            "height (px)": picture.image.shape[0],
            "width (px)": picture.image.shape[1],
            "pixel size (nm)": picture.pixel_size_nm,
            "from": picture.pixel_size_from,
            "bar cut (px)": picture.info_bar_px,
            "foreground (%)": round(100 * threshold.foreground(picture.image).mean(), 1),
        }
        for picture in micrographs(work)
    )


def images_with_scale(work: Work, *, n: int = 6) -> bytes:
    """The first micrographs with scale bars."""
    shown = micrographs(work)[:n]
    figure, axes = panels.start(len(shown), columns=3, height=3.5)
    for place, found in zip(axes, shown, strict=True):
        panels.picture(place, found.image, found.name)
        panels.scale_bar(place, found.image.shape, found.pixel_size_nm)
    return panels.png(figure)


def foreground_and_tiles(work: Work) -> bytes:
    """The densest micrograph: its plain foreground, tiles of the masks' size, its grey levels."""
    config = settings_of(work)
    found = micrographs(work)
    masks = [threshold.foreground(picture.image) for picture in found]
    chosen = int(np.argmax([mask.mean() for mask in masks]))
    image, mask = found[chosen].image, masks[chosen]
    figure, (left, right) = panels.start(2, columns=2, height=4.6)
    panels.picture(left, image, f"{found[chosen].name}: foreground of blur and Li, and tiles")
    left.contour(mask, [0.5], colors=[panels.GREEN], linewidths=0.8)
    h, w = config.masks.tile_px
    for row in range(0, image.shape[0] - h + 1, h):
        for col in range(0, image.shape[1] - w + 1, w):
            left.add_patch(Rectangle((col, row), w, h, fill=False, ec="#ffd23f", lw=1, ls="--"))
    edges = np.linspace(-1, 1, 65)
    for name, pixels, color in (
        ("ground", image[~mask], panels.GIVEN),
        ("foreground", image[mask], panels.OURS),
    ):
        count = np.histogram(pixels, edges)[0] / image.size
        right.stairs(count, edges, color=color, fill=name == "ground", lw=1.6, label=name)
    panels.diagram(right, "grey level after stretching", "share of pixels", "Grey levels")
    right.legend(frameon=False, fontsize=8)
    return panels.png(figure)


def densities(work: Work) -> bytes:
    """How much of each image's tiles is foreground, and the range of tiles that train."""
    found = micrographs(work)
    config = settings_of(work)
    crops = inputs.training_crops(config, found, tuple(config.masks.tile_px))
    figure, (axes,) = panels.start(1, columns=1, height=3.2)
    axes.boxplot(
        [crops.fraction[crops.image == i] for i in range(len(found))],
        positions=range(len(found)),
        sym=".",
        patch_artist=True,
        boxprops={"facecolor": panels.GIVEN, "edgecolor": panels.TRUE},
        medianprops={"color": panels.OURS},
        flierprops={"ms": 2, "markeredgecolor": panels.QUIET},
    )
    for bound in config.translate.foreground_range:
        axes.axhline(bound, color=panels.OURS, lw=1, ls="--")
    axes.set_xticks(range(len(found)), [picture.name for picture in found], rotation=60, ha="right")
    panels.diagram(axes, "", "foreground", "Foreground of the tiles that train, image by image")
    return panels.png(figure)


def outlines_given_and_drawn(work: Work, *, n: int = 30) -> bytes:
    """Outlines given beside outlines drawn by the network."""
    given, drawn = _outlines(work)
    figure, axes = panels.start(2, columns=2, height=4.2)
    for place, name, some in zip(axes, ("given", "drawn"), (given, drawn), strict=True):
        sheet = figures.sheet(list(some[:n] * np.uint8(255)), columns=6)
        panels.picture(place, sheet, f"{len(some):,} {name}")
    return panels.png(figure)


def outline_shapes(work: Work) -> bytes:
    """Size and shape of outlines given and drawn, as histograms."""
    tables = [_measure(some[:400]) for some in _outlines(work)]
    figure, axes = panels.start(3, columns=3, height=2.8)
    for place, (column, name) in zip(
        axes,
        (
            ("min_feret_px", "minimum Feret diameter (px)"),
            ("aspect_ratio", "aspect ratio"),
            ("solidity", "solidity"),
        ),
        strict=True,
    ):
        values = {
            kind: t[column].to_numpy() for kind, t in zip(("given", "drawn"), tables, strict=True)
        }
        panels.shares(place, values, name, bins=16)
    return panels.png(figure)


def outlines_over_training(work: Work) -> bytes:
    """The same random vectors, drawn at several times of the training: a row a time."""
    side = _outlines(work)[0].shape[1:]
    found = panels.samples(work, "shapes", most=6)
    rows = [panels.cut_sheet(path, side)[0] for _, path in found]
    return panels.strip(rows, [name for name, _ in found], side=0.95)


def masks(work: Work, *, n: int = 6) -> bytes:
    """Masks three times: a colour a particle, flat, and in relief."""
    labels = _stack(work, "masks", "labels.tif")[:n]
    rows = [list(map(figures.color_labels, labels))]
    rows += [list(_stack(work, "masks", name)[:n]) for name in ("masks.tif", "reliefs.tif")]
    return panels.strip(rows, ["particles", "flat", "relief"], side=1.6)


def mask_statistics(work: Work) -> bytes:
    """Are the masks as dense as the images, and how much of their particles is to be seen?"""
    labels = _stack(work, "masks", "labels.tif")
    table = pd.read_csv(panels.need(work, work.masks / "particles.csv"))
    config = settings_of(work)
    crops = inputs.training_crops(config, micrographs(work), tuple(config.masks.tile_px))
    figure, axes = panels.start(2, columns=2, height=3.0)
    density = {"tiles of images": crops.fraction, "masks": (labels > 0).mean((1, 2))}
    panels.shares(axes[0], density, "foreground", title="Density")
    visible = (table["visible_area_px"] / table["whole_area_px"]).to_numpy()
    axes[1].hist(visible, np.linspace(0, 1, 26).tolist(), color=panels.GIVEN, ec="white", lw=0.5)
    panels.diagram(axes[1], "share of the outline that is seen", "particles", "Overlap")
    return panels.png(figure)


def curves(work: Work, stage: str) -> bytes:
    """The training curves of a stage."""
    return figures.curves(panels.need(work, work.stage(stage) / "metrics.jsonl"))


def translation_over_training(work: Work) -> bytes:
    """Masks, and the micrographs made of them at several times of the training."""
    found = panels.samples(work, "translate", most=5)
    tile_px = tuple(settings_of(work).translate.tile_px)
    sheets = [panels.cut_sheet(path, tile_px) for _, path in found]
    rows = [sheets[-1][0], *(sheet[1] for sheet in sheets), sheets[-1][3]]
    return panels.strip(rows, ["mask", *(name for name, _ in found), "real"], side=1.6)


def back_and_forth(work: Work) -> bytes:
    """The newest samples of the whole circle, as in training."""
    (*_, (name, path)) = panels.samples(work, "translate", most=2)
    rows = panels.cut_sheet(path, tuple(settings_of(work).translate.tile_px))
    names = ["mask", "→ image", "→ mask", "image", "→ mask", "→ image"]
    return panels.strip(rows, names, side=1.5)


def fakes_with_outlines(work: Work, *, n: int = 6) -> bytes:
    """Micrographs made of masks; below, what the filter kept (green) and removed (red)."""
    fakes = _stack(work, "translate", "fakes.tif")[:n]
    labels = _stack(work, "masks", "labels.tif")[:n].astype(np.int32)
    seen = _seen(work, fakes, labels)
    drawn = [figures.overlay(f, m, k) for f, m, k in zip(fakes, labels, seen, strict=True)]
    colored = list(map(figures.color_labels, labels))
    return panels.strip([colored, list(fakes), drawn], ["mask", "fake", "filtered"], side=1.6)


def ghosts(work: Work) -> bytes:
    """The largest particles that their micrographs do not show, each without and with its outline.

    Raises:
        FileNotFoundError: there is none, or the stages have not run.
    """
    panels.need(work, work.filter / "labels.tif")
    fakes = _stack(work, "translate", "fakes.tif")
    labels = _stack(work, "masks", "labels.tif").astype(np.int32)
    found = []
    for i, keep in enumerate(_seen(work, fakes, labels)):
        area = np.bincount(labels[i].ravel(), minlength=len(keep) + 1)[1:]
        found += [(area[j], i, j + 1) for j in np.flatnonzero(~keep & (area > 0))]
    if not found:
        raise FileNotFoundError("Nothing to show: the filter has not removed a single particle.")
    rows: list[list[np.ndarray]] = [[], []]
    for _, i, label in sorted(found, reverse=True)[:N_GHOSTS]:
        view = around(labels[i] == label, 64)
        fake = np.ascontiguousarray(fakes[i][view])
        alone = (labels[i][view] == label).astype(np.int32)
        rows[0].append(figures.to_rgb(fake))
        rows[1].append(figures.overlay(fake, alone, np.zeros(1, bool)))
    half = -(-len(rows[0]) // 2)
    rows = [rows[0][:half], rows[1][:half], rows[0][half:], rows[1][half:]]
    blank = np.full((64, 64, 3), 255, np.uint8)
    rows = [row + [blank] * (half - len(row)) for row in rows if row]
    names = ["fake", "the mask's", "fake", "the mask's"][: len(rows)]
    return panels.strip(rows, names, side=1.55)


def real_and_fake(work: Work, *, n: int = 5) -> bytes:
    """Tiles of real micrographs above made ones, and the grey levels of both."""
    fakes = _stack(work, "translate", "fakes.tif")
    found = micrographs(work)
    config = settings_of(work)
    h, w = tile_px = fakes.shape[1:]
    crops = inputs.training_crops(config, found, tile_px)
    chosen = np.random.default_rng(0).choice(len(crops.image), n, replace=len(crops.image) < n)
    real = []
    for i in chosen:
        row, col = crops.row[i], crops.col[i]
        real.append(figures.to_uint8(found[crops.image[i]].image[row : row + h, col : col + w]))
    figure, axes = panels.start(2 * n + 2, columns=n + 1, height=1.75)
    for start, name, tiles in ((0, "real", real), (n + 1, "made", list(fakes[:n]))):
        for place, tile in zip(axes[start : start + n], tiles, strict=True):
            panels.picture(place, tile)
        axes[start].set_ylabel(name, fontsize=9, color=panels.INK)
    edges = np.linspace(0, 255, 52)
    every = np.stack(real)
    for place, tiles in ((axes[n], every), (axes[2 * n + 1], fakes[:200])):
        place.stairs(np.histogram(tiles, edges, density=True)[0], edges, fill=True, color="#9db8cc")
        panels.diagram(place, "grey level")
        place.set_yticks([])
    return panels.png(figure)


def summary(work: Work, stage: str) -> pd.DataFrame:
    """What a finished stage says of itself, a row a number."""
    mark = json.loads(panels.need(work, work.stage(stage) / "done.json").read_text())
    return pd.DataFrame({stage: mark["summary"]})


def around(mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """A window of side x side pixels round a particle, within the picture."""
    middle = np.argwhere(mask).mean(0)
    starts = [
        int(np.clip(m - side / 2, 0, n - side)) for m, n in zip(middle, mask.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _stack(work: Work, stage: str, name: str) -> np.ndarray:
    return stacks.read(panels.need(work, work.stage(stage) / name))


def _outlines(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Outlines given and drawn, uint8 0/1 (k, s, s) and (n, s, s)."""
    path = panels.need(work, work.outlines)
    config = settings_of(work)
    with np.load(path, allow_pickle=False) as file:
        drawn = file["outlines"]
    return inputs.given_outlines(config, work), drawn


def _measure(some: np.ndarray) -> pd.DataFrame:
    """Sizes and shapes of outlines, laid out in one picture."""
    marked = [np.pad(outline, 1) * (i + 1) for i, outline in enumerate(some.astype(np.int32))]
    return regions.measure(np.concatenate(marked, axis=1))


def _seen(work: Work, fakes: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Which particles of each mask its micrograph shows, by the filter's own rule."""
    rule = settings_of(work).filter.threshold
    return [
        threshold.keep_shown(fake, mask, threshold=rule)
        for fake, mask in zip(fakes, labels, strict=True)
    ]
