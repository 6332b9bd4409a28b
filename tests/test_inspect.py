"""`semjax inspect` and `semjax new`: what is seen, said and written; bad input, one sentence."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax import findings, inspection, main, phantom, project, validate, variants
from semjax.commands import UsageError
from semjax.commands import inspect as inspect_command
from semjax.commands import new as new_command
from semjax.exports import fiji

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.py"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folders `images` and `outlines` of a phantom: four images of 192 x 192 px, 5 nm each."""
    folder = tmp_path_factory.mktemp("drawn") / "inputs"
    phantom.write_inputs(
        folder, seed=3, n_images=4, n_outlines=24, image_px=(192, 192), pixel_size_nm=5.0
    )
    return folder


@pytest.fixture
def folder(drawn, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(drawn, tmp_path / "inputs")


def look(folder, **options):
    result = inspection.look_at(folder / "images", **options)
    dark = options.get("dark_particles", False)
    return result, findings.judge(result.seen, dark_particles=dark)


def change(folder, alter, name="phantom_001", pixel_size_nm=5.0):
    """Writes an image anew, altered."""
    path = folder / "images" / f"{name}.tif"
    image, density = alter(tifffile.imread(path)), (1 / pixel_size_nm,) * 2
    tifffile.imwrite(path, image, imagej=True, resolution=density, metadata={"unit": "nm"})


def test_clean_images_give_no_findings_and_true_numbers(folder, drawn):
    result, found = look(folder)
    assert found == [] and result.unreadable == {}
    truth = pd.read_csv(drawn / "truth.csv")
    for seen in result.seen:
        assert (seen.height_px, seen.width_px, seen.bits) == (192, 192, 8)
        assert (seen.pixel_size_nm, seen.pixel_size_from) == (5.0, "ImageJ tag")
        labels = tifffile.imread(drawn / "truth" / f"{seen.name}.tif")
        assert seen.foreground == pytest.approx((labels > 0).mean(), abs=0.06)
    assert inspection.typical_diameter(result.seen) == pytest.approx(
        truth["diameter_px"].median(), rel=0.4
    )


def enlarge(image):
    return np.asarray(Image.fromarray(image[:64, :64]).resize((192, 192)))


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (enlarge, "blurred"),
        (lambda image: np.clip(image * 3.0, 0, 255).astype(np.uint8), "saturated"),
        (lambda image: image // 12, "hardly any contrast"),
    ],
)
def test_a_spoilt_image_is_named(folder, alter, words):
    change(folder, alter)
    _, found = look(folder)
    about = [finding for finding in found if finding.what.startswith(words)]
    assert [finding.images for finding in about] == [("phantom_001",)]
    assert about[0].cure


def test_a_drawn_scale_bar_is_named(folder):
    def draw(image):
        image[180:184, 100:160] = 255
        return image

    change(folder, draw)
    _, found = look(folder)
    assert [f.images for f in found] == [("phantom_001",)]
    assert "60 x 4 px at row 180, column 100" in found[0].what
    assert "--scale_bar" in found[0].cure


def test_other_magnifications_and_unknown_ones_are_named(folder):
    change(folder, lambda image: image, pixel_size_nm=2.5)
    Image.open(folder / "images" / "phantom_002.tif").save(folder / "images" / "phantom_002.png")
    (folder / "images" / "phantom_002.tif").unlink()
    _, found = look(folder)
    assert [f.images for f in found] == [("phantom_002",), ("phantom_001",)]
    assert "2.5 nm a pixel, most have 5 nm" in found[1].what
    _, found = look(folder, pixel_size_nm=5.0)
    assert [f.images for f in found] == [("phantom_001",)]  # given, against its tag
    assert "far from the tags'" in found[0].what


def test_one_field_twice_is_named(folder):
    images = folder / "images"
    shutil.copy(images / "phantom_003.tif", images / "again.tif")
    _, found = look(folder)
    assert [(f.what, f.images) for f in found] == [
        ("the same field twice", ("again", "phantom_003"))
    ]


def test_dark_particles_are_suspected(folder):
    for i in range(4):
        change(folder, lambda image: 255 - image, f"phantom_{i:03d}")
    _, found = look(folder)
    assert len(found[0].images) == 4 and "data.dark_particles" in found[0].cure
    _, found = look(folder, dark_particles=True)
    assert found == []


