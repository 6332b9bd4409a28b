"""Outlines of particles drawn on micrographs: ImageJ ROIs, LabelMe and COCO.

In all three, coordinates count from the image's upper left corner, so pixel (row, column) has its
centre at x = column + 0.5, y = row + 0.5; it belongs to an outline if its centre is inside. ImageJ
fills its ROIs by the same rule, so an exported ROI gives its label back exactly.
"""

import base64
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import roifile
from absl import logging
from scipy import ndimage
from skimage import measure

from semjax.data import decoding, limits

SUFFIXES = (".roi", ".zip", ".json")


class Drawn(NamedTuple):
    """One particle, drawn by a person.

    Attributes:
      mask: (h, w) bool, the bounding box of one piece without holes.
      row: of the box's first row in the image it was drawn on.
      col: of the box's first column.
      source: the file, and the outline's name in it where it has one; for messages.
      path: the file.
      image: name without suffix of the image it was drawn on; "" if not known.
      shape: (h, w) of that image, None if not known.
      pixel_size_nm: side of a pixel in nm, None if not known.
    """

    mask: np.ndarray
    row: int
    col: int
    source: str
    path: Path
    image: str = ""
    shape: tuple[int, int] | None = None
    pixel_size_nm: float | None = None

    @property
    def touches_border(self) -> bool:
        """Whether the image's border cuts the particle; False where the image is not known."""
        if self.shape is None:
            return False
        h, w = self.mask.shape
        inside = self.row > 0 and self.col > 0
        return not (inside and self.row + h < self.shape[0] and self.col + w < self.shape[1])


def one_piece(mask: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The largest piece of a mask with its holes filled, cut to its bounding box.

    Diagonal neighbours belong together, as in ImageJ's traced ROIs.

    Args:
      mask: (h, w) bool, with at least one pixel set.

    Returns:
      (h, w) bool, and the box's first row and column.

    Raises:
      ValueError: its bounding box is too large to be true.
    """
    rows, cols = ndimage.find_objects(mask.astype(np.uint8))[0]
    _expect_size(rows.stop - rows.start, cols.stop - cols.start)
    top, left = rows.start, cols.start
    pieces = np.asarray(measure.label(mask[rows, cols], connectivity=2))
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    rows, cols = ndimage.find_objects(pieces)[largest - 1]
    filled = np.asarray(ndimage.binary_fill_holes(pieces[rows, cols] == largest))
    return filled, top + rows.start, left + cols.start


def read(path: str | Path) -> list[Drawn]:
    """Reads the particles of one file.

    - `.roi`, and `.zip` of these: ImageJ's areas (rectangle, oval, polygon, freehand, traced,
      composite; a fitted spline counts as its polygon). They tell no image; it is taken to be the
      one of the file's name, with or without "RoiSet" at its end.
    - `.json` with "shapes": LabelMe (polygon, rectangle, circle, mask). Shapes of one `group_id`
      are parts of one particle.
    - `.json` with "annotations": COCO (polygons, and run lengths that are not compressed).

    What encloses no pixel (points, lines, texts) is left out, with a line in the log. Of a particle
    in several pieces the largest is taken, and its holes are filled.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: damaged, of another kind, or without any outline; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give outlines as {', '.join(SUFFIXES)}")
    reader = {".roi": _read_roi, ".zip": _read_zip, ".json": _read_json}[path.suffix.lower()]
    found, size = [], 0
    try:
        for drawn in reader(path):
            found.append(drawn)
            size += drawn.mask.size
            if size > limits.OUTLINES_PIXELS:
                raise ValueError(f"its first {len(found)} outlines alone have {size:,} px")
    except Exception as error:  # a damaged file may raise any error
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"cannot read the outlines in {path}: {str(reason)[:200]}; save it again with the "
            "program that it was drawn with"
        ) from error
    if not found:
        raise ValueError(f"{path} holds no outline that encloses a pixel; draw areas, not lines")
    return found


