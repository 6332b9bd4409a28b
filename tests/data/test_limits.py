"""What is too large, too odd or hostile is refused before it does harm; the largest is read."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from semjax.data import annotations, decoding, images, limits, metadata, outlines


def write_png(path, height, width):
    """A PNG that says that it has this size, and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def set_tag(path, code, number):
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.tags[code].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, offset, number)
    path.write_bytes(content)


def test_the_largest_picture_is_opened_and_a_larger_one_refused(tmp_path):
    with decoding.open_picture(write_png(tmp_path / "a.png", 16_384, 16_384)) as picture:
        assert picture.size == (16_384, 16_384)
    with pytest.raises(ValueError, match=r"b.png .*16,385 x 16,384 px .*crop it"):
        images.read_image(write_png(tmp_path / "b.png", 16_385, 16_384))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_the_largest_micrograph_is_read(tmp_path, name):
    picture = np.zeros((16_384, 16_384), np.uint8)
    picture[5, 7] = 200
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, picture)
    else:
        Image.fromarray(picture).save(tmp_path / name, compress_level=1)
    assert np.array_equal(images.read_image(tmp_path / name), picture)


@pytest.mark.parametrize("code", [256, 257])
def test_a_tiff_that_asks_for_all_memory_is_refused(tmp_path, code):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((9, 11), np.uint8), metadata=None)
    set_tag(path, code, 2**31 - 1)
    with pytest.raises(ValueError, match=r"a.tif .*2,147,483,647"):
        images.read_image(path)


def test_a_strip_that_unpacks_to_more_than_the_picture_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((9, 11), np.uint8), metadata=None, compression="zlib")
    bomb = zlib.compress(bytes(100_000_000))
    start = path.stat().st_size
    set_tag(path, 273, start)
    set_tag(path, 279, len(bomb))
    path.write_bytes(path.read_bytes() + bomb)
    with pytest.raises(ValueError, match=r"a.tif .*compressed pieces are larger"):
        images.read_image(path)


def test_no_program_is_run_for_a_picture(tmp_path):
    drawn = io.BytesIO()
    Image.new("L", (8, 8)).save(drawn, "EPS")
    (tmp_path / "a.png").write_bytes(drawn.getvalue())
    for read in (images.read_image, images.read_colors):
        with pytest.raises(ValueError, match="a.png"):
            read(tmp_path / "a.png")


def test_floats_beyond_single_precision_are_no_brightness(tmp_path):
    for number in (1e300, -1e300):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, number]] * 3))
        with pytest.raises(ValueError, match="a.tif has 3 NaN or infinite pixels"):
            images.read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 3e38]] * 3))
    stretched = images.stretch_contrast(images.read_image(tmp_path / "a.tif"))
    assert (stretched[:, 0] == -1).all() and (stretched[:, 1] > 0).all()


def test_complex_colours_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 11, 3), np.complex64), photometric="rgb")
    with pytest.raises(ValueError, match="a.tif holds complex64"):
        images.read_image(tmp_path / "a.tif")


def test_damaged_tags_do_not_cost_the_picture(tmp_path, caplog):
    path = tmp_path / "a.tif"
    picture = np.arange(99, dtype=np.uint8).reshape(9, 11)
    tifffile.imwrite(path, picture, extratags=[(34682, 2, 0, "[Scan]\r\nPixelWidth", True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tifffile.TiffFile, "fei_metadata", property(lambda tif: 1 / 0))
        assert metadata.pixel_nm(path) is None and metadata.instrument(path) == {}
        found = images.read_micrograph(path)
    assert found.pixel_size_nm is None and np.array_equal(found.raw, picture)
    assert "a.tif: its tags are passed over" in caplog.text


@pytest.mark.parametrize("values", [[0, 2**31 - 1, 5], [0, limits.LABEL + 1, 5], [-1, 0, 5]])
def test_numbers_that_cannot_count_particles_are_refused(tmp_path, values):
    tifffile.imwrite(tmp_path / "a.tif", np.array([values], np.int32))
    with pytest.raises(ValueError, match=r"a.tif has values from .*; expected whole numbers"):
        images.read_labels(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1.5, 5]]))
    with pytest.raises(ValueError, match="whole numbers"):
        images.read_labels(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, limits.LABEL]], np.float32))
    assert images.read_labels(tmp_path / "a.tif").tolist() == [[0, limits.LABEL]]


def square(side, name="a"):
    points = [[0, 0], [side, 0], [side, side], [0, side]]
    shape = {"label": name, "points": points, "shape_type": "polygon"}
    return {"imagePath": "b.png", "shapes": [shape]}


def test_an_outline_too_large_to_be_true_is_refused(tmp_path):
    side = round(limits.OUTLINE_PIXELS**0.5)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(square(side)))
    assert annotations.read(path)[0].mask.shape == (side, side)
    path.write_text(json.dumps(square(side + 1)))
    with pytest.raises(ValueError, match=r"a.json: an outline of 4097 x 4097 px cannot be"):
        annotations.read(path)


def test_a_line_up_and_down_without_end_is_refused(tmp_path):
    zigzag = np.stack([np.arange(40_000) % 100, np.arange(40_000) % 2 * 4000], axis=1)
    drawing = square(9) | {"shapes": [{"points": zigzag.tolist(), "shape_type": "polygon"}]}
    (tmp_path / "a.json").write_text(json.dumps(drawing))
    with pytest.raises(ValueError, match=r"a.json: .* too often"):
        annotations.read(tmp_path / "a.json")


def test_all_outlines_together_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "OUTLINES_PIXELS", 5 * 32**2)
    roi = roifile.ImagejRoi.frompoints([[0, 0], [20, 0], [20, 20], [0, 20]]).tobytes()
    path = tmp_path / "a.zip"
    for n, found in ((5, None), (13, "a.zip: its first 13 outlines"), (6, "6 outlines in squares")):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(n):
                archive.writestr(f"{i}.roi", roi)
        if found is None:
            assert outlines.read_outlines(path).shape == (5, 32, 32)
            continue
        with pytest.raises(ValueError, match=found):
            outlines.read_outlines(path)


def test_members_of_a_zip_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ROIS", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(4):
            archive.writestr(f"{i}.txt", "")
    with pytest.raises(ValueError, match="a.zip: it has 4 members, more than 3"):
        annotations.read(tmp_path / "a.zip")


@pytest.mark.parametrize("depth", [10, 200_000])
def test_json_without_bottom_is_refused(tmp_path, depth):
    (tmp_path / "a.json").write_text('{"shapes": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ValueError, match="cannot read the outlines in .*a.json"):
        annotations.read(tmp_path / "a.json")


def test_labels_in_half_precision_are_counted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 3, 2000]], np.float16))
    assert images.read_labels(tmp_path / "a.tif").tolist() == [[0, 3, 2000]]
