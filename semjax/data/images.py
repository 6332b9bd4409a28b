"""Micrographs: read from any common file format, information bar cut, contrast stretched."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from scipy import ndimage

from semjax.analysis import bands
from semjax.data import decoding, formats, limits, metadata, squares
from semjax.data.contrast import Stretched, is_large, stretch_contrast

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")

# Rec. 709, the weights of skimage.color.rgb2gray.
LUMINANCE = np.array([0.2125, 0.7154, 0.0721], np.float32)


class Micrograph(NamedTuple):
    """One micrograph.

    Attributes:
      name: file name without suffix.
      path: the file.
      image: (h, w) float32 in [-1, 1], contrast stretched, particles bright; a large
        image may be a `Stretched`, of which only rows are held.
      raw: (h, w) values as read; the information bar is cut from both.
      pixel_size_nm: side of a pixel in nm; None if not known.
      pixel_size_from: where the pixel size is from: "given", "Zeiss tag", ..., "unknown".
      info_bar_px: number of rows cut at the bottom.
      is_resampled: whether the file's own pixels were not square.
    """

    name: str
    path: Path
    image: np.ndarray
    raw: np.ndarray
    pixel_size_nm: float | None
    pixel_size_from: str
    info_bar_px: int
    is_resampled: bool = False


def list_images(folder: str | Path) -> list[Path]:
    """Image files of a folder in natural order (2 before 10).

    Hidden files and files of other types are passed over. Instruments' own formats
    (`formats.READERS`) are among them where the extra that reads them is installed.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it holds no image, or two images that differ in the suffix only.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give the folder that holds the images")
    files = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    paths = [p for p in files if p.suffix.lower() in SUFFIXES]
    own = [p for p in files if formats.reads(p)]
    if own and formats.installed():
        paths += own
    elif own:
        unread = f"{len(own)} in {folder} like {min(own).name}: reading them {formats.NEEDED}"
        if not paths:
            raise ValueError(f"no images but {unread}")
        logging.warning("files passed over, %s", unread)
    if not paths:
        raise ValueError(f"no images in {folder}; expected files ending in {', '.join(SUFFIXES)}")
    paths.sort(key=natural)
    seen = {}
    for path in paths:
        if path.stem in seen:
            raise ValueError(
                f"{seen[path.stem].name} and {path.name} in {folder} have the same name but for "
                "the suffix, and results are named after it; rename or move one of them"
            )
        seen[path.stem] = path
    return paths


