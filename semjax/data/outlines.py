"""Outlines of single particles from pictures, ROIs, LabelMe and COCO files, at one pixel size."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging
from scipy import ndimage
from skimage import measure

from semjax.analysis import contours
from semjax.data import annotations, images, limits, metadata
from semjax.data.annotations import Drawn

# Components up to this share of the largest one's area are specks of a hand-drawn mask.
SPECK = 0.05
# Masks may be soft at their edges, but at most this share of them is grey in wider areas.
GREY = 0.02
# Pixel sizes that differ by less are taken as equal.
SAME_SIZE = 0.01


def read_outlines(path: str | Path, *, outline_px: int = 0) -> np.ndarray:
    """Reads outlines as squares with one particle each; `read`, `fit` and `arrange` in one.

    Args:
      path: a file or folder, see `read`.
      outline_px: side of the squares, see `arrange`.

    Returns:
      (n, s, s) uint8 0/1, in natural order of the names.
    """
    return arrange(fit(read(path)), outline_px=outline_px)


def read(path: str | Path, *, pictures: bool = True) -> list[Drawn]:
    """Reads the particles of a file, or of all files of a folder, each by its kind.

    `.roi`, `.zip` and `.json` files are read by `annotations.read`. A picture with the name of the
    image that such a file beside it was drawn on is that image; it gives the size of its pixels and
    where its border is. Every other picture shows particles:

    - It is a label image if 0 is its lowest value, and at least two and at least half of its other
      values fill a square of 3 x 3 px somewhere (those between a mask's black and white do not).
      Every 4-connected component of one value is a particle. JPEGs are never label images.
      Colours count by their luminance.
    - Otherwise it is a mask, white on black. The threshold is the middle of the range, and every
      4-connected component is a particle.

    Components of at most `SPECK` of the largest one's area are dropped, and holes are filled. A
    picture of a single particle may be cut as closely as one likes; in one of several, as in an
    image with ROIs, particles that touch the border are taken to be cut by it (see `fit`).

    Args:
      path: the file or folder.
      pictures: False where the folder's pictures are the micrographs themselves.

    Returns:
      The particles in natural order of the files.

    Raises:
      FileNotFoundError: there is no such file or folder.
      ValueError: no outlines; a file that cannot be read; a picture that is empty, is black on
        white, or is no mask.
    """
    path = Path(path)
    files = _list(path)
    beside = {p.stem: p for p in (_list(path.parent) if path.is_file() else files) if _shows(p)}
    annotated = {p: annotations.read(p) for p in files if not _shows(p)}
    if not (annotated or pictures):
        raise ValueError(
            f"no outlines in {path}, the folder of the micrographs; expected files ending in "
            f"{', '.join(annotations.SUFFIXES)}, or give masks in a folder of their own"
        )
    drawn_on = {drawn.image for found in annotated.values() for drawn in found} & beside.keys()
    known = {
        name: {
            "shape": images.read_image(beside[name]).shape,
            "pixel_size_nm": _pixel_size(beside[name]),
        }
        for name in drawn_on
    }
    particles: list[Drawn] = []
    for file in files:
        if not _shows(file):
            particles += [d._replace(**known.get(d.image, {})) for d in annotated[file]]
        elif pictures and file.stem not in drawn_on:
            particles += _read_picture(file)
    return particles


def _list(path: Path) -> list[Path]:
    """The file itself, or the files of a folder that may hold outlines, in natural order."""
    kinds = ", ".join((*images.SUFFIXES, *annotations.SUFFIXES))
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}; give the one that holds the outlines")
    files = [path] if path.is_file() else sorted(path.iterdir(), key=images.natural)
    found = [p for p in files if p.suffix.lower() in kinds.split(", ") and p.is_file()]
    found = [p for p in found if not p.name.startswith(".")]
    if not found:
        raise ValueError(f"no outlines in {path}; expected files ending in {kinds}")
    return found


def _shows(path: Path) -> bool:
    return path.suffix.lower() in images.SUFFIXES


def _pixel_size(path: Path) -> float | None:
    found = metadata.pixel_size_nm(path)
    return found[0] if found else None


def _read_picture(path: Path) -> list[Drawn]:
    """The particles of a mask picture or label image."""
    picture = images.read_image(path)
    low, high = float(picture.min()), float(picture.max())
    if low == high:
        raise ValueError(
            f"{path} is empty: all pixels have the value {low:g}; expected white particles on "
            "black, draw them or remove the file"
        )
    if not _is_label_image(picture, path):
        _expect_mask(picture, path)
        picture = picture.astype(np.float64) > (low + high) / 2
    labels = np.asarray(measure.label(picture, background=0, connectivity=1))
    areas = np.bincount(labels.ravel())[1:]
    large = np.flatnonzero(areas > SPECK * areas.max())
    boxes = ndimage.find_objects(labels)
    rows, cols = boxes[areas.argmax()]
    largest = labels[rows, cols] == areas.argmax() + 1
    filled = np.count_nonzero(ndimage.binary_fill_holes(largest))
    holes = filled - areas.max() > SPECK * areas.max()
    if largest.shape == labels.shape and (large.size > 1 or holes or filled == labels.size):
        raise ValueError(
            f"{path} has a white border all round; expected white particles on black: invert it"
        )
    if large.size < areas.size:
        logging.info("%s: %d specks are dropped", path, areas.size - large.size)
    known = {"path": path, "pixel_size_nm": _pixel_size(path)}
    if large.size > 1:
        known |= {"image": path.stem, "shape": labels.shape}
    found = []
    for i in large:
        rows, cols = boxes[i]
        particle = np.asarray(ndimage.binary_fill_holes(labels[rows, cols] == i + 1))
        found.append(Drawn(particle, rows.start, cols.start, str(path), **known))
    return found


def _is_label_image(picture: np.ndarray, path: Path) -> bool:
    if picture.min() != 0 or path.suffix.lower() in (".jpg", ".jpeg"):
        return False
    flat = ndimage.minimum_filter(picture, 3) == ndimage.maximum_filter(picture, 3)
    solid = np.count_nonzero(np.unique(picture[flat]))
    return bool(solid >= 2 and 2 * solid >= np.unique(picture).size - 1)


def _expect_mask(picture: np.ndarray, path: Path) -> None:
    """Refuses micrographs, which are grey all over and not just in thin seams of the particles."""
    values = picture.astype(np.float32)
    grey = np.abs(values - (values.min() + values.max()) / 2) < 0.4 * np.ptp(values)
    share = float((ndimage.uniform_filter(grey.astype(np.float32), 9) > 0.6).mean())
    if share > GREY:
        raise ValueError(
            f"{path} is no mask: {100 * share:.0f} % of it is grey; expected white particles on "
            "black, or whole numbers that count the particles. If it is the image that a ROI or "
            "JSON file was drawn on, give both the same name"
        )


def fit(
    drawn: Sequence[Drawn],
    pictures: Sequence[images.Micrograph] = (),
    *,
    drawn_pixel_size_nm: float = 0.0,
) -> list[Drawn]:
    """Leaves out the particles that a border cuts, and brings the others to one pixel size.

    What was drawn on a micrograph (one of the same name and width) has its pixel size; anything
    else that of its own image, if that is known, and otherwise counts as drawn at the micrographs'
    pixel size. If the micrographs' pixel sizes differ, their median is the one.

    Args:
      drawn: particles as read.
      pictures: the micrographs, where they matter: outlines have an image or a pixel size.
      drawn_pixel_size_nm: at which the outlines were drawn, whatever their files say; 0 if those
        are right.

    Returns:
      At least one particle.

    Raises:
      ValueError: the border cuts all particles, they have no pixel in the micrographs, or they were
        drawn on pixels that are not square.
    """
    named = {picture.name: picture for picture in pictures}
    found = []
    for particle in drawn:
        own = named.get(particle.image)
        if own is not None and own.is_resampled and not _is_on(particle, own):
            raise ValueError(
                f"{particle.source} was drawn on {own.path.name}, whose pixels are not square, so "
                "its particles look wider or higher than they are; draw on other images, or give "
                "masks at square pixels under other names"
            )
        if own is not None and (not particle.shape or particle.shape[1] == own.raw.shape[1]):
            size, shape = own.pixel_size_nm, own.raw.shape[:2]
            particle = particle._replace(pixel_size_nm=size, shape=shape)
        size = drawn_pixel_size_nm or particle.pixel_size_nm
        found.append(particle._replace(pixel_size_nm=size))
    whole = [particle for particle in found if not particle.touches_border]
    if found and not whole:
        raise ValueError(
            f"the image's border cuts all outlines, as in {found[0].source}; draw whole particles"
        )
    cut = Counter(particle.path for particle in found if particle.touches_border)
    for path, count in cut.items():
        logging.info("%s: %d outlines touch the image's border and are left out", path, count)
    sizes = [picture.pixel_size_nm for picture in pictures if picture.pixel_size_nm]
    if sizes:
        return _rescale(whole, float(np.median(sizes)))
    if pictures and any(particle.pixel_size_nm for particle in whole):
        logging.warning("outlines have a pixel size, the micrographs none: taken to be the same")
    return whole


def _is_on(particle: Drawn, picture: images.Micrograph) -> bool:
    """Whether it was drawn on the micrograph as it is shown, with its bar or without."""
    h, w = picture.raw.shape[:2]
    return tuple(particle.shape or ()) in ((h, w), (h + picture.info_bar_px, w))


def _rescale(drawn: Sequence[Drawn], pixel_size_nm: float) -> list[Drawn]:
    """Particles as they would be at another pixel size; those without one stay as they are."""
    scaled, told = [], set()
    for particle in drawn:
        factor = (particle.pixel_size_nm or pixel_size_nm) / pixel_size_nm
        if abs(factor - 1) > SAME_SIZE:
            if particle.path not in told:
                told.add(particle.path)
                logging.warning(
                    "%s was drawn at %.4g nm per pixel, the micrographs have %.4g: scaled by %.3g",
                    *(particle.path, particle.pixel_size_nm, pixel_size_nm, factor),
                )
            paths = contours.trace(particle.mask.astype(np.uint8))[1]
            mask = annotations.fill([factor * path[:, ::-1] for path in paths])[0]
            if not mask.any():
                raise ValueError(
                    f"the outline {particle.source} vanishes in the micrographs' pixels of "
                    f"{pixel_size_nm:g} nm; correct data.outline_pixel_size_nm"
                )
            particle = particle._replace(mask=annotations.one_piece(mask)[0])
        scaled.append(particle)
    return scaled


def arrange(drawn: Sequence[Drawn], *, outline_px: int = 0) -> np.ndarray:
    """Centres every particle (its bounding box) in a square.

    Args:
      drawn: particles.
      outline_px: side of the squares, a multiple of 16; 0 takes the largest bounding box, rounded
        up to a multiple of 16.

    Returns:
      (n, s, s) uint8 0/1.

    Raises:
      ValueError: a particle is larger than `outline_px`, or one far larger than all others.
    """
    if outline_px < 0 or outline_px % 16:
        raise ValueError(
            f"outline_px is {outline_px}; expected a multiple of 16, or 0 to fit the largest"
        )
    largest = max(max(particle.mask.shape) for particle in drawn)
    side = outline_px or -(-largest // 16) * 16
    if len(drawn) * side**2 > limits.OUTLINES_PIXELS:
        widest = max(drawn, key=lambda particle: max(particle.mask.shape))
        raise ValueError(
            f"{len(drawn):,} outlines in squares of {side} px, as the one in {widest.source} "
            "needs, are more than can be held; leave that one out, or scale the outlines down"
        )
    squares = np.zeros((len(drawn), side, side), np.uint8)
    for square, particle in zip(squares, drawn, strict=True):
        h, w = particle.mask.shape
        if max(h, w) > side:
            raise ValueError(
                f"the particle in {particle.source} is {h} x {w} px, larger than "
                f"outline_px={side}; set outline_px=0 to fit the largest particle, or scale the "
                "outlines down"
            )
        row, col = (side - h) // 2, (side - w) // 2
        square[row : row + h, col : col + w] = particle.mask
    return squares
