"""Tests of the texts that instruments write beside and into their images."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semjax.data import images, metadata

IMAGE = np.zeros((16, 64), np.uint8)
JEOL = """\
$CM_FORMAT JEOL/SEM
$CM_INSTRUMENT JSM-7800F
$CM_SIGNAL LED
$CM_MAG 30000
$CM_ACCEL_VOLT 5.00
$CM_DATE 2019/03/12
$CM_TIME 10:21:55
$CM_FULL_SIZE 64 16
$$SM_WD 6.0
$$SM_MICRON_BAR 125
$$SM_MICRON_MARKER 500nm
"""
HITACHI = """\
[SemImageFile]
InstructName=SU8010
SampleName=silica
Date=2021/05/06
Time=12:13:14
DataSize=64x16
PixelSize=9.921875
SignalName=SE(U)
AcceleratingVoltage=5000 Volt
Magnification=10000
WorkingDistance=8000 um
"""
TESCAN = """\
[MAIN]
Date=2020-10-01
Time=09:08:07
Device=MIRA3
Magnification=25000
PixelSizeX=2.5e-9
PixelSizeY=2.5e-9
[SEM]
Detector=SE
HV=15000
WD=0.0051
"""


def write(folder, name, text=None, encoding="utf-8", suffix=".tif"):
    """An image without tags, and a text beside it."""
    path = folder / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, IMAGE, metadata=None)
    else:
        Image.fromarray(IMAGE).save(path)
    if text is not None:
        (folder / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    return path


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".png"])
def test_jeol(tmp_path, suffix):
    path = write(tmp_path, "a.txt", JEOL, suffix=suffix)
    assert metadata.pixel_size_nm(path) == (pytest.approx(4), "JEOL side file")
    assert metadata.instrument(path) == {
        "maker": "JEOL",
        "model": "JSM-7800F",
        "accelerating voltage": "5 kV",
        "working distance": "6 mm",
        "detector": "LED",
        "magnification": "30000 x",
        "date": "2019/03/12 10:21:55",
    }


@pytest.mark.parametrize(
    ("marker", "size"), [("1um", 8), ("0.5um", 4), ("1.0 um", 8), ("1\u00b5m", 8), ("1mm", 8000)]
)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_jeol_s_units(tmp_path, marker, size, encoding):
    path = write(tmp_path, "A.TXT", JEOL.replace("500nm", marker), encoding)
    assert metadata.pixel_size_nm(path) == (pytest.approx(size), "JEOL side file")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_hitachi(tmp_path, encoding):
    path = write(tmp_path, "a.txt", HITACHI, encoding)
    assert metadata.pixel_size_nm(path) == (9.921875, "Hitachi side file")
    assert metadata.instrument(path) == {
        "maker": "Hitachi",
        "model": "SU8010",
        "accelerating voltage": "5 kV",
        "working distance": "8 mm",
        "detector": "SE(U)",
        "magnification": "10000 x",
        "date": "2021/05/06 12:13:14",
    }


TESCAN_SAYS = {
    "maker": "TESCAN",
    "model": "MIRA3",
    "accelerating voltage": "15 kV",
    "working distance": "5.1 mm",
    "detector": "SE",
    "magnification": "25000 x",
    "date": "2020-10-01 09:08:07",
}


@pytest.mark.parametrize("name", ["a.hdr", "a-tif.hdr", "A-TIF.HDR"])
def test_tescan(tmp_path, name):
    path = write(tmp_path, name, TESCAN)
    assert metadata.pixel_size_nm(path) == (pytest.approx(2.5), "TESCAN side file")
    assert metadata.instrument(path) == TESCAN_SAYS


def test_tescan_s_tag(tmp_path):
    """Blocks, each with its size and kind, of which one is a thumbnail."""
    main, sem = (part.strip() + "\n" for part in TESCAN.split("[SEM]"))
    main = main.replace("[MAIN]\n", "")
    blocks = [(1, b"\xff\xd8\x00=\x01\xff\xd9"), (2, main.encode()), (3, sem.encode()), (0, b"")]
    tag = b"".join(
        (len(data) + 2).to_bytes(4, "little") + kind.to_bytes(2, "little") + data
        for kind, data in blocks
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, metadata=None, extratags=[(50431, 1, len(tag), tag, True)])
    assert metadata.pixel_size_nm(path) == (pytest.approx(2.5), "TESCAN tag")
    assert metadata.instrument(path) == TESCAN_SAYS


def test_the_image_s_own_tags_come_first(tmp_path):
    write(tmp_path, "a.txt", HITACHI)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(0.5, 0.5), metadata={"unit": "nm"})
    assert metadata.pixel_size_nm(path) == (2, "ImageJ tag")
    assert metadata.instrument(path)["maker"] == "Hitachi"


@pytest.mark.parametrize("text", [None, "", "notes of mine: PixelSize=3", "[Other]\nPixelSize=3"])
def test_other_texts_say_nothing(tmp_path, text):
    path = write(tmp_path, "a.txt", text)
    assert metadata.pixel_size_nm(path) is None
    assert metadata.instrument(path) == {}


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.txt", JEOL, "500nm"),
        ("a.txt", JEOL, "125"),
        ("a.txt", HITACHI, "9.921875"),
        ("a.hdr", TESCAN, "2.5e-9"),
    ],
)
@pytest.mark.parametrize("instead", ["", "0", "-1", "nan", "four", "\u00ff"])
def test_a_damaged_size_is_none(tmp_path, name, text, word, instead):
    path = write(tmp_path, name, text.replace(word, instead))
    assert metadata.pixel_size_nm(path) is None


@pytest.mark.parametrize("text", [JEOL, HITACHI])
def test_a_picture_resized_since_is_refused(tmp_path, text):
    path = write(tmp_path, "a.txt", text)
    tifffile.imwrite(path, IMAGE[:, ::2], metadata=None)
    with pytest.raises(ValueError, match=r"a\.txt.*64 px wide.*a\.tif is 32 px.*pixel_size_nm"):
        images.read_micrograph(path)
    assert images.read_micrograph(path, pixel_size_nm=3).pixel_size_nm == 3
    assert metadata.instrument(path)  # which does not depend on it


@pytest.mark.parametrize(
    ("source", "maker"), [("zeiss", "Zeiss"), ("fei", "FEI / Thermo Fisher"), ("ome", "Acme")]
)
def test_instruments_in_tags(tmp_path, source, maker):
    path = tmp_path / "a.tif"
    if source == "zeiss":
        lines = ["0", "AP_ACTUALKV", "EHT = 5.00 kV", "AP_WD", "WD = 4.9 mm"]
        lines += ["AP_MAG", "Mag = 50.00 K X", "DP_SEM", "Sem = Supra 40"]
        lines += ["DP_DETECTOR_TYPE", "Detector = InLens"]
        lines += ["AP_DATE", "Date :18 Jul 2019", "AP_TIME", "Time :10:09:27", ""]
        text = "\r\n".join(lines)
        tifffile.imwrite(path, IMAGE, extratags=[(34118, 2, 0, text, True)])
    elif source == "fei":
        text = "[User]\r\nDate=1/2/2024\r\nTime=3:04:05 PM\r\n[System]\r\nSystemType=Helios\r\n"
        text += "DisplayWidth=0.4\r\n[Beam]\r\nHV=5000\r\n[EScan]\r\nHorFieldsize=8e-6\r\n"
        text += "[Stage]\r\nWorkingDistance=0.0049\r\n[Detectors]\r\nName=TLD\r\nMode=SE\r\n"
        tifffile.imwrite(path, IMAGE, extratags=[(34682, 2, 0, text, True)])
    else:
        text = '<OME><Instrument><Microscope Manufacturer="Acme" Model="One"/></Instrument></OME>'
        tifffile.imwrite(path, IMAGE, description=text, metadata=None)
    found = metadata.instrument(path)
    assert found.pop("maker") == maker
    if source == "zeiss":
        assert found == {
            "model": "Supra 40",
            "accelerating voltage": "5 kV",
            "working distance": "4.9 mm",
            "detector": "InLens",
            "magnification": "50000 x",
            "date": "18 Jul 2019 10:09:27",
        }
    if source == "fei":
        assert found == {
            "model": "Helios",
            "accelerating voltage": "5 kV",
            "working distance": "4.9 mm",
            "detector": "TLD SE",
            "magnification": "50000 x",
            "date": "1/2/2024 3:04:05 PM",
        }


# --- pixels that are not square


def write_oblong(path, image, width, height):
    density = (1 / width, 1 / height)
    tifffile.imwrite(path, image, imagej=True, resolution=density, metadata={"unit": "nm"})


@pytest.mark.parametrize(("width", "height"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_oblong_pixels_become_squares(tmp_path, width, height, dtype):
    """A disc in nm, sampled on an oblong grid, is a disc afterwards."""
    rows, cols = np.mgrid[:120, :120]
    y, x = (rows + 0.5) * height - 180, (cols + 0.5) * width - 180
    if width == 3:
        y = (rows + 0.5) * height - 120
    else:
        x = (cols + 0.5) * width - 120
    disc = np.where(np.hypot(x, y) < 90, 200, 20).astype(dtype)
    write_oblong(tmp_path / "a.tif", disc, width, height)
    found = images.read_micrograph(tmp_path / "a.tif")
    assert found.pixel_size_nm == pytest.approx(2)
    assert found.image.shape == found.raw.shape == ((180, 120) if height == 3 else (120, 180))
    assert found.raw.dtype == dtype
    inside = found.raw > 110
    assert inside.any(axis=0).sum() == pytest.approx(90, abs=2)
    assert inside.any(axis=1).sum() == pytest.approx(90, abs=2)
    assert "ImageJ tag; resampled, pixels were" in found.pixel_size_from


def test_a_given_pixel_size_is_that_of_squares(tmp_path):
    write_oblong(tmp_path / "a.tif", IMAGE, 2, 3)
    found = images.read_micrograph(tmp_path / "a.tif", pixel_size_nm=2.5)
    assert found.image.shape == IMAGE.shape and found.pixel_size_nm == 2.5


def test_pixels_that_cannot_be_are_refused(tmp_path):
    write_oblong(tmp_path / "a.tif", IMAGE, 2, 30)
    with pytest.raises(ValueError, match=r"a\.tif give pixels of 2 x 30 nm.*pixel_size_nm"):
        images.read_micrograph(tmp_path / "a.tif")


def test_a_calibration_is_a_factor_on_any_pixel_size(tmp_path):
    path = write(tmp_path, "a.txt", HITACHI)
    found = images.read_micrograph(path, calibration=1.02)
    assert found.pixel_size_nm == pytest.approx(9.921875 * 1.02)
    assert found.pixel_size_from == "Hitachi side file; times 1.02"
    given = images.read_micrograph(path, pixel_size_nm=2, calibration=1.5)
    assert given.pixel_size_nm == 3 and given.pixel_size_from == "given; times 1.5"
    (tmp_path / "a.txt").unlink()
    unknown = images.read_micrograph(path, calibration=1.02)
    assert unknown.pixel_size_nm is None and unknown.pixel_size_from == "unknown"
