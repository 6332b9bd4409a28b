"""What is known of the particles: masks that a person or the simulation made, and their classes.

Nothing in the label-free workflow is chosen by it; it scores, or trains the paper's other rows.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging
from ml_collections import ConfigDict
from skimage import measure

from semjax.analysis import kept, regions, scores
from semjax.data import images, tio2
from semjax.workdir import Work

MOST_PATCHES = 20  # for each label, on average; of a micrograph each grey level has more
# Masks are often named after their image and what they are.
_ENDING = re.compile("_(m|cm|mask|masks|label|labels)$")


class Truth(NamedTuple):
    """One image's truth.

    labels: int32 (h, w), 1..N, specks dropped.
    every: the same with specks.
    verdict: int8 (N + 1,), see `kept.verdicts`; None without classes.
    sizes: one row a good particle, columns like those of `regions.measure`; None without classes.
    active: rows and columns, from the first on, in which there are classes.
    """

    labels: np.ndarray
    every: np.ndarray
    verdict: np.ndarray | None
    sizes: pd.DataFrame | None
    active: tuple[int, int]


def masks(config: ConfigDict, work: Work) -> dict[str, Path]:
    """Masks or label images of the truth by the image's name; empty if there are none."""
    d = config.data
    if d.source == "phantom" and not d.truth:
        return _by_name(work.inputs / "truth")
    given = _by_name(d.truth) if d.truth else {}
    return (_published(tio2.mask_paths(), config) if d.source == "tio2" else {}) | given


def classes(config: ConfigDict) -> dict[str, Path]:
    """Class masks by the image's name (see `kept.verdicts`); empty if there are none."""
    d = config.data
    given = _by_name(d.classes) if d.classes else {}
    return (_published(tio2.class_mask_paths(4), config) if d.source == "tio2" else {}) | given


def _published(paths: dict[str, str], config: ConfigDict) -> dict[str, Path]:
    try:
        return tio2.available(paths, folder=config.data.folder)
    except FileNotFoundError as error:  # neither a copy nor the network
        logging.warning("truth masks cannot be had: %s", error)
        return {}


def image_of(path: Path) -> str:
    """Name of the image that a file of masks or classes, or of the image itself, belongs to."""
    return _ENDING.sub("", path.stem)


def _by_name(folder: str | Path) -> dict[str, Path]:
    """Files by the name of the image that they belong to: "a_mask.png" belongs to "a.tif".

    Where both "a.tif" and "a_mask.png" are in the folder, the first is the micrograph itself.
    """
    found: dict[str, Path] = {}
    exact: dict[str, Path] = {}
    for path in images.list_images(folder):
        name = image_of(path)
        if name == path.stem:
            exact[name] = path
            continue
        if name in found:
            raise ValueError(
                f"{found[name].name} and {path.name} in {folder} both belong to the image {name!r};"
                " remove or rename one of them."
            )
        found[name] = path
    return exact | found


def check(config: ConfigDict, work: Work, pictures: list[images.Micrograph]) -> None:
    """Reads the masks and classes that somebody gave, before hours of training end with them.

    Raises:
        ValueError: masks or classes that cannot be used; the message names them.
    """
    d = config.data
    left_out = {str(name) for name in d.exclude}
    known = {picture.name: picture for picture in pictures}
    for setting, folder in (("truth", d.truth), ("classes", d.classes)):
        if not folder:
            continue
        files = _by_name(folder)
        strange = sorted(
            path.name for name, path in files.items() if name not in {*known, *left_out}
        )
        if not known.keys() & files.keys():
            raise ValueError(
                f"no file in config.data.{setting}, {folder}, is named like an image: there are "
                f"{', '.join(strange[:3])}, the images are {', '.join(list(known)[:3])}; name the "
                "mask of a.tif a.png or a_mask.png"
            )
        if strange:
            shown = ", ".join(strange[:5]) + (" and others" if len(strange) > 5 else "")
            logging.warning("config.data.%s: no image is named like %s", setting, shown)
        read_one = read_labels if setting == "truth" else read_classes
        for name in sorted(known.keys() & files.keys()):
            _check_square(files[name], known[name])
            read_one(files[name], known[name].image.shape)


