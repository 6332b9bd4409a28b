"""Results for ImageJ and Fiji: ROIs, calibrated TIFFs and a results table."""

from pathlib import Path

import numpy as np
import pandas as pd
import roifile
import tifffile

from semjax.analysis import bands, contours
from semjax.workdir import whole


def write_rois(path: str | Path, labels: np.ndarray) -> int:
    """Writes every particle as a region of interest (ROI) that ImageJ's ROI Manager opens.

    The ROIs follow the pixels' corners, so ImageJ counts in each exactly the label's pixels. One
    piece without holes becomes a traced ROI, as by ImageJ's wand; several pieces or holes become a
    composite one. A ROI has the label's number as its name.

    Args:
        path: the file, `RoiSet.zip` by ImageJ's habit. It is replaced if there is one. Without any
            particle it holds nothing, and ImageJ says so.
        labels: (h, w) integers, 0 background, 1..N; numbers without pixels are skipped.

    Returns:
        Number of ROIs.

    Raises:
        ValueError: not a label image.
    """
    path = Path(path)
    n, mode = 0, "w"
    with whole(path) as partial:
        for rows, particles, numbers in bands.whole(labels):
            rois = [
                _roi(str(numbers[label - 1]), [path + (rows.start, 0) for path in paths])
                for label, paths in contours.trace(particles).items()
            ]
            roifile.roiwrite(partial, rois, mode=mode)
            n, mode = n + len(rois), "a"
    return n


def _roi(name: str, paths: list[np.ndarray]) -> roifile.ImagejRoi:
    points = [path[:, ::-1] for path in paths]  # x before y
    if len(points) == 1:
        roi = roifile.ImagejRoi.frompoints(points[0], name=name)
        roi.roitype = roifile.ROI_TYPE.TRACED
        return roi
    (left, top), (right, bottom) = (f(np.concatenate(points), axis=0) for f in (np.min, np.max))
    steps = np.concatenate([_commands(path) for path in points])
    return roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT,  # with a path: a composite ROI
        name=name,
        left=int(left),
        top=int(top),
        right=int(right),
        bottom=int(bottom),
        shape_roi_size=steps.size,
        multi_coordinates=steps,
    )


def _commands(points: np.ndarray) -> np.ndarray:
    """A closed path in Java's way: 0 moves to the first point, 1 draws a line, 4 closes."""
    steps = np.ones((len(points), 3), np.float32)
    steps[0, 0] = 0
    steps[:, 1:] = points
    return np.append(steps.ravel(), np.float32(4))


def write_tiff(path: str | Path, pixels: np.ndarray, *, pixel_size_nm: float | None) -> None:
    """Writes a TIFF that opens in ImageJ with its pixel size.

    ImageJ knows uint8, uint16 and float32. Masks become uint8 0 and 255, which is what it calls a
    binary image; integers uint16 where they fit (uint8 stays) and else float32, floats float32.

    Args:
        path: the file; it is replaced if there is one.
        pixels: (h, w) bool, integers or floats; labels as they are.
        pixel_size_nm: side of a pixel; None if unknown, then ImageJ shows pixels.

    Raises:
        ValueError: pixels that are not rows and columns, whole numbers too large to stay exact, or
            a pixel size that is not positive.
    """
    if pixels.ndim != 2:
        raise ValueError(f"expected pixels in rows and columns, got the shape {pixels.shape}")
    if pixel_size_nm is not None and not 0 < pixel_size_nm < np.inf:
        raise ValueError(f"pixel_size_nm must be positive, or None if unknown, got {pixel_size_nm}")
    path = Path(path)
    calibration: dict = {"metadata": {"axes": "YX"}}
    if pixel_size_nm is not None:
        calibration["metadata"]["unit"] = "nm"
        calibration["resolution"] = (1 / pixel_size_nm, 1 / pixel_size_nm)
    pixels = _for_imagej(pixels)
    with whole(path) as partial:
        tifffile.imwrite(partial, pixels, imagej=True, compression="zlib", **calibration)


def _for_imagej(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == bool:
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixels.dtype == np.uint8 or pixels.dtype.kind == "f":
        return pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.float32, copy=False)
    low, high = int(pixels.min(initial=0)), int(pixels.max(initial=0))
    if 0 <= low and high < 2**16:
        return pixels.astype(np.uint16, copy=False)
    if max(-low, high) > 2**24:
        raise ValueError(
            f"whole numbers from {low} to {high} do not fit into a TIFF for ImageJ; expected at "
            f"most {2**24} in size"
        )
    return pixels.astype(np.float32)


def results_table(particles: pd.DataFrame, *, unit: str) -> pd.DataFrame:
    """Particles in the columns of ImageJ's results table.

    Equal to what ImageJ measures in the ROIs of `write_rois`, since both are taken on the pixels'
    corners: `Area`, `X` and `Y` (centroid from the image's upper left corner), `Mean`, `Feret`,
    `MinFeret`, `Solidity`; and, of the ellipse of equal area and second moments, `Major`, `Minor`,
    `Angle`, `AR` and `Round` (where a particle's axes are exactly those of the image, ImageJ's
    ellipse deviates by some percent). Defined otherwise: `Perim.` is Crofton's (see
    `analysis.regions.perimeters`), where ImageJ sums up the steps of the traced outline and finds
    some percent more, and `Circ.` is taken from it; like ImageJ's it is cut at 1.

    Args:
        particles: rows of `analysis.regions.measure`, with or without the `image` they are in.
        unit: "nm" or "px", the unit of the particles' lengths.

    Returns:
        One row a particle, lengths in `unit`, areas in its square, angles in degrees. `Label` is
        the image and the particle's number, as ImageJ puts it: `image:12`. `Mean` is there if
        `mean_intensity` is.
    """
    if unit not in ("nm", "px"):
        raise ValueError(f"unit must be 'nm' or 'px', got {unit!r}")
    label = particles["label"].astype(str)
    if "image" in particles:
        label = particles["image"].astype(str) + ":" + label
    area = particles["area_nm2" if unit == "nm" else "area_px"].astype(float)
    scale = np.sqrt(area / particles["area_px"])
    ratio = particles["aspect_ratio"]
    minor = np.sqrt(4 / np.pi * area / ratio)
    columns = {"Label": label, "Area": area}
    if "mean_intensity" in particles:
        columns["Mean"] = particles["mean_intensity"]
    columns |= {
        "X": scale * (particles["col"] + 0.5),
        "Y": scale * (particles["row"] + 0.5),
        "Perim.": particles[f"perimeter_{unit}"],
        "Major": ratio * minor,
        "Minor": minor,
        "Angle": particles["orientation_deg"],
        "Circ.": particles["circularity"].clip(upper=1.0),
        "Feret": particles[f"max_feret_corners_{unit}"],
        "MinFeret": particles[f"min_feret_corners_{unit}"],
        "AR": ratio,
        "Round": 1 / ratio,
        "Solidity": particles["solidity"],
    }
    return pd.DataFrame(columns)
