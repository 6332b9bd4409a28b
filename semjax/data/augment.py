"""Augmentation in NumPy: pure functions of arrays and a seeded generator.

Images are in [-1, 1] and are clipped to it again.
"""

import numpy as np
from scipy import ndimage

BLOTCH_PX = (6.0, 24.0)  # range of the distances of the grid; their logarithm is uniform


def dihedral(*arrays: np.ndarray, generator: np.random.Generator, rotate: bool = True):
    """The same random flip and quarter turn of every array's first two axes.

    Args:
        arrays: (h, w, ...); turned by 90 degrees only where h equals w.
        generator: of this sample.
        rotate: False flips only.

    Returns:
        Contiguous arrays, as many as came.
    """
    turns = int(generator.integers(4)) if rotate else 0
    if arrays[0].shape[0] != arrays[0].shape[1]:
        turns = 2 * (turns % 2)
    flip_rows, flip_cols = generator.integers(2, size=2)
    out = []
    for array in arrays:
        array = np.rot90(array, turns)
        array = array[::-1] if flip_rows else array
        array = array[:, ::-1] if flip_cols else array
        out.append(np.ascontiguousarray(array))
    return tuple(out)


def crop(*arrays: np.ndarray, tile_px: tuple[int, int], generator: np.random.Generator):
    """The same random crop of every array (h, w, ...); arrays of the tile's size pass whole."""
    h, w = arrays[0].shape[:2]
    row = int(generator.integers(h - tile_px[0] + 1))
    col = int(generator.integers(w - tile_px[1] + 1))
    return tuple(array[row : row + tile_px[0], col : col + tile_px[1]] for array in arrays)


def blotches(image: np.ndarray, *, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Makes smooth patches of random size brighter and darker, as surfaces in micrographs are.

    Brightness is multiplied by the exponential of smoothed noise on a grid.

    Args:
        image: (h, w) float32 in [-1, 1].
        strength: largest factor on the noise, whose SD is about 0.6; uniform up to it. 0 changes
            nothing.
        generator: of this sample.

    Returns:
        (h, w) float32, at least -1, not clipped above: `photometric` does.
    """
    if strength == 0:
        return image
    shortest, longest = BLOTCH_PX
    cell = np.exp(generator.uniform(np.log(shortest), np.log(longest)))
    grid = generator.standard_normal([int(n / cell) + 3 for n in image.shape], dtype=np.float32)
    field = ndimage.zoom(grid, cell, order=1)[: image.shape[0], : image.shape[1]]
    field = ndimage.gaussian_filter(field, cell / 4)
    return (image + 1.0) * np.exp(np.float32(generator.uniform(0.0, strength)) * field) - 1.0


def photometric(
    image: np.ndarray,
    *,
    brightness: float,
    contrast: float,
    noise: float,
    blur_px: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Random blur, contrast about the mean, brightness and Gaussian noise.

    Args:
        image: (h, w) float32 in [-1, 1].
        brightness: SD of the shift.
        contrast: SD of the logarithm of the factor.
        noise: largest SD of the noise; the SD is uniform up to it.
        blur_px: largest SD of the blur; uniform up to it, half of the samples stay sharp.
        generator: of this sample.
    """
    blur = generator.uniform(-blur_px, blur_px)
    if blur > 0.2:  # a narrower Gaussian changes nothing
        image = ndimage.gaussian_filter(image, blur)
    mean = image.mean()
    image = (image - mean) * np.exp(generator.normal(0.0, contrast)) + mean
    image = image + generator.normal(0.0, brightness)
    sigma = generator.uniform(0.0, noise)
    image = image + sigma * generator.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, -1.0, 1.0).astype(np.float32)