def warn_of_stacks(paths: Sequence[Path]) -> None:
    """Warns of files that hold several images, of which only the first is read."""
    found = {path.name: n for path in paths if (n := decoding.count_planes(path)) > 1}
    if found:
        shown = ", ".join(f"{name} ({n})" for name, n in list(found.items())[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        logging.warning(
            "several images in one file, of which only the first is read: %s%s; save them one by "
            "one (Fiji: Image > Stacks > Stack to Images)",
            *(shown, more),
        )


def may_read(path: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in SUFFIXES or formats.reads(path)


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sorts files by text and numbers of their names, 2 before 10."""
    parts = re.split(r"([0-9]+)", path.stem.lower())
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], path.name


def read_image(path: str | Path, *, levels: bool = False) -> np.ndarray:
    """Reads one image as (h, w), values as stored.

    A palette picture gives its indices, which count particles in label images; of two values the
    brighter one is 1. Where `levels` are wanted, what is seen counts: a palette of greys gives
    these. In one of colours the indices are the levels if half of them stand for their own grey
    (instruments colour single levels to mark them) or if they rise with the brightness; otherwise
    the luminance is. Colour gives the luminance (float32), or the channel itself if all are equal;
    alpha is dropped. Of several pages or channels the first is read. Black on white bilevel values
    are turned so that white is high.

    Args:
      path: the file.
      levels: whether it is a micrograph, whose values are levels of brightness.

    Returns:
      (h, w) in the file's number type and native byte order; bilevel pictures as uint8 0/1.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: no image file, damaged, empty, or it holds NaN or infinite values.
    """
    path = Path(path)
    image = _read(path)
    if image.dtype == np.uint8 and image.ndim == 2:
        image = _see_palette(image, decoding.palette(path), levels=levels)
    if image.dtype.kind not in "buif":
        raise ValueError(f"{path} holds {image.dtype} values; save it as integers or floats")
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = _take_luminance(image)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"{path} has the shape {image.shape}, expected rows and columns (and 3 or 4 colours); "
            "save a single plane as TIFF"
        )
    if image.dtype == bool:
        return image.astype(np.uint8)
    if image.dtype.kind == "f":
        # What single precision cannot hold is no brightness either.
        count = image.size - np.count_nonzero(np.abs(image) <= np.finfo(np.float32).max)
        if count:
            raise ValueError(
                f"{path} has {count} NaN or infinite pixels; replace or crop them, or leave the "
                "image out (data.exclude)"
            )
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def read_labels(path: str | Path) -> np.ndarray:
    """Reads a label image: 0 is background, other numbers count the particles.

    Returns:
      (h, w) int32.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: as `read_image`, or its values cannot count particles.
    """
    picture = read_image(path)
    low, high = float(picture.min()), float(picture.max())
    if low < 0 or high > limits.LABEL or (picture.dtype.kind == "f" and (picture % 1).any()):
        raise ValueError(
            f"{path} has values from {low:g} to {high:g}; expected whole numbers from 0 to "
            f"{limits.LABEL:,} that count the particles"
        )
    return picture.astype(np.int32, copy=False)


def is_mask(picture: np.ndarray, path: str | Path = "") -> bool:
    """Whether a picture is black and white, its edges soft or not; otherwise it counts particles.

    Of soft edges no value but white fills a square of 3 x 3 px anywhere, nor does a piece of one
    value lie by itself. JPEGs are always masks: compression blurs their two values.

    Args:
      picture: (h, w) numbers or bool.
      path: the file, if it is one.
    """
    if Path(path).suffix.lower() in (".jpg", ".jpeg") or np.unique(picture).size <= 2:
        return True
    picture = picture.astype(np.float32)
    flat = ndimage.minimum_filter(picture, 3) == ndimage.maximum_filter(picture, 3)
    solid = np.unique(picture[flat])
    if not solid.any() or (solid[solid != 0] != picture.max()).any():
        return False
    pieces, n = ndimage.label(picture > 0)
    index = np.arange(1, n + 1)
    least, most = (of(picture, pieces, index) for of in (ndimage.minimum, ndimage.maximum))
    area = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
    alone = (least == most) & (most < picture.max()) & (area >= 9)
    return not alone.any()


def read_colors(path: str | Path) -> np.ndarray:
    """Reads a picture whose colours mean something, as a mask of classes.

    Returns:
      (h, w, 3) uint8, or (h, w) where the picture is grey, also if it is stored in colours.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: no image file, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path}; correct its name, or a link to it")
    try:
        with decoding.open_picture(path) as picture:
            if picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16"):
                return np.asarray(picture)
            colors = np.asarray(picture.convert("RGB"))  # expands palettes
    except Exception as error:  # decoders raise errors of any type for damaged files
        raise ValueError(
            f"cannot read the class mask {path} ({error}); save it as PNG or TIFF of 8 bits"
        ) from error
    return colors[..., 0] if (colors == colors[..., :1]).all() else colors


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path}; correct its name, or a link to it")
    own = formats.reads(path)
    if not may_read(path):
        raise ValueError(f"{path} is no image; expected a file ending in {', '.join(SUFFIXES)}")
    if own and not formats.installed():
        raise ValueError(f"reading {path} {formats.NEEDED}")
    try:
        return formats.read(path) if own else decoding.decode(path)
    except Exception as error:  # decoders raise errors of any type for damaged files
        raise ValueError(
            f"cannot read image {path} ({error}); it may be damaged or of another type than its "
            "suffix says: copy it again or save it as TIFF"
        ) from error


def _see_palette(image: np.ndarray, colors: np.ndarray | None, *, levels: bool) -> np.ndarray:
    """What a palette picture (h, w) of indices shows, see `read_image`."""
    used = np.unique(image)
    if colors is None or used[-1] >= len(colors):
        return image
    seen = colors[used].astype(np.float32) @ LUMINANCE
    if not levels:
        return (image == used[seen.argmax()]).astype(np.uint8) if len(used) == 2 else image
    if (colors[used] == colors[used, :1]).all():
        return colors[image, 0]
    own = (colors[used] == used[:, None]).all(axis=1).mean() >= 0.5
    ranks = seen.argsort().argsort()
    rises = len(used) > 2 and np.corrcoef(ranks, np.arange(len(used)))[0, 1] > 0.95
    return image if own or rises else (colors.astype(np.float32) @ LUMINANCE)[image]


def _take_luminance(image: np.ndarray) -> np.ndarray:
    colours = image[..., :3]
    if (colours == colours[..., :1]).all():
        return colours[..., 0]
    # By rows: all of a large image would take three times the memory of the result.
    return np.stack([row.astype(np.float32) @ LUMINANCE for row in colours])


def find_info_bar(image: np.ndarray) -> int:
    """Finds the instrument's information bar at the bottom of a micrograph.

    A bar starts with a row of (nearly) one grey value, in the lower third, right below rows with
    the camera's noise; nine in ten rows from there to the bottom have one ground value for most
    of their pixels, and on this ground stands text: pixels of strong contrast in short runs. A
    dark lower part of an image has noise, or no text. Images without any noise are never cut.

    Args:
      image: (h, w), values of any range.

    Returns:
      Number of rows from the bar's first row to the bottom of the image; 0 without a bar.
    """
    h = image.shape[0]
    low, high = float(image.min()), float(image.max())
    span = high - low
    if h < 32 or span == 0:
        return 0
    # Rows far above the lower third cannot matter: the bar is compared with its neighbourhood.
    first = h // 3
    found = [_look_at_rows(image[first:][rows], low, span) for rows in bands.rows(image[first:])]
    share, strong, runs = (np.concatenate(of_rows) for of_rows in zip(*found, strict=True))
    flat = share >= 0.7
    starts = np.flatnonzero(~flat[:-1] & (share[1:] >= 0.8)) + 1
    for start in starts[starts >= 2 * h // 3 - first]:
        height = len(share) - start
        if height < 8:
            break
        above = flat[max(0, start - height) : start]
        text = strong[start:].sum()
        # Edges per pixel of text: about 1 for letters, near 0 for particles and areas.
        thin = runs[start:].sum() > 0.3 * text
        if (
            (share[start:] >= 0.5).mean() >= 0.9
            and above.mean() <= 0.1
            and 0.002 <= text / (height * image.shape[1]) <= 0.5
            and thin
        ):
            return int(height)
    return 0


def _look_at_rows(image: np.ndarray, low: float, span: float) -> tuple[np.ndarray, ...]:
    """Of each row: share of pixels with its ground value, numbers of strong ones and of edges."""
    values = (image.astype(np.float64) - low) / span
    contrast = np.abs(values - np.median(values, axis=1, keepdims=True))
    edges = np.abs(np.diff(values, axis=1)) > 0.3
    return (contrast <= 1 / 200).mean(axis=1), (contrast > 0.3).sum(axis=1), edges.sum(axis=1)


def read_micrograph(
    path: str | Path,
    *,
    pixel_size_nm: float = 0.0,
    pixel_size_from: str = "given",
    calibration: float = 1.0,
    info_bar_px: int = -1,
    dark_particles: bool = False,
    low: float = 0.5,
    high: float = 99.5,
    knee: float = 0.6,
    in_rows: bool = False,
) -> Micrograph:
    """Reads a micrograph, cuts its information bar and stretches its contrast.

    An image whose tags say that its pixels are not square is resampled, linearly, to squares of
    the shorter side. A given pixel size is that of a square pixel, and nothing is resampled.

    Args:
      path: image file.
      pixel_size_nm: side of a pixel; 0 takes it from the instrument's tags, if there are any.
      pixel_size_from: what a given size is from, in words.
      calibration: factor on the pixel size, whatever it is from.
      info_bar_px: rows to cut at the bottom; -1 finds the bar, 0 keeps all rows.
      dark_particles: True if the particles are darker than the ground.
      low: percentile that becomes black, see `stretch_contrast`.
      high: percentile at which highlights are compressed.
      knee: share of the range kept linear.
      in_rows: whether of a large image only rows are wanted, see `Stretched`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: unreadable file, or a bar or pixel size that cannot be.
    """
    path = Path(path)
    raw = read_image(path, levels=True)
    bar = find_info_bar(raw) if info_bar_px == -1 else info_bar_px
    if not 0 <= bar < raw.shape[0]:
        raise ValueError(
            f"info_bar_px is {info_bar_px}, but {path} has {raw.shape[0]} rows; give the number of "
            "rows to cut at the bottom, or -1 to find the bar"
        )
    raw = raw[: raw.shape[0] - bar]
    if not (pixel_size_nm >= 0 and np.isfinite(pixel_size_nm)):
        raise ValueError(
            f"pixel_size_nm is {pixel_size_nm}; give nanometres, or 0 to read the file's tags"
        )
    size, source, is_resampled = None, "unknown", False
    if pixel_size_nm:
        size, source = float(pixel_size_nm), pixel_size_from
    elif found := metadata.pixel_nm(path, width_px=raw.shape[1]):
        width, height, source = found
        size = width
        if not metadata.is_square(width, height):
            raw, size = squares.resample(raw, width, height, path)
            is_resampled = True
            source += f"; resampled, pixels were {width:g} x {height:g} nm"
    if size is not None and calibration != 1:
        size *= calibration
        source += f"; times {calibration:g}"
    contrast = {"low": low, "high": high, "knee": knee, "dark_particles": dark_particles}
    lazy = in_rows and is_large(raw)
    image = (Stretched if lazy else stretch_contrast)(raw, **contrast)
    return Micrograph(path.stem, path, image, raw, size, source, bar, is_resampled)
