"""Tests of reading micrographs."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from semjax.data import images


def ramp(shape=(20, 30), dtype=np.uint8, top=255):
    return np.linspace(0, top, shape[0] * shape[1]).reshape(shape).astype(dtype)


def noisy(shape=(300, 400), level=40.0, sd=4.0, seed=0):
    values = np.random.default_rng(seed).normal(level, sd, shape)
    values[100:140, 100:150] += 150
    return np.clip(values, 0, 255).astype(np.uint8)


def draw_bar(h, w, ground=0, ink=255):
    bar = Image.new("L", (w, h), ground)
    pen = ImageDraw.Draw(bar)
    for row in range(4, h - 14, 16):
        pen.text((10, row), "Mag = 50.00 K X   WD = 2.9 mm   20 kV   InLens", fill=ink)
    pen.line([(w - 90, h // 2), (w - 20, h // 2)], fill=ink, width=3)
    return np.asarray(bar)


def test_list_in_natural_order(tmp_path):
    for name in ("b10.tif", "b2.TIF", "a.png", "._a.png", ".hidden.tif", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    assert [p.name for p in images.list_images(tmp_path)] == ["a.png", "b2.TIF", "b10.tif"]


def test_list_unusable(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        images.list_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no images"):
        images.list_images(tmp_path)
    (tmp_path / "a.png").touch()
    (tmp_path / "a.tif").touch()
    with pytest.raises(ValueError, match="a.png and a.tif"):
        images.list_images(tmp_path)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_number_types(tmp_path, dtype, byteorder):
    image = ramp(dtype=dtype, top=200)
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=byteorder)
    found = images.read_image(tmp_path / "a.tif")
    assert found.dtype == dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_lossless_formats(tmp_path, suffix):
    Image.fromarray(ramp()).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a.{suffix}"), ramp())


def test_jpeg_and_16_bit_png(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.JPG", format="JPEG", quality=95)
    assert np.abs(images.read_image(tmp_path / "a.JPG") - ramp(dtype=float)).max() < 5
    Image.fromarray(ramp(dtype=np.uint16, top=60000)).save(tmp_path / "b.png")
    np.testing.assert_array_equal(
        images.read_image(tmp_path / "b.png"), ramp(dtype=np.uint16, top=60000)
    )


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compressions(tmp_path, compression):
    Image.fromarray(ramp()).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), ramp())


def test_palette_gives_indices(tmp_path):
    image = ramp()
    colours = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    colours[:, 9::9] = [[65535], [0], [0]]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), image)
    picture = Image.fromarray(image)
    picture.putpalette((colours.T // 257).astype(np.uint8).tobytes())
    assert picture.mode == "P"
    for suffix, options in (("png", {}), ("bmp", {}), ("tiff", {"compression": "tiff_lzw"})):
        picture.save(tmp_path / f"b.{suffix}", **options)
        for levels in (False, True):
            found = images.read_image(tmp_path / f"b.{suffix}", levels=levels)
            np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_palettes_in_any_order_give_what_is_seen(tmp_path, suffix):
    image = ramp()
    order = np.random.default_rng(0).permutation(256)  # as programs optimise them
    picture = Image.fromarray(np.argsort(order).astype(np.uint8)[image])
    greys = np.repeat(order[:, None], 3, axis=1).astype(np.uint8)
    picture.putpalette(greys.tobytes())
    picture.save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a.{suffix}", levels=True), image)
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a.{suffix}"), np.array(picture))
    tinted = np.maximum(greys, [0, 0, 30])
    picture.putpalette(tinted.astype(np.uint8).tobytes())
    picture.save(tmp_path / f"a.{suffix}")
    found = images.read_image(tmp_path / f"a.{suffix}", levels=True)
    assert np.abs(found - image).max() < 3
    warm = np.stack([np.arange(256), np.arange(256) // 2, np.zeros(256)], axis=1)  # a lookup table
    picture = Image.fromarray(image)
    picture.putpalette(warm.astype(np.uint8).tobytes())
    picture.save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a.{suffix}", levels=True), image)


def test_a_mask_of_two_colours_is_white_where_it_is_bright(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 5:15] = 1
    for colors, index in (((0, 0, 0, 250, 250, 250), mask), ((255, 255, 255, 9, 0, 0), 1 - mask)):
        picture = Image.fromarray(index)
        picture.putpalette(colors)
        picture.save(tmp_path / "a.png")
        np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), mask)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_tiff(tmp_path, channels, planar):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, channels), np.uint8)
    stored = image if planar == "contig" else np.moveaxis(image, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    found = images.read_image(tmp_path / "a.tif")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, image[..., :3] @ [0.2125, 0.7154, 0.0721], rtol=1e-5)


def test_colour_without_saying_so(tmp_path):
    image = np.random.default_rng(0).uniform(size=(20, 30, 3)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    assert images.read_image(tmp_path / "a.tif").shape == (20, 30)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_grey_saved_in_colour(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(ramp()).convert(mode).save(tmp_path / f"a.{suffix}")
    found = images.read_image(tmp_path / f"a.{suffix}")
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - ramp()).max() <= (4 if mode == "CMYK" else 0)


def test_bilevel(tmp_path):
    image = ramp() > 100
    tifffile.imwrite(tmp_path / "a.tif", image)
    tifffile.imwrite(tmp_path / "b.tif", ~image, photometric="miniswhite", software="scanner")
    Image.fromarray(image).save(tmp_path / "c.png")
    for name in ("a.tif", "b.tif", "c.png"):
        found = images.read_image(tmp_path / name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, image)


def test_white_is_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", 255 - ramp(), photometric="miniswhite")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), ramp())


@pytest.mark.parametrize("imagej", [False, True])
def test_first_page(tmp_path, imagej):
    stack = np.stack([ramp(), 255 - ramp()])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=imagej, photometric="minisblack")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), ramp())


def test_tiff_name_on_png(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.tif", format="PNG")
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), ramp())


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "bmp"])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noisy()).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=f"cannot read image .*a.{suffix}.*copy it again"):
        images.read_image(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot read image"):
        images.read_image(path)
    path.write_text("no image at all")
    with pytest.raises(ValueError, match="cannot read image"):
        images.read_image(path)


def test_unusable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.tif"):
        images.read_image(tmp_path / "a.tif")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="a.txt is no image"):
        images.read_image(tmp_path / "a.txt")
    for value in (np.nan, np.inf):
        image = ramp(dtype=np.float32)
        image[3, 4] = value
        tifffile.imwrite(tmp_path / "a.tif", image)
        with pytest.raises(ValueError, match="a.tif has 1 NaN or infinite"):
            images.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("ground, ink", [(0, 255), (255, 0), (60, 230)])
@pytest.mark.parametrize("height", [24, 40, 64])
def test_bar_found(ground, ink, height):
    image = np.concatenate([noisy(), draw_bar(height, 400, ground, ink)])
    assert images.find_info_bar(image) == height
    assert images.find_info_bar(image.astype(np.uint16) * 257) == height
    assert images.find_info_bar(image / np.float32(255)) == height


def test_bar_with_rows_of_the_image_below():
    image = np.concatenate([noisy(), draw_bar(40, 400), noisy()[:2]])
    assert images.find_info_bar(image) == 42


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_bar_in_jpeg(tmp_path, quality):
    image = np.concatenate([noisy((304, 400)), draw_bar(40, 400)])
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=quality)
    assert abs(images.find_info_bar(images.read_image(tmp_path / "a.jpg")) - 40) <= 1


def no_bars():
    dark_below = noisy()
    dark_below[220:] = noisy((80, 400), 8, 2)[:, :]
    black_below = noisy()
    black_below[220:] = 0
    particles_on_black = black_below.copy()
    particles_on_black[240:270, 40:90] = noisy((30, 50), 180)
    rows, cols = np.mgrid[:300, :400]
    discs = 40.0 + 150 * (np.hypot(rows % 60 - 30, cols % 60 - 30) < 20)
    return {
        "noise": noisy(),
        "constant": np.full((300, 400), 7, np.uint8),
        "vertical gradient": rows,
        "horizontal gradient": cols,
        "dark below": dark_below,
        "black below": black_below,
        "particles on black": particles_on_black,
        "discs without noise": discs,
        "discs with noise": discs + np.random.default_rng(0).normal(0, 3, discs.shape),
        "bar only": draw_bar(300, 400),
        "small": noisy()[:20, :20],
    }


@pytest.mark.parametrize("name", no_bars())
def test_no_false_bar(name):
    assert images.find_info_bar(no_bars()[name]) == 0


@pytest.mark.skipif("SEMJAX_TIO2" not in os.environ, reason="needs the published TiO2 images")
def test_bars_of_the_published_images():
    folder = Path(os.environ["SEMJAX_TIO2"]) / "Datasets/Electron Microscopy Images/SEM"
    for path in images.list_images(folder):
        image = images.read_image(path)
        assert images.find_info_bar(image) == 56, path
        assert images.find_info_bar(image[:712]) == 0, path


def test_stretch_is_linear_then_smooth():
    image = np.arange(1001.0)[None]
    x = (image[0] - 5) / 990
    y = (images.stretch_contrast(image)[0] + 1) / 2
    linear = (x >= 0) & (x <= 0.6)
    np.testing.assert_allclose(y[linear], x[linear], atol=1e-6)
    assert (y[x < 0] == 0).all()
    above = x > 0.6
    np.testing.assert_allclose(
        y[above], 0.6 + 0.4 * (1 - np.exp(-(x[above] - 0.6) / 0.4)), atol=1e-6
    )
    slope = np.diff(y)[10:]
    assert np.abs(np.diff(slope)).max() < 1e-5  # no corner at the knee
    assert (slope > 0).all()


def test_stretch_range_and_highlights():
    image = noisy().astype(np.float32)
    image[110:120, 110:120] = np.linspace(1000, 1100, 10)
    stretched = images.stretch_contrast(image)
    assert stretched.dtype == np.float32
    assert stretched.min() == -1 and stretched.max() <= 1
    clipped = images.stretch_contrast(image, knee=1)
    assert clipped.max() == 1
    np.testing.assert_allclose(images.stretch_contrast(image * 7 + 3), stretched, atol=1e-5)


def test_stretch_dark_particles():
    image = noisy()
    turned = images.stretch_contrast(255 - image, dark_particles=True)
    np.testing.assert_allclose(turned, images.stretch_contrast(image), atol=1e-6)


def test_stretch_without_contrast():
    assert (images.stretch_contrast(np.full((5, 5), 9, np.uint16)) == -1).all()
    image = np.zeros((100, 100), np.uint8)
    image[5, 5] = 200
    stretched = images.stretch_contrast(image)
    assert stretched[5, 5] > 0.6 and (np.delete(stretched.ravel(), 505) == -1).all()


@pytest.mark.parametrize("options", [{"low": 60, "high": 50}, {"high": 101}, {"knee": 1.5}])
def test_stretch_options(options):
    with pytest.raises(ValueError, match="contrast"):
        images.stretch_contrast(ramp(), **options)


def test_micrograph(tmp_path):
    path = tmp_path / "field 1.tif"
    image = np.concatenate([noisy(), draw_bar(40, 400)])
    tifffile.imwrite(path, image, imagej=True, resolution=(0.5, 0.5), metadata={"unit": "nm"})
    found = images.read_micrograph(path)
    assert found.name == "field 1" and found.path == path
    assert found.info_bar_px == 40
    assert (found.pixel_size_nm, found.pixel_size_from) == (2.0, "ImageJ tag")
    np.testing.assert_array_equal(found.raw, noisy())
    np.testing.assert_array_equal(found.image, images.stretch_contrast(noisy()))
    given = images.read_micrograph(path, pixel_size_nm=3.5, info_bar_px=0)
    assert (given.pixel_size_nm, given.pixel_size_from) == (3.5, "given")
    assert given.raw.shape == (340, 400)


def test_micrograph_without_calibration(tmp_path):
    Image.fromarray(noisy()).save(tmp_path / "a.png", dpi=(300, 300))
    found = images.read_micrograph(tmp_path / "a.png")
    assert (found.pixel_size_nm, found.pixel_size_from) == (None, "unknown")


@pytest.mark.parametrize("options", [{"info_bar_px": 300}, {"info_bar_px": -2}])
def test_micrograph_impossible_bar(tmp_path, options):
    Image.fromarray(noisy()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="info_bar_px"):
        images.read_micrograph(tmp_path / "a.png", **options)


def test_micrograph_impossible_pixel_size(tmp_path):
    Image.fromarray(noisy()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="pixel_size_nm"):
        images.read_micrograph(tmp_path / "a.png", pixel_size_nm=-1)
