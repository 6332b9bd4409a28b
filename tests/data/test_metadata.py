"""Tests of reading pixel sizes."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semjax.data import metadata

IMAGE = np.zeros((8, 12), np.uint8)


def write_zeiss(path, *, exact="7.34375e-009", rounded="7.344 nm"):
    """A Zeiss tag: nameless numbers first, of which the fourth is the pixel size in metres."""
    head = ["0", "0", "0", exact, "0"] if exact else ["0", "0"]
    entries = ["AP_IMAGE_PIXEL_SIZE", f"Image Pixel Size = {rounded}"] if rounded else []
    text = "\r\n".join([*head, *entries, "DP_DETECTOR_CHANNEL", "Signal A = InLens", ""])
    tifffile.imwrite(path, IMAGE, extratags=[(34118, 2, 0, text.encode("cp1252"), True)])


def write_fei(path, *, width="2.5e-9", height="2.5e-9", section="Scan"):
    text = (
        f"[User]\r\nDate=1/1/2024\r\n[{section}]\r\nPixelWidth={width}\r\nPixelHeight={height}\r\n"
    )
    tifffile.imwrite(path, IMAGE, extratags=[(34682, 2, 0, text, True)])


def write_imagej(path, unit, density=(0.5, 0.5)):
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=density, metadata={"unit": unit})


def write_ome(path, **sizes):
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX", **sizes})


@pytest.mark.parametrize(
    "tags, size",
    [
        ({}, 7.34375),
        ({"exact": None}, 7.344),
        ({"rounded": None}, 7.34375),
        ({"exact": None, "rounded": "1.200 \u00b5m"}, 1200),
        ({"exact": "5e-3"}, 7.344),  # the head holds something else: the named entry counts
    ],
)
def test_zeiss(tmp_path, tags, size):
    write_zeiss(tmp_path / "a.tif", **tags)
    found, source = metadata.pixel_size_nm(tmp_path / "a.tif")
    assert source == "Zeiss tag"
    assert found == pytest.approx(size, rel=1e-9)


@pytest.mark.parametrize(
    "tags", [{"exact": None, "rounded": None}, {"exact": "0", "rounded": None}]
)
def test_zeiss_without_size(tmp_path, tags):
    write_zeiss(tmp_path / "a.tif", **tags)
    assert metadata.pixel_size_nm(tmp_path / "a.tif") is None


@pytest.mark.parametrize("section", ["Scan", "EScan"])
def test_fei(tmp_path, section):
    write_fei(tmp_path / "a.tif", section=section)
    assert metadata.pixel_size_nm(tmp_path / "a.tif") == (pytest.approx(2.5), "FEI tag")


def test_fei_without_size(tmp_path):
    write_fei(tmp_path / "a.tif", section="Other")
    assert metadata.pixel_size_nm(tmp_path / "a.tif") is None


@pytest.mark.parametrize(
    "unit, size",
    [
        ("nm", 2),
        ("um", 2e3),
        ("micron", 2e3),
        ("\\u00B5m", 2e3),
        ("mm", 2e6),
        ("m", 2e9),
    ],
)
def test_imagej(tmp_path, unit, size):
    write_imagej(tmp_path / "a.tif", unit)
    assert metadata.pixel_size_nm(tmp_path / "a.tif") == (pytest.approx(size), "ImageJ tag")


def test_imagej_micro_sign(tmp_path):
    description = "ImageJ=1.54f\nunit=\u00b5m\n".encode("latin-1")
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, description=description, resolution=(500, 500), metadata=None
    )
    assert metadata.pixel_size_nm(tmp_path / "a.tif") == (pytest.approx(2), "ImageJ tag")


@pytest.mark.parametrize("unit", ["pixel", "", "inch", "cm", "parsec"])
def test_imagej_without_calibration(tmp_path, unit):
    write_imagej(tmp_path / "a.tif", unit)
    assert metadata.pixel_size_nm(tmp_path / "a.tif") is None


@pytest.mark.parametrize(
    "sizes, size",
    [
        ({"PhysicalSizeX": 0.005, "PhysicalSizeY": 0.005}, 5),
        ({"PhysicalSizeX": 0.005}, 5),
        (
            {
                "PhysicalSizeX": 5,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 0.005,
                "PhysicalSizeYUnit": "\u00b5m",
            },
            5,
        ),
    ],
)
def test_ome(tmp_path, sizes, size):
    write_ome(tmp_path / "a.ome.tif", **sizes)
    assert metadata.pixel_size_nm(tmp_path / "a.ome.tif") == (pytest.approx(size), "OME-XML")


@pytest.mark.parametrize("sizes", [{}, {"PhysicalSizeX": 2, "PhysicalSizeXUnit": "pixel"}])
def test_ome_without_size(tmp_path, sizes):
    write_ome(tmp_path / "a.ome.tif", **sizes)
    assert metadata.pixel_size_nm(tmp_path / "a.ome.tif") is None


def test_resolution_of_a_printer_is_no_calibration(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, resolution=(300, 300), resolutionunit="INCH")
    assert metadata.pixel_size_nm(tmp_path / "a.tif") is None
    Image.fromarray(IMAGE).save(tmp_path / "a.png", dpi=(300, 300))
    assert metadata.pixel_size_nm(tmp_path / "a.png") is None


def test_pixels_that_are_not_square(tmp_path):
    write_fei(tmp_path / "fei.tif", height="5e-9")
    write_imagej(tmp_path / "imagej.tif", "nm", (0.5, 0.25))
    write_ome(tmp_path / "ome.tif", PhysicalSizeX=1, PhysicalSizeY=2)
    for name in ("fei.tif", "imagej.tif", "ome.tif"):
        with pytest.raises(ValueError, match=f"{name}.*square pixels"):
            metadata.pixel_size_nm(tmp_path / name)
