"""What the user gives: micrographs, outlines and, where there are some, masks of the truth.

They come from folders, from the paper's published data or from the phantom; the stages need not
know which.
"""

from pathlib import Path

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from skimage.registration import phase_cross_correlation

from semjax import phantom, truth
from semjax.analysis import kept, split, threshold
from semjax.data import crops, images, outlines, tio2
from semjax.workdir import Work


def prepare(config: ConfigDict, work: Work) -> None:
    """Makes the phantom's files, if that is the source and they are not there yet."""
    d = config.data
    if d.source == "phantom" and not work.inputs.exists():
        logging.info("simulating %d micrographs into %s", d.phantom_images, work.inputs)
        phantom.write_inputs(
            work.inputs,
            seed=config.seed,
            n_images=d.phantom_images,
            n_outlines=d.phantom_outlines,
            image_px=d.phantom_px,
            pixel_size_nm=d.phantom_pixel_size_nm,
        )


def micrographs(config: ConfigDict, work: Work) -> list[images.Micrograph]:
    """All micrographs that are not left out, in natural order.

    Raises:
        FileNotFoundError: no folder or no images.
        ValueError: an image cannot be used; the message names it.
    """
    d = config.data
    if d.source == "tio2":
        paths = tio2.fetch(list(tio2.image_paths().values()), folder=d.folder)
    else:
        folder = work.inputs / "images" if d.source == "phantom" else Path(d.images)
        paths = images.list_images(folder)
    left_out = {str(name) for name in d.exclude}  # a name of digits arrives as a number
    # A test image that is misspelt would be trained on.
    for setting, names in (("exclude", left_out), ("test_images", tested(config))):
        if unknown := names - {path.stem for path in paths}:
            raise ValueError(
                f"data.{setting} names images that are not there: {', '.join(sorted(unknown))}."
            )
    size, source = given_pixel_size(config)
    return [
        images.read_micrograph(
            path,
            pixel_size_nm=size,
            pixel_size_from=source,
            calibration=d.calibration,
            info_bar_px=d.info_bar_px,
            dark_particles=d.dark_particles,
            low=d.contrast_low,
            high=d.contrast_high,
            knee=d.contrast_knee,
        )
        for path in paths
        if path.stem not in left_out
    ]


def given_pixel_size(config: ConfigDict) -> tuple[float, str]:
    """The side of a pixel as the user gives it, by itself or by a scale bar, and what it is from.

    Returns:
        (nm, in words); 0 where nothing is given, and the images' own tags count.
    """
    d = config.data
    if d.scale_bar_px:
        bar = f"scale bar: {d.scale_bar_nm:g} nm are {d.scale_bar_px:g} px"
        return d.scale_bar_nm / d.scale_bar_px, bar
    return d.pixel_size_nm, "given"


def given_outlines(config: ConfigDict, work: Work) -> np.ndarray:
    """The user's outlines, uint8 0/1 (n, s, s), at the micrographs' pixel size."""
    d = config.data
    if d.source == "tio2":
        folder = tio2.fetch(list(tio2.outline_paths()), folder=d.folder)[0].parent
    else:
        folder = work.inputs / "outlines" if d.source == "phantom" else Path(d.outlines)
    among_images = d.source == "folder" and Path(d.images).resolve() == folder.resolve()
    drawn = outlines.read(folder, pictures=not among_images)
    # The factor holds for all sizes: those of images that outlines were drawn on, too.
    drawn = [
        particle._replace(pixel_size_nm=particle.pixel_size_nm * d.calibration)
        if particle.pixel_size_nm
        else particle
        for particle in drawn
    ]
    given = d.outline_pixel_size_nm * d.calibration
    sized = given or any(particle.image or particle.pixel_size_nm for particle in drawn)
    pictures = micrographs(config, work) if sized else []
    drawn = outlines.fit(drawn, pictures, drawn_pixel_size_nm=given)
    return outlines.arrange(drawn, outline_px=config.shapes.outline_px)


def trainable(config: ConfigDict, work: Work, section: str, names: set[str]) -> set[str]:
    """Those images whose given masks, and classes, `segment` or `classify` will learn from.

    Args:
        config: all settings.
        work: the work folder.
        section: segment with other pairs than synthetic ones, or classify with manual labels.
        names: of all images.
    """
    names = names - tested(config)
    if section == "segment" and config.segment.pairs == "tsem":
        return names & tio2.available(tio2.tsem_image_paths(), folder=config.data.folder).keys()
    names &= truth.masks(config, work).keys()
    return names & truth.classes(config).keys() if section == "classify" else names