def test_what_cannot_be_read_is_collected(folder, capsys):
    (folder / "images" / "broken.tif").write_bytes(b"II*\0no image")
    (folder / "images" / "text.png").write_text("no image")
    result, _ = look(folder)
    assert len(result.seen) == 4 and set(result.unreadable) == {"broken.tif", "text.png"}
    assert main.console(["inspect", str(folder / "images")]) == 0
    out = capsys.readouterr().out
    assert "not readable: 2" in out and "broken.tif" in out and "phantom_003" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500nm:275", (500, 275)),
        ("0.5um:275px", (500, 275)),
        ("1 \u00b5m:100.5", (1000, 100.5)),
        ("500nm:123,700:398,700", (500, 275)),
        ("500nm:10,20:40,60", (500, 50)),
    ],
)
def test_a_scale_bar_in_words(text, expected):
    assert inspection.scale_bar(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "500", "500nm", "500:275", "500nm:0", "500nm:-3", "0nm:3", "x:y", "5nm:1,2:3", "5nm:1:2"],
)
def test_other_words_for_a_scale_bar_are_refused(text, capsys, folder):
    with pytest.raises(ValueError, match="500nm:275"):
        inspection.scale_bar(text)


@pytest.mark.parametrize("text", ["1,000nm:275", "1.000nm:275", "12.500 nm:3", "1.234um:10"])
def test_lengths_that_may_be_thousands_are_refused(text):
    with pytest.raises(ValueError, match="as in 1000nm"):
        inspection.scale_bar(text)
    assert inspection.scale_bar("0.125um:10") == pytest.approx((125, 10))
    assert inspection.scale_bar("1.25um:10") == pytest.approx((1250, 10))


def test_several_images_in_one_file_are_told_of(folder):
    path = folder / "images" / "phantom_002.tif"
    image = tifffile.imread(path)
    tifffile.imwrite(path, np.stack([image] * 3), imagej=True, resolution=(0.2, 0.2))
    result, found = look(folder)
    assert {seen.name for seen in result.seen if seen.planes == 3} == {"phantom_002"}
    about = [finding for finding in found if finding.what.startswith("several images in one file")]
    assert [finding.images for finding in about] == [("phantom_002",)]


def test_nobody_s_pictures_are_written_over(folder, tmp_path, capsys):
    assert main.console(["inspect", f"{folder}/images", f"--out={folder}/images/."]) == 1
    assert "is the folder of the images" in capsys.readouterr().err
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "sheet.png").write_bytes(b"mine")
    assert main.console(["inspect", f"{folder}/images", f"--out={mine}"]) == 1
    assert (mine / "sheet.png").read_bytes() == b"mine"
    for _ in range(2):  # our own is replaced
        assert main.console(["inspect", f"{folder}/images", f"--out={tmp_path / 'out'}"]) == 0


def test_the_command_writes_a_table_and_a_sheet(folder, tmp_path, capsys):
    argv = ["inspect", str(folder / "images"), "--scale_bar=500nm:50", f"--out={tmp_path / 'out'}"]
    assert main.console(argv) == 0
    out = capsys.readouterr().out
    assert "scale bar: 500 nm are 50 px (4)" in out
    table = pd.read_csv(tmp_path / "out" / "inspection.csv")
    assert table["pixel_size_nm"].tolist() == [10.0] * 4
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.size[0] > 4 * 192
    assert "far from the tags'" in (tmp_path / "out" / "findings.txt").read_text()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ([], 2, "the folder of images is missing"),
        (["a", "b"], 2, "expected one folder"),
        (["a", "--scale_bar=5nm:1", "--pixel_size_nm=1"], 2, "not both"),
        (["nowhere"], 1, "no folder nowhere"),
        (["nowhere", "--scale_bar=5"], 1, "not understood"),
        (["a", "--calibration=0"], 2, "calibration"),
    ],
)
def test_bad_input_is_one_message(argv, code, words, capsys):
    assert main.console(["inspect", *argv]) == code
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_flags():
    values = inspect_command.parse(["my images", "--dark_particles", "--out=x"])
    assert (values.images, values.dark_particles, values.out) == ("my images", True, "x")
    with pytest.raises(UsageError, match="expected NAME IMAGES OUTLINES, got 2"):
        new_command.parse(["mine", "images"])


# --- new


