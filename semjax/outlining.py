"""Outlines of single particles drawn on micrographs: what is drawn, checked and saved.

Each image has a LabelMe file of its own, which `data.outlines` reads and LabelMe opens. Points are
rows and columns from the image's upper left corner: the first pixel covers 0 to 1.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from semjax.data import annotations, images, outlines
from semjax.workdir import read_json, write_json

WANTED = 40  # outlines that a quarter of an hour gives, and that the workflow was tested with
SMALLEST_PX = 9  # area; `measure.min_area_px` drops smaller particles by default
LABEL = "particle"

_DIGITS = 2  # of a pixel; napari's own numbers are not much finer


def problem(polygon: np.ndarray, shape: tuple[int, int]) -> str:
    """Why a polygon cannot be a particle's outline; empty if it can.

    Args:
        polygon: (n, 2) row and column of its corners, from the image's upper left corner.
        shape: (h, w) of the image, without the information bar.
    """
    corners = _clean(polygon)
    if len(corners) < 3:
        return "this outline has fewer than three corners; click round the particle"
    if _crosses_itself(corners):
        return "this outline crosses itself; move its corners apart or draw it again"
    mask, row, col = annotations.fill([corners[:, ::-1]])
    piece, down, right = annotations.one_piece(mask) if mask.any() else (mask, 0, 0)
    if piece.sum() < SMALLEST_PX:
        return (
            f"this outline covers {piece.sum()} px, fewer than {SMALLEST_PX}; zoom in and draw all "
            "round the particle"
        )
    (top, left), (h, w) = (row + down, col + right), piece.shape
    if min(top, left) <= 0 or top + h >= shape[0] or left + w >= shape[1]:
        return (
            "this outline reaches the image's border, which may cut the particle; draw one that "
            "can be seen whole"
        )
    return ""


def _clean(polygon: np.ndarray) -> np.ndarray:
    """Corners as they are saved, without those that repeat the one before."""
    corners = np.asarray(polygon, float).reshape(-1, 2).round(_DIGITS)
    if not np.isfinite(corners).all():
        return corners[:0]
    return corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]


def _crosses_itself(corners: np.ndarray) -> bool:
    """Whether two sides that are not neighbours have a point in common, or neighbours overlap."""
    a, b = corners, np.roll(corners, -1, axis=0)

    def turn(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Sign of the turn from p over q to r."""
        cross: np.ndarray = (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]
        return np.sign(cross)

    def between(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Whether r, on the line through p and q, lies from p to q."""
        return np.all((np.minimum(p, q) <= r) & (r <= np.maximum(p, q)), axis=-1)

    p, q, r, s = a[:, None], b[:, None], a[None], b[None]
    turns = turn(p, q, r), turn(p, q, s), turn(r, s, p), turn(r, s, q)
    meet = (turns[0] * turns[1] < 0) & (turns[2] * turns[3] < 0)
    for side, ends in zip(turns, ((p, q, r), (p, q, s), (r, s, p), (r, s, q)), strict=True):
        meet |= (side == 0) & between(*ends)
    n = len(corners)
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    if (meet & (apart > 1) & (apart < n - 1)).any():
        return True
    # A side that runs back over the one before it.
    before, after = a - np.roll(a, 1, axis=0), b - a
    straight = before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    return bool((straight & ((before * after).sum(1) < 0)).any())


class Outlining:
    """Outlines of a folder of images; every change is saved at once.

    Attributes:
        out: folder of the LabelMe files.
        paths: the images.
        at: number of the open image in `paths`.
        micrograph: the open image.
    """

    def __init__(self, folder: str | Path, out: str | Path):
        """Reads what was drawn before, and opens the last image that has an outline.

        Raises:
            FileNotFoundError: no such folder of images.
            ValueError: it holds no image, or a file in `out` is no LabelMe file of its image.
        """
        self.paths = images.list_images(Path(folder).expanduser())
        self.out = Path(out).expanduser().absolute()
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"{self.out} is a file; give --out a folder for the outlines")
        self._files = {path.stem: self._read(path) for path in self.paths}
        # As drawn, also what was refused and is not in the files.
        self._drawn = {name: _polygons(found) for name, found in self._files.items()}
        self._taken = {path.stem: self._take(path.stem) for path in self.paths}
        begun = [i for i, path in enumerate(self.paths) if self._drawn[path.stem]]
        self.open(max(begun, default=0))

    def _read(self, image: Path) -> dict[str, Any]:
        path = self._path(image.stem)
        if not path.exists():
            return {"version": "5.5.0", "flags": {}, "shapes": [], "imageData": None}
        found = read_json(path)
        try:
            named = Path(str(found["imagePath"]).replace("\\", "/")).stem
            _polygons(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is no LabelMe file ({repr(error)[:200]}); move it away or give another "
                "--out"
            ) from error
        if named != image.stem:
            raise ValueError(
                f"{path} holds outlines of {str(found['imagePath'])[:100]}, not of {image.name}; "
                "rename it or give another --out"
            )
        return found

    def _path(self, name: str) -> Path:
        return self.out / f"{name}.json"

    @property
    def name(self) -> str:
        return self.paths[self.at].stem

    @property
    def drawn(self) -> list[np.ndarray]:
        """Polygons of the open image, (n, 2) each; also those that were refused."""
        return self._drawn[self.name]

    def open(self, at: int) -> None:
        """Opens the image of this number; steps beyond the ends stay at the end.

        Raises:
            ValueError: it cannot be read.
        """
        self.at = min(max(at, 0), len(self.paths) - 1)
        self.micrograph = images.read_micrograph(self.paths[self.at])

    def draw(self, polygons: list[np.ndarray]) -> list[str]:
        """Takes over all polygons of the open image, and saves the good ones.

        Bad ones that were in the file before, drawn in another program, stay there.

        Returns:
            What is wrong with each; empty where nothing is.
        """
        shape = self.micrograph.image.shape
        self._drawn[self.name] = [np.asarray(polygon, float) for polygon in polygons]
        problems = [problem(polygon, shape) for polygon in polygons]
        found = self._files[self.name]
        noted = {_points(entry): entry for entry in found["shapes"] if _is_polygon(entry)}
        entries = [entry for entry in found["shapes"] if not _is_polygon(entry)]
        for points, wrong in zip(map(_key, polygons), problems, strict=True):
            if points in noted or not wrong:
                entries.append(noted.get(points) or _entry(points))
        if entries != found["shapes"]:
            self._save(entries)
        return problems

    def _save(self, entries: list[dict[str, Any]]) -> None:
        path, (h, w) = self._path(self.name), self.micrograph.image.shape
        self._files[self.name] |= {
            "shapes": entries,
            "imagePath": _relative(self.paths[self.at].absolute(), self.out),
            "imageHeight": h + self.micrograph.info_bar_px,
            "imageWidth": w,
        }
        if entries:
            write_json(path, self._files[self.name])
        else:
            path.unlink(missing_ok=True)
        self._taken[self.name] = self._take(self.name)

    def count(self) -> int:
        """Outlines of all images that the workflow will take."""
        return sum(len(found) for found in self._taken.values())

    def gallery(self) -> np.ndarray:
        """All outlines as the workflow takes them: uint8 0/1 (n, s, s), each alone in a square."""
        taken = [drawn for found in self._taken.values() for drawn in found]
        return outlines.arrange(taken) if taken else np.zeros((0, 16, 16), np.uint8)

    def _take(self, name: str) -> list[annotations.Drawn]:
        """What the workflow reads of an image's file."""
        if not any(_is_polygon(entry) for entry in self._files[name]["shapes"]):
            return []
        found = annotations.read(self._path(name))
        return [drawn for drawn in found if not drawn.touches_border]


Points = tuple[tuple[float, float], ...]  # x, y, as in the files


def _is_polygon(shape: dict[str, Any]) -> bool:
    return shape.get("shape_type", "polygon") == "polygon"


def _polygons(found: dict[str, Any]) -> list[np.ndarray]:
    """Polygons of a LabelMe file, rows before columns."""
    shapes = [shape for shape in found["shapes"] if _is_polygon(shape)]
    return [np.array(shape["points"], float).reshape(-1, 2)[:, ::-1] for shape in shapes]


def _key(polygon: np.ndarray) -> Points:
    return tuple((float(col), float(row)) for row, col in _clean(polygon))


def _points(shape: dict[str, Any]) -> Points:
    return _key(np.array(shape["points"], float).reshape(-1, 2)[:, ::-1])


def _entry(points: Points) -> dict[str, Any]:
    return {
        "label": LABEL,
        "points": [list(point) for point in points],
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }


def _relative(image: Path, folder: Path) -> str:
    """The image's path as LabelMe looks for it, from the folder of its file."""
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:  # another drive
        return image.as_posix()
