"""The largest inputs that are read, all in one place.

A damaged or hostile file of a few bytes may ask for any amount of memory. The limits are far above
what is sensible and keep each file below about 2 GiB while it is read; what is larger is refused
before memory is asked for.
"""

PIXELS = 2**28  # of an image: 16,384 x 16,384
IMAGE_BYTES = 2**30  # of its decoded values: so many pixels of 32 bits, or of 8 bits in colour
OUTLINE_PIXELS = 2**24  # of the box round one outline: 4,096 x 4,096
OUTLINES_PIXELS = 2**28  # of those round all outlines of a file, and of the squares made
ROI_BYTES = 2**26  # of one ROI in a zip
ROIS = 100_000  # members of a zip
TEXT_BYTES = 2**28  # of a JSON file; LabelMe may put the image into it
LABEL = 2**24  # the largest number of a particle in a label image


def expect_image(shape: tuple[int, ...], n_bytes: int) -> None:
    """Refuses an image that is too large to be read.

    Args:
      shape: rows and columns.
      n_bytes: of all its values, decoded.

    Raises:
      ValueError: it is.
    """
    height, width = shape
    if height * width > PIXELS or n_bytes > IMAGE_BYTES:
        raise ValueError(
            f"it says that it has {height:,} x {width:,} px and {n_bytes:,} bytes, but at most "
            f"{PIXELS:,} px and {IMAGE_BYTES:,} bytes are read: crop it"
        )
