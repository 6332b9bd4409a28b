"""Pictures of common file formats decoded; what is absurdly large is refused before."""

from pathlib import Path
from typing import IO

import numpy as np
import tifffile
from PIL import Image

from semjax.data import limits
from semjax.data.contrast import LARGE_PX

# What Pillow may take a file for, whatever its name says. It could do more, run PostScript even.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")

# Pillow warns of pictures of more pixels, and refuses twice as many: `open_picture` comes before.
if Image.MAX_IMAGE_PIXELS is not None:
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, 2 * limits.PIXELS)


def open_picture(file: Path | IO[bytes]) -> Image.Image:
    """Opens a picture with Pillow, to be closed by the caller; its values are not decoded yet.

    Raises:
      ValueError: it is too large. Pillow's decoders raise errors of any other type, too.
    """
    picture = Image.open(file, formats=FORMATS)
    try:
        # Four bytes a pixel are the most that Pillow has.
        limits.expect_image(picture.size[::-1], picture.width * picture.height * 4)
    except ValueError:
        picture.close()
        raise
    return picture


def decode(path: Path) -> np.ndarray:
    """The values of an image file, (h, w) or (h, w, k) as stored; damaged ones raise any error."""
    if path.suffix.lower() in (".tif", ".tiff"):
        try:
            return _decode_tiff(path)
        except tifffile.TiffFileError:
            pass  # another format under a TIFF's name: Pillow looks at the content
        except ValueError as error:
            # tifffile leaves some compressions (LZW) to an optional package; Pillow has its own.
            if "imagecodecs" not in str(error):
                raise
    with open_picture(path) as picture:
        if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            picture = picture.convert("RGB")
        image = np.asarray(picture)
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 2 else image


def count_planes(path: Path) -> int:
    """How many images of the first one's size a TIFF holds; 1 for other files and damaged ones."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    try:
        with tifffile.TiffFile(path) as tif:
            first, series = tif.pages.first, tif.series[0]
            if tif.is_shaped and first.shape[-1] in (3, 4):  # see `_decode_tiff`
                return 1
            alike = sum(page.shape == first.shape for page in tif.pages)
            return max(alike, series.size // max(first.size, 1))
    except Exception:  # decoders raise errors of any type for damaged files
        return 1


def palette(path: Path) -> np.ndarray | None:
    """The colours that a file's values stand for, uint8 (n, 3); None if they stand for themselves.

    Files that cannot be read have none: `decode` says what is wrong with them.
    """
    try:
        with open_picture(path) as picture:
            colors = picture.getpalette("RGB") if picture.mode == "P" else None
            return None if colors is None else np.array(colors, np.uint8).reshape(-1, 3)
    except Exception:
        return None


def _decode_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        _expect_possible(page)
        # Its own description says whether tifffile wrote a colour image without saying so: every
        # row became a page then.
        if tif.is_shaped and page.ndim == 2 and page.shape[1] in (3, 4):
            series = tif.series[0]
            if series.ndim == 3 and series.shape[1:] == page.shape:
                limits.expect_image(series.shape[:2], series.nbytes)
                return series.asarray()
        # Large ones lie in a file and not in memory.
        image = page.asarray(out="memmap" if page.size > LARGE_PX else None)
        if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            raise ValueError("the colours are CMYK")
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        # Python's own boolean masks say "white is zero" by default without meaning it.
        by_default = image.dtype == bool and page.software.startswith("tifffile")
        if white_is_zero and not by_default and image.dtype.kind in "bu":
            image = ~image if image.dtype == bool else 2**page.bitspersample - 1 - image
        if page.axes.startswith("S"):
            image = np.moveaxis(image, 0, -1)
        if image.ndim == 3 and "S" in page.axes and image.shape[-1] not in (3, 4):
            image = image[..., 0]
        while image.ndim > 2 and "S" not in page.axes:
            image = image[0]
        return image


def _expect_possible(page: tifffile.TiffPage) -> None:
    """Refuses a page whose entries ask for more memory than any image needs.

    Raises:
      ValueError: it does.
    """
    size = np.dtype(page.dtype or np.uint8).itemsize * page.samplesperpixel
    plane = (page.imagelength, page.imagewidth)
    limits.expect_image(plane, page.imagedepth * page.imagelength * page.imagewidth * size)
    tile = page.tiledepth * page.tilelength * page.tilewidth * size
    if page.is_tiled:
        limits.expect_image((page.tilelength, page.tilewidth), tile)
    piece = tile if page.is_tiled else page.nbytes
    # Deflate packs a thousand bytes into one, and some decoders unpack all that they are given.
    if page.compression > 1 and max(page.databytecounts, default=0) > 2 * piece + 2**16:
        raise ValueError("its compressed pieces are larger than the image")