def read_labels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Labels of a truth file, int32 of an image's shape.

    A picture of black and white, with soft edges or without, is a mask, whose particles are its
    4-connected components; another is a label image (see `images.is_mask`). Rows and columns
    beyond the image (an information bar) are cut.

    Raises:
        ValueError: the truth is smaller than the image, or its values cannot count particles.
    """
    picture = images.read_image(path)
    if picture.shape[0] < shape[0] or picture.shape[1] < shape[1]:
        raise ValueError(
            f"{path} has {picture.shape} px, its image {shape}; expected at least the image's size."
        )
    picture = picture[: shape[0], : shape[1]]
    if images.is_mask(picture, path):
        labels = scores.label_truth(picture > picture.max() / 2)
        _doubt_white(labels, path)
        return labels
    labels = images.read_labels(path)[: shape[0], : shape[1]]
    numbers, patches = np.unique(labels).size, measure.label(labels, background=-1).max()
    if patches > MOST_PATCHES * numbers:
        raise ValueError(
            f"{path} looks like a micrograph: its {numbers} grey levels lie in {patches} patches; "
            "expected a mask, or labels that count the particles"
        )
    return labels


def _doubt_white(labels: np.ndarray, path: Path) -> None:
    """Warns of a mask whose white is the ground: one piece of it surrounds all that is black."""
    edges = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    ground = set.intersection(*(set(edge[edge > 0].tolist()) for edge in edges))
    if any(np.mean(labels == label) > 0.5 for label in ground):
        logging.warning(
            "%s: one white piece covers more than half of it and touches all four borders; "
            "particles have to be white: invert it if they are black",
            path,
        )


def read_classes(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Colours of a class mask, see `kept.verdicts`.

    Raises:
        ValueError: it is no picture, has other columns than the image, or lacks more than a tenth
            of its rows.
    """
    colors = images.read_colors(path)
    if colors.shape[1] != shape[1] or colors.shape[0] < 0.9 * shape[0]:
        raise ValueError(
            f"{path} has {colors.shape[:2]} px, its image {shape}; expected the image's columns "
            "and, but for a few at the bottom, its rows"
        )
    return colors


def _check_square(path: Path, picture: images.Micrograph) -> None:
    if picture.is_resampled:
        raise ValueError(
            f"{path} cannot be laid over {picture.path.name}, which was resampled since its pixels "
            "are not square; save the image at square pixels and draw its mask on that, or leave "
            "it out (data.exclude)"
        )


def read(config: ConfigDict, work: Work, pictures: list[images.Micrograph]) -> dict[str, Truth]:
    """The truth of the images that have one, by name."""
    files, verdicts = masks(config, work), classes(config)
    exact = None
    if config.data.source == "phantom" and not config.data.truth:
        exact = pd.read_csv(work.inputs / "truth.csv", dtype={"image": str})
    found = {}
    for picture in pictures:
        if picture.name not in files:
            continue
        _check_square(files[picture.name], picture)
        labels = read_labels(files[picture.name], picture.image.shape)
        if exact is not None:
            found[picture.name] = _simulated(config, labels, exact[exact["image"] == picture.name])
            continue
        every, labels = labels, scores.drop_specks(labels)
        verdict, sizes, active = None, None, labels.shape
        if picture.name in verdicts:
            colors = read_classes(verdicts[picture.name], labels.shape)
            verdict, active = kept.verdicts(labels, colors), colors.shape[:2]
            table = regions.measure(labels, pixel_size_nm=picture.pixel_size_nm)
            sizes = table[verdict[table["label"]] == kept.GOOD]
        found[picture.name] = Truth(labels, every, verdict, sizes, active)
    return found


def _simulated(config: ConfigDict, labels: np.ndarray, table: pd.DataFrame) -> Truth:
    """The phantom's truth: verdicts by the share that is visible, and the bodies' exact sizes."""
    whole = (table["visible_fraction"] >= config.classify.min_visible).to_numpy()
    verdict = np.full(len(table) + 1, kept.OPEN, np.int8)
    verdict[table["label"]] = np.where(whole, kept.GOOD, kept.BAD)
    edge = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    verdict[edge] = kept.OPEN
    sizes = table[verdict[table["label"]] == kept.GOOD]
    sizes = sizes.rename(columns={"diameter_nm": "equivalent_circular_diameter_nm"})
    area = np.bincount(labels.ravel(), minlength=verdict.size)
    large = area >= scores.MIN_AREA_PX
    large[0] = True
    small = scores.drop_specks(labels)
    return Truth(small, labels, verdict[large], sizes, labels.shape)