def load(path, variant="cpu"):
    """The config of a file, as `semjax run` reads it."""
    namespace = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    config = namespace["get_config"]()
    variants.lay(config, variant, {})
    return config


def new(folder, *argv, name="mine"):
    given = [str(folder / "images"), str(folder / "outlines"), *argv]
    return main.console(["new", str(folder / name), *given])


def test_a_new_config_is_short_loads_and_can_run(folder, capsys):
    assert new(folder) == 0
    path = folder / "mine.py"
    assert f"semjax run --config={path}" in capsys.readouterr().out
    text = path.read_text()
    assert 10 <= len([line for line in text.splitlines() if line.startswith("    ")]) <= 30
    config = load(path)
    assert config.name == "mine" and config.data.images == str((folder / "images").resolve())
    assert config.data.pixel_size_nm == 0
    assert validate.check(config) == []
    config = load(path)
    spec = importlib.util.spec_from_file_location("smoke", SMOKE)
    smoke = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(smoke)
    for section, values in smoke.get_config().items():
        if section in project.TILED or section in ("shapes", "measure"):
            config[section].update(values)
    assert validate.check(config) == []


def test_what_is_given_stands_in_it(folder):
    assert new(folder, "--scale_bar=500nm:50", "--dark_particles") == 0
    config = load(folder / "mine.py")
    assert (config.data.scale_bar_nm, config.data.scale_bar_px) == (500, 50)
    assert config.data.dark_particles


def test_outlines_may_be_rois_beside_the_images_and_border_cut_ones_do_not_count(folder):
    labels = np.zeros((192, 192), np.uint8)
    labels[40:60, 50:80], labels[90:120, 90:110], labels[0:20, 150:170] = 1, 2, 3
    first = sorted((folder / "images").iterdir())[0]
    fiji.write_rois(folder / "images" / f"{first.stem}.zip", labels)
    images = str(folder / "images")
    assert main.console(["new", str(folder / "beside"), images, images]) == 0
    assert "2 outlines, about" in (folder / "beside.py").read_text()


def test_large_outlines_get_larger_tiles(folder):
    big = np.zeros((96, 96), np.uint8)
    big[4:92, 8:80] = 255
    Image.fromarray(big).save(folder / "outlines" / "big.png")
    assert new(folder) == 0
    config = load(folder / "mine.py")
    for section in project.TILED:
        assert config[section].tile_px == (192, 192)  # twice 88, in steps of 32
    assert validate.check(config) == []


@pytest.mark.parametrize(
    ("largest", "square", "side", "usual", "tile"),
    [
        (50, 64, 700, 128, 128),
        (50, 64, 700, 384, 384),
        (70, 80, 700, 128, 160),
        (50, 64, 300, 384, 288),
        (200, 208, 390, 128, 384),
    ],
)
def test_tiles_fit_outlines_and_images(largest, square, side, usual, tile):
    assert project.fit_tile(largest, square, side, usual) == tile


def test_outlines_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="smallest image is 90 px"):
        project.fit_tile(100, 112, 90, 128)


def test_nothing_is_written_over(folder, capsys):
    (folder / "mine.py").write_text("mine")
    assert new(folder) == 1
    assert "exists and is left as it is" in capsys.readouterr().err
    assert (folder / "mine.py").read_text() == "mine"
    with pytest.raises(FileExistsError):
        project.write(folder / "mine.py", "other")
    assert sorted(p.name for p in folder.glob("mine*")) == ["mine.py"]


@pytest.mark.parametrize("spoil", ["name", "image", "outlines"])
def test_new_refuses_what_cannot_run(folder, capsys, spoil):
    name = "my project" if spoil == "name" else "mine"
    if spoil == "image":
        (folder / "images" / "broken.png").write_text("no image")
    if spoil == "outlines":
        shutil.rmtree(folder / "outlines")
    assert new(folder, name=name) == 1
    said = capsys.readouterr().err
    assert {"name": "letters", "image": "broken.png", "outlines": "outlines"}[spoil] in said
    assert not list(folder.glob("*.py"))


def test_remarks_name_what_was_seen(folder):
    images = folder / "images"
    shutil.copy(images / "phantom_003.tif", images / "again.tif")
    assert new(folder) == 0
    text = (folder / "mine.py").read_text()
    assert "the same field twice" in text and "# config.data.exclude = " in text
