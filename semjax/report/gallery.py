"""What there is to see of each stage in a work folder; the report and the notebook show it."""

import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image

from semjax.report import figures
from semjax.workdir import STAGES, Work

FOLDERS = {"inputs": "inputs"} | {name: Work("").stage(name).name for name in STAGES}

# What the libraries raise on files that are cut off or are not what their names say.
READ_ERRORS = (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, SyntaxError)


class Picture(NamedTuple):
    """One picture and what it shows."""

    caption: str
    pixels: np.ndarray  # uint8 (h, w, 3)
    is_diagram: bool  # dark ink on white, as opposed to a picture of pixels


class Source(NamedTuple):
    """Where a picture comes from: `make` turns the files that match the patterns into pixels."""

    caption: str
    patterns: tuple[str, ...]  # relative to the work folder
    make: Callable[[list[Path]], np.ndarray]
    is_diagram: bool = False


def list_pictures(work: Path, stage: str, *, notes: list[str] | None = None) -> list[Picture]:
    """Collects the pictures of one stage, as far as its files are there.

    Args:
        work: the work folder.
        stage: a key of `FOLDERS`.
        notes: gets a sentence for each picture whose files could not be read.

    Returns:
        Pictures in the order in which they explain the stage; empty before it has run.
    """
    pictures = []
    for source in SOURCES[stage]:
        # Patterns after the first only go beside it: masks beside the fakes made of them.
        matches = [sorted(Path(work).glob(pattern)) for pattern in source.patterns]
        if not matches[0]:
            continue
        try:
            pixels = source.make([path for paths in reversed(matches) for path in paths])
        except READ_ERRORS as error:
            if notes is not None:
                notes.append(f"{matches[0][0].relative_to(work)} could not be shown: {error}")
            continue
        pictures.append(Picture(source.caption, pixels, source.is_diagram))
    return pictures


def read_picture(file: Path | BinaryIO) -> np.ndarray:
    """A picture file that browsers can show as uint8 (h, w, 3)."""
    with Image.open(file) as picture:
        return np.array(picture.convert("RGB"))


def read_pages(path: Path, n: int) -> list[np.ndarray]:
    """The first `n` pages of a TIFF, each made visible by `show_array`; the rest is not read."""
    with tifffile.TiffFile(path) as stack:
        return [show_array(page.asarray()) for page in stack.pages[:n]]


def show_array(array: np.ndarray) -> np.ndarray:
    """Makes an array (h, w) of any kind visible as uint8 (h, w, 3).

    uint8 is taken for grey levels (for a mask if it holds only 0 and 1), other integers for labels,
    floating point for an image in [-1, 1] or, without negative values, in [0, 1].
    """
    if array.dtype == np.uint8:
        return figures.to_rgb(array * np.uint8(255) if array.max(initial=0) <= 1 else array)
    if np.issubdtype(array.dtype, np.integer):
        return figures.color_labels(array)
    if np.issubdtype(array.dtype, np.floating) and array.min(initial=0) >= 0:
        array = 2 * array - 1
    return figures.to_rgb(array)


def newest(paths: list[Path]) -> list[Path]:
    """Of pictures drawn during training those of the last step, the last number in their names."""
    numbers = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    last = max((found[-1] for found in numbers if found), default=None)
    return [
        path for path, found in zip(paths, numbers, strict=True) if found and found[-1] == last
    ] or paths[-1:]


def _sheet_files(paths: list[Path], *, n: int, columns: int, named: bool = False) -> np.ndarray:
    """A sheet of the first n files, each a picture or a TIFF of which the first page counts."""
    paths = paths[:n]
    pictures = [
        read_pages(path, 1)[0] if path.suffix in (".tif", ".tiff") else read_picture(path)
        for path in paths
    ]
    return figures.sheet(
        pictures, columns=columns, captions=[path.stem for path in paths] if named else None
    )


def _sheet_samples(paths: list[Path]) -> np.ndarray:
    paths = newest(paths)[:3]
    return _sheet_files(paths, n=3, columns=1, named=len(paths) > 1)


def _sheet_stacks(paths: list[Path], *, n: int) -> np.ndarray:
    """The first n pages of each stack: one row a stack, or two rows of a single one."""
    pages = [read_pages(path, n) for path in paths]
    columns = min(map(len, pages)) if len(pages) > 1 else -(-len(pages[0]) // 2)
    return figures.sheet([page for stack in pages for page in stack[:n]], columns=columns)


def _sheet_outlines(paths: list[Path]) -> np.ndarray:
    with np.load(paths[0]) as arrays:
        outlines = arrays["outlines"][:48]
    return figures.sheet([show_array(outline) for outline in outlines], columns=12)


def _draw_curves(paths: list[Path]) -> np.ndarray:
    return read_picture(BytesIO(figures.curves(paths[0])))


def _training(folder: str, samples: str) -> list[Source]:
    return [
        Source("Training curves", (f"{folder}/metrics.jsonl",), _draw_curves, True),
        Source(samples, (f"{folder}/samples/*.png",), _sheet_samples),
    ]


_pictures = partial(_sheet_files, n=4, columns=2, named=True)
_stacks = partial(_sheet_stacks, n=4)

SOURCES = {
    "inputs": [
        Source("The first micrographs", ("inputs/images/*.tif",), _pictures),
        Source(
            "The first outlines given",
            ("inputs/outlines/*.png",),
            partial(_sheet_files, n=24, columns=12),
        ),
    ],
    "shapes": [
        Source(
            "The first outlines given",
            ("1_shapes/given.png",),
            partial(_sheet_files, n=1, columns=1),
        ),
        *_training("1_shapes", "Outlines drawn at the last check during training"),
        Source("Outlines for the masks", ("1_shapes/outlines.npz",), _sheet_outlines),
    ],
    "masks": [
        Source(
            "The first masks, a colour a particle",
            ("2_masks/labels.tif",),
            partial(_sheet_stacks, n=8),
        ),
    ],
    "translate": [
        *_training("3_translate", "Samples of the last check during training"),
        Source(
            "Masks, and the micrographs made of them",
            ("2_masks/masks.tif", "3_translate/fakes.tif"),
            _stacks,
        ),
        Source("Masks made of real micrographs", ("3_translate/gan_masks/*.tif",), _pictures),
    ],
    "filter": [
        Source(
            "What the filter changed", ("4_filter/sample.png",), partial(_pictures, named=False)
        ),
        Source("Labels after the filter", ("4_filter/labels.tif",), partial(_sheet_stacks, n=8)),
    ],
    "segment": _training("5_segment", "Samples of the last check during training"),
    "classify": _training("6_classify", "Samples of the last check during training"),
    "measure": [
        Source(
            "Distributions",
            ("7_measure/histogram_*.png",),
            partial(_sheet_files, n=8, columns=2),
            True,
        ),
        Source("Particles found, a colour each", ("7_measure/labels/*.tif",), _pictures),
    ],
    "score": [],
}
