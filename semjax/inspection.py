"""A look at micrographs before any training: what they are, and what would spoil the result."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from semjax.analysis import quality, split, threshold
from semjax.data import decoding, images, metadata, units
from semjax.report import figures

THUMB_PX = 256  # longest side of a picture in the contact sheet
_FAST_PX = 640  # larger images are shrunk before their particles are counted
TILE_PX = 128  # the smallest tile suggested
SPECK = 0.05  # of a typical particle's area
IN_A_ROW = 3.0  # particles that find room in a tile, side by side


class Seen(NamedTuple):
    """What was found of one image.

    Attributes:
      name: file name without suffix.
      height_px, width_px: without the information bar.
      bits: of a pixel in the file.
      pixel_size_nm: None if not known.
      pixel_size_from: in words.
      tagged_nm: what the file's own tags say, whatever the user gave; None if nothing.
      info_bar_px: rows found and cut.
      planes: images in the file, of which the first is read.
      levels: grey values between the percentiles 0.5 and 99.5.
      foreground: estimated share of the area that particles cover.
      particles, diameter_px: their estimated number and typical size, see `count_particles`.
      edge_px, black, white, streaks, drift, ground: see `analysis.quality`.
      bars: rectangles drawn into the image; `flat_px` rows of bars left at top and bottom.
      instrument: see `metadata.instrument`.
      thumb: float32 in [-1, 1], shrunk by `factor`.
    """

    name: str
    height_px: int
    width_px: int
    bits: int
    pixel_size_nm: float | None
    pixel_size_from: str
    tagged_nm: float | None
    info_bar_px: int
    planes: int
    levels: float
    foreground: float
    particles: int
    diameter_px: float
    edge_px: float
    black: float
    white: float
    streaks: float
    drift: float
    ground: float
    bars: list[quality.Bar]
    flat_px: tuple[int, int]
    instrument: dict[str, str]
    thumb: np.ndarray
    factor: int

    @property
    def tile_px(self) -> int:
        """Side of a tile that suits the image."""
        return suggest_tile(self.diameter_px, min(self.height_px, self.width_px))

    @property
    def in_a_tile(self) -> float:
        """Particles in a tile of that size, on average."""
        return self.particles * self.tile_px**2 / (self.height_px * self.width_px)


class Result(NamedTuple):
    """What was seen of the images that could be read, and why others could not, by file name."""

    seen: list[Seen]
    unreadable: dict[str, str]


def look_at(
    folder: str | Path,
    *,
    pixel_size_nm: float = 0.0,
    pixel_size_from: str = "given",
    calibration: float = 1.0,
    info_bar_px: int = -1,
    dark_particles: bool = False,
    track: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> Result:
    """Looks at all images of a folder.

    Args:
      folder: the images.
      pixel_size_nm, pixel_size_from, calibration, info_bar_px, dark_particles: as for
        `images.read_micrograph`.
      track: wraps the list of files, to show progress.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it holds no images.
    """
    seen: list[Seen] = []
    unreadable: dict[str, str] = {}
    for path in track(images.list_images(folder)):
        try:
            picture = images.read_micrograph(
                path,
                pixel_size_nm=pixel_size_nm,
                pixel_size_from=pixel_size_from,
                calibration=calibration,
                info_bar_px=info_bar_px,
                dark_particles=dark_particles,
            )
            seen.append(look(picture))
        except (ValueError, OSError) as error:
            unreadable[path.name] = str(error)
    return Result(seen, unreadable)


def look(picture: images.Micrograph) -> Seen:
    """What can be said of one micrograph."""
    raw, image = picture.raw, picture.image
    particles, diameter, foreground = count_particles(image)
    low, high = quality.contrast(raw)
    tagged = metadata.pixel_nm(picture.path)
    factor = max(1, -(-max(image.shape) // THUMB_PX))
    black, white = quality.clipped(raw)
    return Seen(
        name=picture.name,
        height_px=image.shape[0],
        width_px=image.shape[1],
        bits=8 * raw.dtype.itemsize,
        pixel_size_nm=picture.pixel_size_nm,
        pixel_size_from=picture.pixel_size_from,
        tagged_nm=None if tagged is None else min(tagged[:2]),
        info_bar_px=picture.info_bar_px,
        planes=decoding.count_planes(picture.path),
        levels=high - low if raw.dtype.kind in "ui" else float("inf"),
        foreground=foreground,
        particles=particles,
        diameter_px=diameter,
        edge_px=quality.edge_width(raw),
        black=black,
        white=white,
        streaks=quality.streaks(raw),
        drift=quality.drift(raw),
        ground=quality.ground_level(raw),
        bars=quality.burnt_in(raw),
        flat_px=quality.flat_edges(raw),
        instrument=metadata.instrument(picture.path),
        thumb=shrink(image, factor),
        factor=factor,
    )


def count_particles(image: np.ndarray) -> tuple[int, float, float]:
    """What blur, Li's threshold and a watershed find: an estimate.

    Args:
      image: (h, w) in [-1, 1], particles bright.

    Returns:
      Number of particles without specks; the diameter in px that half of the foreground lies
      above (specks of the ground hardly count in it), NaN without any; share of the area.
    """
    factor = 2 if max(image.shape) > _FAST_PX else 1
    while True:
        mask = threshold.foreground(shrink(image, factor))
        labels = split.watershed(mask, min_distance_px=max(3, 9 // factor))
        areas = np.sort(np.bincount(labels.ravel())[1:])
        areas = areas[areas >= 9]
        if areas.size:
            typical = areas[np.searchsorted(np.cumsum(areas), areas.sum() / 2)]
            diameter = float(np.sqrt(4 / np.pi * typical))
        else:
            typical, diameter = 0, float("nan")
        if factor == 1 or diameter >= 12:  # or too small to be seen in the shrunken image
            n = int(np.count_nonzero(areas > SPECK * typical))
            return n, factor * diameter, float(mask.mean())
        factor = 1


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` x `factor` px; what is left over at the end is cut."""
    if factor == 1:
        return image
    rows, cols = (max(n // factor, 1) for n in image.shape)
    cut = image[: rows * factor, : cols * factor]
    return cut.reshape(rows, cut.shape[0] // rows, cols, cut.shape[1] // cols).mean(axis=(1, 3))


def typical_diameter(seen: Sequence[Seen]) -> float:
    """Median over the images of their particles' diameter in px; NaN if none shows any."""
    found = [image.diameter_px for image in seen if image.diameter_px > 0]
    return float(np.median(found)) if found else float("nan")


def scale_bar(text: str) -> tuple[float, float]:
    """Length in nm and in px of a scale bar given as `500nm:275` or by its ends' x,y.

    The ends are given as `500nm:123,700:398,700`.

    Raises:
      ValueError: the text is of another form.
    """
    wrong = ValueError(
        f"the scale bar {text!r} is not understood; give its length and its length in px, as in "
        "500nm:275, or its two ends in px, as in 500nm:123,700:398,700"
    )
    length, *ends = text.split(":")
    if re.match(r"\s*[1-9][0-9]{0,2}[.,][0-9]{3}(?![0-9])", length):
        raise ValueError(
            f"the scale bar {text!r} may have a thousands separator or a decimal point; write its "
            "length without, as in 1000nm or 1um"
        )
    nm = units.length_nm(length, "")
    try:
        numbers = [[float(n) for n in end.removesuffix("px").split(",")] for end in ends]
    except ValueError:
        raise wrong from None
    if len(numbers) == 2 and all(len(end) == 2 for end in numbers):
        px = float(np.linalg.norm(np.subtract(numbers[0], numbers[1])))
    elif len(numbers) == 1 and len(numbers[0]) == 1:
        px = numbers[0][0]
    else:
        raise wrong
    if nm is None or not (px > 0 and np.isfinite(px)):
        raise wrong
    return nm, px


def suggest_tile(diameter_px: float, side_px: int) -> int:
    """Side of a tile: room for three particles in a row, a multiple of 32, within the image."""
    wanted = TILE_PX if not diameter_px > 0 else max(TILE_PX, IN_A_ROW * diameter_px)
    return max(32, min(32 * round(wanted / 32), side_px // 32 * 32))


def table(seen: Sequence[Seen]) -> pd.DataFrame:
    """One row an image, with everything that was found of it."""
    rows = [
        {
            "image": i.name,
            "height_px": i.height_px,
            "width_px": i.width_px,
            "bits": i.bits,
            "pixel_size_nm": i.pixel_size_nm,
            "pixel_size_from": i.pixel_size_from,
            "info_bar_px": i.info_bar_px,
            "grey_levels": i.levels,
            "foreground": round(i.foreground, 4),
            "particles": i.particles,
            "diameter_px": round(i.diameter_px, 1),
            "suggested_tile_px": i.tile_px,
            "particles_in_a_tile": round(i.in_a_tile, 2),
            "edge_width_px": round(i.edge_px, 2),
            "black": round(i.black, 5),
            "white": round(i.white, 5),
            "rows_with_streaks": round(i.streaks, 4),
            "drift": round(i.drift, 4),
            "ground_level": round(i.ground, 3),
            **{name.replace(" ", "_"): i.instrument.get(name, "") for name in units.INSTRUMENT},
        }
        for i in seen
    ]
    return pd.DataFrame(rows)


def contact_sheet(seen: Sequence[Seen], marked: Collection[str]) -> np.ndarray:
    """All images, small, with their names; those marked have an orange-red frame.

    Returns:
      uint8 (h, w, 3).
    """
    pictures, captions = [], []
    for i in seen:
        picture = figures.to_rgb(np.clip(i.thumb, -1, 1)).copy()
        if i.name in marked:
            for edge in (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]):
                edge[...] = figures.REMOVED
        pictures.append(picture)
        size = "" if i.pixel_size_nm is None else f"  {i.pixel_size_nm:.4g} nm/px"
        captions.append(f"{i.name}{size}")
    return figures.sheet(pictures, columns=6, captions=captions)