def manual_labels(config: ConfigDict, work: Work, shapes: dict[str, tuple]) -> dict:
    """Labels of the manual masks that there are, by the image's name.

    Args:
        config: all settings.
        work: the work folder.
        shapes: (h, w) of each image by name.

    Raises:
        FileNotFoundError: there are none.
    """
    names = set(shapes) - tested(config)
    found = {name: path for name, path in truth.masks(config, work).items() if name in names}
    if not found:
        raise FileNotFoundError(
            "training on manual masks (segment.pairs='manual') needs masks named like the images; "
            "give their folder as data.truth."
        )
    return {name: truth.read_labels(path, shapes[name]) for name, path in found.items()}


def tsem_labels(config: ConfigDict, work: Work, shapes: dict[str, tuple]) -> dict:
    """Labels made from the published TSEM pictures, in the SEM images' coordinates.

    The TSEM picture's information bar is cut, it is inverted and thresholded by Otsu, touching
    particles are split by a watershed, and the result is shifted by the published translation or,
    where there is none, by our own phase correlation.

    Raises:
        ValueError: the data set has no TSEM pictures.
    """
    if config.data.source != "tio2":
        raise ValueError("segment.pairs='tsem' needs TSEM pictures: data.source must be 'tio2'.")
    paths = tio2.available(tio2.tsem_image_paths(), folder=config.data.folder)
    if not paths:
        raise FileNotFoundError("the copy of the published data holds no TSEM pictures.")
    shifts = tio2.shifts(folder=config.data.folder)
    made = {}
    for name in sorted((set(paths) & set(shapes)) - tested(config)):
        h, w = shapes[name]
        picture = images.read_image(paths[name]).astype(np.float32)[:h, :w]
        inverted = picture.max() - picture
        mask = inverted > threshold.otsu(inverted)
        labels = split.watershed(mask, min_distance_px=9)
        if config.segment.registration == "published" and name in shifts:
            dy, dx = shifts[name]
        else:
            sem = images.read_image(_tio2_image(config, name))[:h, :w]
            (dy, dx), _, _ = phase_cross_correlation(threshold.foreground(sem), mask)
        made[name] = shift_labels(labels, rows=round(dy), cols=round(dx))
    return made


def _tio2_image(config: ConfigDict, name: str) -> Path:
    return tio2.fetch([tio2.image_paths()[name]], folder=config.data.folder)[0]


def tested(config: ConfigDict) -> set[str]:
    """Names of the images that no given mask may train on."""
    return {str(name) for name in config.data.test_images}


def shift_labels(labels: np.ndarray, *, rows: int, cols: int) -> np.ndarray:
    """Labels moved down by `rows` and right by `cols` px; what enters is background."""
    h, w = labels.shape
    moved = np.zeros_like(labels)
    moved[max(rows, 0) : h + min(rows, 0), max(cols, 0) : w + min(cols, 0)] = labels[
        max(-rows, 0) : h + min(-rows, 0), max(-cols, 0) : w + min(-cols, 0)
    ]
    return moved


def manual_classes(config: ConfigDict, work: Work, shapes: dict[str, tuple]) -> dict:
    """Labels of the manual masks with a person's verdict on each particle.

    Returns:
        (labels, verdict) by the image's name; see `kept.verdicts`.

    Raises:
        FileNotFoundError: there are no class masks.
    """
    files = truth.classes(config)
    if not files:
        raise FileNotFoundError(
            "classify.labels='manual' needs class masks named like the images; "
            "give their folder as data.classes."
        )
    made = {}
    for name, labels in manual_labels(config, work, shapes).items():
        if name not in files:
            continue
        colors = truth.read_classes(files[name], labels.shape)
        made[name] = (labels, kept.verdicts(labels, colors))
    return made


def unlabelled(config: ConfigDict, pictures: list[images.Micrograph]) -> list[images.Micrograph]:
    """The micrographs that trainings without masks may see.

    All of them, as in the paper ("transductive"); with `data.clean` those that are not tested.

    Raises:
        ValueError: every image is a test image.
    """
    if not config.data.clean:
        return pictures
    seen = [picture for picture in pictures if picture.name not in tested(config)]
    if not seen:
        raise ValueError(
            "data.clean leaves no micrograph to learn from: data.test_images names all of them."
        )
    return seen


def training_crops(
    config: ConfigDict, pictures: list[images.Micrograph], tile_px: tuple[int, int]
) -> crops.Crops:
    """Tiles of the micrographs that train `translate` and whose density `masks` matches."""
    t = config.translate
    return crops.choose(
        [picture.image for picture in pictures],
        [threshold.foreground(picture.image) for picture in pictures],
        tile_px=tile_px,
        tiles=t.tiles,
        foreground_range=t.foreground_range,
        brightness_ratio=t.brightness_ratio,
    )