def fill(paths: Sequence[np.ndarray]) -> tuple[np.ndarray, int, int]:
    """Pixels whose centres lie inside closed paths, by the even-odd rule.

    Args:
      paths: (n, 2) x and y of the points of each, in pixels from the image's upper left corner.

    Returns:
      (h, w) bool, the box round all paths, and its first row and column in the image.

    Raises:
      ValueError: no finite numbers, or a box too large to be true.
    """
    start = np.concatenate(paths).astype(np.float64)
    end = np.concatenate([np.roll(path, -1, axis=0) for path in paths]).astype(np.float64)
    if start.ndim != 2 or start.shape[1] != 2 or not np.isfinite(start).all():
        raise ValueError("expected points of two finite numbers, x and y")
    left, top = np.floor(start.min(axis=0))
    width, height = np.ceil(start.max(axis=0)) - (left, top)
    _expect_size(height, width)
    start, end = start - (left, top), end - (left, top)
    swapped = (start[:, 1] > end[:, 1])[:, None]
    upper, lower = np.where(swapped, end, start), np.where(swapped, start, end)
    # A line crosses the rows whose centres are below its upper end, and not below its lower end.
    first = np.floor(upper[:, 1] + 0.5).astype(np.int64)
    count = np.floor(lower[:, 1] + 0.5).astype(np.int64) - first
    if count.sum() > limits.OUTLINE_PIXELS:
        raise ValueError("an outline runs up and down too often to be true")
    line = np.repeat(np.arange(len(count)), count)
    row = first[line] + np.arange(line.size) - np.repeat(np.cumsum(count) - count, count)
    (x, y), (dx, dy) = upper[line].T, (lower - upper)[line].T
    # A centre on the line itself is left of it. All this as in ImageJ.
    col = np.floor(x + (row + 0.5 - y) * dx / dy + 0.5).astype(np.int64)
    crossed = np.zeros((int(height), int(width) + 1), bool)
    np.logical_xor.at(crossed, (row, col), True)
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1], int(top), int(left)


def _ellipse(left: float, top: float, right: float, bottom: float) -> tuple[np.ndarray, int, int]:
    """Pixels whose centres lie inside the ellipse of a box; as `fill`."""
    if not np.isfinite([left, top, right, bottom]).all():
        raise ValueError("expected finite numbers")
    first_row, first_col = math.floor(top), math.floor(left)
    height, width = math.ceil(bottom) - first_row, math.ceil(right) - first_col
    _expect_size(height, width)
    y = (first_row + np.arange(height) + 0.5 - (top + bottom) / 2) / max((bottom - top) / 2, 1e-9)
    x = (first_col + np.arange(width) + 0.5 - (left + right) / 2) / max((right - left) / 2, 1e-9)
    return y[:, None] ** 2 + x**2 <= 1, first_row, first_col


def _expect_size(height: float, width: float, largest: int = limits.OUTLINE_PIXELS) -> None:
    if not (height >= 0 and width >= 0 and height * width <= largest):
        raise ValueError(f"an outline of {height:g} x {width:g} px cannot be")


def _drawn(
    filled: tuple[np.ndarray, int, int] | None, path: Path, name: str, **known
) -> Iterator[Drawn]:
    """One particle from the pixels inside its outline; none if there are no pixels."""
    if filled is None or not filled[0].any():
        logging.warning("%s: %s encloses no pixel and is left out", path, name or "an outline")
        return
    mask, row, col = filled
    piece, down, right = one_piece(mask)
    source = f"{path} ({name})" if name else str(path)
    yield Drawn(piece, row + down, col + right, source, path, **known)


def _read_roi(path: Path) -> Iterator[Drawn]:
    _expect_bytes(path.stat().st_size, limits.ROI_BYTES, "it")
    yield from _take_roi(path.read_bytes(), path, "")


def _expect_bytes(found: int, largest: int, what: str) -> None:
    if found > largest:
        raise ValueError(f"{what} has {found:,} bytes, more than {largest:,}")


def _read_zip(path: Path) -> Iterator[Drawn]:
    with zipfile.ZipFile(path) as archive:
        if len(archive.filelist) > limits.ROIS:
            raise ValueError(f"it has {len(archive.filelist):,} members, more than {limits.ROIS:,}")
        for entry in archive.infolist():
            inside = PurePosixPath(entry.filename.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts:
                raise ValueError(f"the entry {entry.filename} points out of the archive")
            if inside.suffix.lower() != ".roi" or inside.name.startswith("."):
                continue
            _expect_bytes(entry.file_size, limits.ROI_BYTES, f"the entry {entry.filename}")
            yield from _take_roi(archive.read(entry), path, inside.stem)


def _take_roi(data: bytes, path: Path, name: str) -> Iterator[Drawn]:
    roi = roifile.ImagejRoi.frombytes(data)
    image = re.sub(r"[ _.-]?roiset$", "", path.stem, flags=re.I)
    types, overlays = roifile.ROI_TYPE, (roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.IMAGE)
    if roi.subtype in overlays:
        filled = None
    elif roi.composite:
        filled = fill(roi.coordinates(multi=True))
    elif roi.roitype == types.OVAL:
        filled = _ellipse(roi.left, roi.top, roi.right, roi.bottom)
    elif roi.roitype == types.RECT:
        filled = fill([_box(roi.left, roi.top, roi.right, roi.bottom)])
    elif roi.roitype in (types.POLYGON, types.FREEHAND, types.TRACED):
        filled = fill([roi.coordinates()])
    else:
        filled = None
    yield from _drawn(filled, path, name, image=image)


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _read_json(path: Path) -> Iterator[Drawn]:
    _expect_bytes(path.stat().st_size, limits.TEXT_BYTES, "it")
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, dict) and "shapes" in content:
        return _read_labelme(content, path)
    if isinstance(content, dict) and "annotations" in content:
        return _read_coco(content, path)
    raise ValueError('expected "shapes", as LabelMe writes, or "annotations" and "images", as COCO')


def _stem(name: str) -> str:
    """Name of an image without folders and suffix, whichever system wrote it."""
    return PurePosixPath(name.replace("\\", "/")).stem


def _union(parts: Sequence[tuple[np.ndarray, int, int]]) -> tuple[np.ndarray, int, int]:
    """Pixels in any of the parts, each a box with its first row and column."""
    top, left = min(part[1] for part in parts), min(part[2] for part in parts)
    bottom = max(row + len(mask) for mask, row, _ in parts)
    right = max(col + mask.shape[1] for mask, _, col in parts)
    _expect_size(bottom - top, right - left)
    whole = np.zeros((bottom - top, right - left), bool)
    for mask, row, col in parts:
        h, w = mask.shape
        whole[row - top : row - top + h, col - left : col - left + w] |= mask
    return whole, top, left


def _read_labelme(content: dict[str, Any], path: Path) -> Iterator[Drawn]:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    known: dict[str, Any] = {"image": _stem(content.get("imagePath") or path.name)}
    if height and width:
        known["shape"] = (int(height), int(width))
    groups: dict[Any, list] = {}
    for number, shape in enumerate(content["shapes"], start=1):
        group = shape.get("group_id")
        own = ("alone", number) if group is None else (group, shape.get("label"))
        groups.setdefault(own, []).append((number, shape))
    for shapes in groups.values():
        name = " + ".join(f"shape {number}" for number, _ in shapes)
        filled = [part for _, shape in shapes if (part := _fill_labelme(shape)) is not None]
        yield from _drawn(_union(filled) if filled else None, path, name, **known)


def _fill_labelme(shape: dict[str, Any]) -> tuple[np.ndarray, int, int] | None:
    kind, points = shape.get("shape_type") or "polygon", np.array(shape["points"], np.float64)
    if kind == "polygon" and len(points) >= 3:
        return fill([points])
    if kind == "rectangle":
        return fill([_box(*points.min(axis=0), *points.max(axis=0))])
    if kind == "circle":
        centre, radius = points[0], np.hypot(*(points[1] - points[0]))
        return _ellipse(*(centre - radius), *(centre + radius))
    if kind == "mask":
        with decoding.open_picture(io.BytesIO(base64.b64decode(shape["mask"]))) as picture:
            mask = np.asarray(picture.convert("L")) > 0
        left, top = np.rint(points.min(axis=0))
        return mask, int(top), int(left)
    return None


def _read_coco(content: dict[str, Any], path: Path) -> Iterator[Drawn]:
    images = {image["id"]: image for image in content["images"]}
    for number, annotation in enumerate(content["annotations"], start=1):
        name = f"annotation {annotation.get('id', number)}"
        if annotation["image_id"] not in images:
            raise ValueError(f"{name} belongs to the image {annotation['image_id']}, which is not")
        image = images[annotation["image_id"]]
        shape = (int(image["height"]), int(image["width"]))
        segmentation = annotation.get("segmentation") or []
        if isinstance(segmentation, dict):
            filled = _fill_runs(segmentation)
        else:
            rings = [np.array(ring, np.float64).reshape(-1, 2) for ring in segmentation]
            filled = _union([fill([ring]) for ring in rings]) if rings else None
        yield from _drawn(filled, path, name, image=_stem(image["file_name"]), shape=shape)


def _fill_runs(runs: dict[str, Any]) -> tuple[np.ndarray, int, int]:
    """Pixels from lengths of runs, outside and inside by turns, down the columns."""
    (height, width), counts = runs["size"], runs["counts"]
    if isinstance(counts, str):
        raise ValueError("its run lengths are compressed; export polygons, or plain run lengths")
    _expect_size(height, width, limits.PIXELS)
    if sum(counts) != height * width or min(counts) < 0:
        raise ValueError(f"run lengths do not fill the image of {height} x {width} px")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return inside.reshape(width, height).T, 0, 0
