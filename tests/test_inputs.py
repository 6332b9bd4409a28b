"""What the user gives: folders of micrographs, outlines and truth, and how they pair."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semjax import inputs, marks, outlining, settings, truth
from semjax.data import images
from semjax.exports import fiji
from semjax.workdir import Work

BAR_PX = 12


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "work")


@pytest.fixture
def config(tmp_path):
    """Two micrographs in a folder; the mean of each is its own."""
    made = settings.get_config()
    made.data.images = str(tmp_path / "images")
    (tmp_path / "images").mkdir()
    for name, level in (("b10", 40), ("b2", 90)):
        write(tmp_path / "images" / f"{name}.png", draw_image(level))
    return made


def draw_image(level):
    """A noisy ground of a level, with a bright square; uint8 (64, 80)."""
    image = np.random.default_rng(level).integers(level, level + 20, (64, 80))
    image[20:40, 30:50] += 100
    return image.astype(np.uint8)


def test_a_clean_protocol_hides_the_test_images(config, work):
    pictures = inputs.micrographs(config, work)
    config.data.test_images = ("b2",)
    assert inputs.unlabelled(config, pictures) == pictures
    config.data.clean = True
    assert [p.name for p in inputs.unlabelled(config, pictures)] == ["b10"]
    config.data.test_images = ("b2", "b10")
    with pytest.raises(ValueError, match="leaves no micrograph"):
        inputs.unlabelled(config, pictures)


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def shapes_of(config, work):
    return {p.name: p.image.shape for p in inputs.micrographs(config, work)}


def test_micrographs_come_from_the_folder_in_natural_order(config, work):
    pictures = inputs.micrographs(config, work)
    assert [picture.name for picture in pictures] == ["b2", "b10"]
    assert [int(picture.raw.min()) for picture in pictures] == [90, 40]
    assert all(picture.image.dtype == np.float32 for picture in pictures)
    assert all(picture.pixel_size_nm is None for picture in pictures)


def test_settings_of_the_data_reach_the_reading(config, work):
    config.data.pixel_size_nm = 2.5
    config.data.info_bar_px = BAR_PX
    config.data.dark_particles = True
    config.data.contrast_low, config.data.contrast_high = 10.0, 90.0
    config.data.contrast_knee = 1.0
    for picture in inputs.micrographs(config, work):
        assert picture.pixel_size_nm == 2.5 and picture.info_bar_px == BAR_PX
        assert picture.image.shape == picture.raw.shape == (64 - BAR_PX, 80)
        assert picture.image[25:35, 35:45].max() == -1  # the bright square turned dark
        assert 0.05 < (picture.image == 1).mean() < 0.15


def test_pixel_sizes_are_the_user_s_before_the_tags(config, work, tmp_path):
    """Given by the user, then metadata, else pixels."""
    for name, level in (("b2", 90), ("b10", 40)):
        (tmp_path / "images" / f"{name}.png").unlink()
        path, density = tmp_path / "images" / f"{name}.tif", (1 / 3, 1 / 3)
        tags = {"resolution": density, "metadata": {"unit": "nm"}}
        tifffile.imwrite(path, draw_image(level), imagej=True, **tags)

    def found():
        return {
            (round(p.pixel_size_nm, 6), p.pixel_size_from) for p in inputs.micrographs(config, work)
        }

    assert found() == {(3.0, "ImageJ tag")}
    config.data.calibration = 1.1
    assert found() == {(3.3, "ImageJ tag; times 1.1")}
    config.data.calibration = 1.0
    config.data.scale_bar_nm, config.data.scale_bar_px = 500.0, 200.0
    assert found() == {(2.5, "scale bar: 500 nm are 200 px")}
    config.data.calibration = 2.0
    assert found() == {(5.0, "scale bar: 500 nm are 200 px; times 2")}


@pytest.mark.parametrize("stage", ["shapes", "translate", "segment"])
def test_only_what_is_measured_depends_on_the_calibration(config, stage):
    before = marks.settings(config, stage), marks.settings(config, "measure")
    config.data.scale_bar_nm, config.data.scale_bar_px = 500.0, 200.0
    config.data.calibration, config.data.calibration_uncertainty = 1.1, 0.01
    assert marks.settings(config, stage) == before[0]
    assert marks.settings(config, "measure") != before[1]


def test_images_are_left_out_by_name(config, work):
    config.data.exclude = ("b2",)
    assert [picture.name for picture in inputs.micrographs(config, work)] == ["b10"]


def test_a_name_of_digits_may_arrive_as_a_number(config, work, tmp_path):
    write(tmp_path / "images" / "1908.png", draw_image(60))
    config.data.exclude = (1908,)
    assert [picture.name for picture in inputs.micrographs(config, work)] == ["b2", "b10"]


def test_leaving_out_what_is_not_there_is_an_error(config, work):
    config.data.exclude = ("b2", "c7", "c8")
    with pytest.raises(ValueError, match="data.exclude .*: c7, c8"):
        inputs.micrographs(config, work)


def test_outlines_come_from_their_folder(config, work, tmp_path):
    outline = np.zeros((24, 24), np.uint8)
    outline[4:14, 6:12] = 255
    write(tmp_path / "drawn" / "one.png", outline)
    config.data.outlines = str(tmp_path / "drawn")
    found = inputs.given_outlines(config, work)
    assert found.shape == (1, 16, 16) and found.sum() == 60
    config.shapes.outline_px = 32
    assert inputs.given_outlines(config, work).shape == (1, 32, 32)


def test_outlines_are_scaled_to_the_micrographs(config, work, tmp_path):
    square = np.pad(np.full((20, 30), 255, np.uint8), 9)
    write(tmp_path / "drawn" / "one.png", square)
    config.data.outlines = str(tmp_path / "drawn" / "one.png")
    config.data.pixel_size_nm = 5.0
    assert inputs.given_outlines(config, work).sum() == 600
    config.data.outline_pixel_size_nm = 2.5
    assert inputs.given_outlines(config, work).sum() == 150
    config.data.outline_pixel_size_nm = 0.0
    fiji.write_tiff(tmp_path / "drawn" / "one.tif", square, pixel_size_nm=10.0)
    config.data.outlines = str(tmp_path / "drawn" / "one.tif")
    assert inputs.given_outlines(config, work).sum() == 2400


def test_outlines_may_lie_beside_the_micrographs(config, work, tmp_path):
    config.data.outlines = str(tmp_path / "images" / ".")
    config.data.info_bar_px = BAR_PX
    with pytest.raises(ValueError, match="no outlines in .*, the folder of the micrographs"):
        inputs.given_outlines(config, work)
    labels = np.zeros((64, 80), np.uint8)
    labels[20:40, 30:50], labels[45:55, 10:20] = 1, 2  # the second reaches into the bar
    fiji.write_rois(tmp_path / "images" / "b2.zip", labels)
    assert inputs.given_outlines(config, work).sum() == 400


def test_outlines_drawn_on_pixels_that_are_not_square_are_refused(config, work, tmp_path):
    (tmp_path / "images" / "b2.png").unlink()
    size = {"PhysicalSizeX": 0.005, "PhysicalSizeY": 0.01, "axes": "YX"}
    tifffile.imwrite(tmp_path / "images" / "b2.ome.tif", draw_image(90), metadata=size)
    (tmp_path / "images" / "b2.ome.tif").rename(tmp_path / "images" / "b2.tif")
    (tmp_path / "drawn").mkdir()
    labels = np.zeros((64, 80), np.uint8)
    labels[20:40, 30:50] = 1
    fiji.write_rois(tmp_path / "drawn" / "b2.zip", labels)
    config.data.outlines = str(tmp_path / "drawn")
    with pytest.raises(ValueError, match="was drawn on b2.tif, whose pixels are not square"):
        inputs.given_outlines(config, work)
    # What was drawn on the picture with square pixels, as `semjax outline` shows it, is right.
    window = outlining.Outlining(tmp_path / "images", tmp_path / "window")
    window.open([path.stem for path in window.paths].index("b2"))
    assert window.micrograph.image.shape == (128, 80)
    assert window.draw([np.array([[40, 20], [40, 50], [90, 50], [90, 20]])]) == [""]
    config.data.outlines = str(tmp_path / "window")
    assert inputs.given_outlines(config, work).sum() == pytest.approx(30 * 50, abs=90)
    config.data.outlines = str(tmp_path / "drawn")
    config.data.pixel_size_nm = 5.0  # they are square after all
    assert inputs.given_outlines(config, work).sum() == 400


def test_a_factor_on_pixel_sizes_leaves_outlines_alone(config, work, tmp_path):
    square = np.pad(np.full((20, 30), 255, np.uint8), 9)
    config.data.pixel_size_nm, config.data.calibration = 5.0, 1.1
    fiji.write_tiff(tmp_path / "one.tif", square, pixel_size_nm=10.0)
    config.data.outlines = str(tmp_path / "one.tif")
    assert inputs.given_outlines(config, work).sum() == 2400
    config.data.outline_pixel_size_nm = 2.5
    assert inputs.given_outlines(config, work).sum() == 150


def test_shapes_depend_on_pixel_sizes_where_outlines_have_their_own():
    config = settings.get_config()
    sizes = {"data.pixel_size_nm", "data.scale_bar_px", "data.outline_pixel_size_nm"}
    assert not sizes & marks.settings(config, "shapes").keys()
    config.data.outline_pixel_size_nm = 2.5
    found = marks.settings(config, "shapes").keys()
    assert sizes <= found and "data.calibration" not in found
    assert not sizes & marks.settings(config, "translate").keys()


# --- truth


def test_without_a_folder_there_is_no_truth(config, work):
    assert truth.masks(config, work) == {}


def test_truth_pairs_by_name(config, work, tmp_path):
    config.data.truth = str(tmp_path / "truth")
    for name, label in (("a1", 7), ("b10", 3), ("b2", 5)):  # b10 first, one without an image
        labels = np.zeros((64, 80), np.uint16)
        labels[:5, :5], labels[10:, 10:] = 1, label
        tifffile.imwrite(make(tmp_path / "truth") / f"{name}.tif", labels)
    shapes = shapes_of(config, work)
    found = inputs.manual_labels(config, work, shapes)
    assert {name: labels.max() for name, labels in found.items()} == {"b2": 5, "b10": 3}
    assert all(labels.shape == (64, 80) for labels in found.values())
    config.data.exclude = ("b2",)
    assert inputs.manual_labels(config, work, shapes_of(config, work)).keys() == {"b10"}


def test_misspelt_test_images_are_refused(config, work):
    config.data.test_images = ("b2", "c7")
    with pytest.raises(ValueError, match="data.test_images .*: c7"):
        inputs.micrographs(config, work)


def test_test_images_train_nothing(config, work, tmp_path):
    config.data.truth = str(tmp_path / "truth")
    for name in ("b2", "b10"):
        write(tmp_path / "truth" / f"{name}.png", 255 * np.eye(64, 80, dtype=np.uint8))
    config.data.test_images = ("b10",)
    shapes = shapes_of(config, work)
    assert inputs.manual_labels(config, work, shapes).keys() == {"b2"}
    assert truth.masks(config, work).keys() == {"b2", "b10"}  # they are scored


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_manual_masks_must_be_there(config, work, tmp_path):
    with pytest.raises(FileNotFoundError, match="data.truth"):
        inputs.manual_labels(config, work, shapes_of(config, work))
    config.data.truth = str(tmp_path / "truth")
    write(tmp_path / "truth" / "other.png", np.eye(8, dtype=np.uint8))
    with pytest.raises(FileNotFoundError, match="named like the images"):
        inputs.manual_labels(config, work, shapes_of(config, work))


def test_a_mask_s_particles_are_its_4_connected_components(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[1:3, 1:3] = mask[3:5, 3:5] = mask[6, 6] = 255  # the first two touch by a corner
    write(tmp_path / "mask.png", mask)
    found = truth.read_labels(tmp_path / "mask.png", (8, 8))
    assert found.dtype == np.int32
    assert sorted(np.bincount(found.ravel())) == [1, 4, 4, 55]
    assert np.array_equal(found > 0, mask > 0)


def test_a_mask_blurred_by_compression_is_a_mask(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 4:12] = mask[18:28, 15:29] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=60)
    assert np.unique(images.read_image(tmp_path / "mask.jpg")).size > 2
    found = truth.read_labels(tmp_path / "mask.jpg", (32, 32))
    assert found.max() == 2
    assert ((found > 0) != (mask > 0)).mean() < 0.02


def test_a_label_image_keeps_its_labels(tmp_path):
    labels = np.zeros((8, 8), np.uint16)
    labels[:3, :3], labels[:3, 3:], labels[5:, 5:], labels[7, 0] = 4, 300, 9, 9
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    found = truth.read_labels(tmp_path / "labels.tif", (8, 8))
    assert found.dtype == np.int32
    assert np.array_equal(found, labels)  # touching ones apart, pieces together


def test_an_empty_truth_has_no_particles(tmp_path):
    write(tmp_path / "empty.png", np.zeros((8, 8), np.uint8))
    assert not truth.read_labels(tmp_path / "empty.png", (8, 8)).any()


def test_rows_of_the_information_bar_are_cut_from_the_truth(tmp_path):
    mask = np.zeros((10, 8), np.uint8)
    mask[1:3, 1:3] = 255
    mask[8:] = 255  # written over the bar
    write(tmp_path / "mask.png", mask)
    found = truth.read_labels(tmp_path / "mask.png", (8, 8))
    assert found.shape == (8, 8) and found.max() == 1


def test_the_bar_does_not_make_a_mask_a_label_image(tmp_path):
    mask = np.zeros((10, 8), np.uint8)
    mask[1:3, 1:3] = mask[1:3, 5:7] = 255
    mask[8:] = 90
    write(tmp_path / "mask.png", mask)
    assert truth.read_labels(tmp_path / "mask.png", (8, 8)).max() == 2


def test_a_truth_smaller_than_its_image_is_an_error(tmp_path):
    write(tmp_path / "mask.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"mask.png has \(6, 8\) px, its image \(8, 8\)"):
        truth.read_labels(tmp_path / "mask.png", (8, 8))


@pytest.mark.parametrize(
    ("rows", "cols"), [(0, 0), (2, 0), (-2, 3), (0, -1), (3, 3), (-7, 0), (0, 8)]
)
def test_labels_are_shifted_and_what_enters_is_background(rows, cols):
    labels = np.arange(1, 57, dtype=np.int32).reshape(7, 8)
    found = inputs.shift_labels(labels, rows=rows, cols=cols)
    for row in range(7):
        for col in range(8):
            inside = 0 <= row - rows < 7 and 0 <= col - cols < 8
            assert found[row, col] == (labels[row - rows, col - cols] if inside else 0)


def test_what_only_the_published_data_have_is_refused_elsewhere(config, work):
    shapes = shapes_of(config, work)
    with pytest.raises(ValueError, match="segment.pairs='tsem'.*'tio2'"):
        inputs.tsem_labels(config, work, shapes)
    with pytest.raises(FileNotFoundError, match="classify.labels='manual'.*data.classes"):
        inputs.manual_classes(config, work, shapes)


def test_training_crops_follow_the_settings(config, work):
    pictures = inputs.micrographs(config, work)
    config.translate.tiles = "all"
    every = inputs.training_crops(config, pictures, (32, 32))
    assert len(every.image) == 2 * 5 * 7
    config.translate.tiles, config.translate.foreground_range = "foreground", (0.2, 0.8)
    chosen = inputs.training_crops(config, pictures, (32, 32))
    assert 0 < len(chosen.image) < len(every.image)
    # The square of 20 x 20 px fills 39 % of a tile.
    assert chosen.fraction.min() >= 0.2 and chosen.fraction.max() < 0.5


def test_the_phantom_is_drawn_once(config, work):
    config.data.source = "phantom"
    config.data.phantom_images, config.data.phantom_outlines = 1, 2
    config.data.phantom_px = (64, 64)
    inputs.prepare(config, work)
    times = {path: path.stat().st_mtime_ns for path in work.inputs.rglob("*")}
    inputs.prepare(config, work)
    assert times == {path: path.stat().st_mtime_ns for path in work.inputs.rglob("*")}
    (picture,) = inputs.micrographs(config, work)
    assert picture.image.shape == (64, 64)
    assert picture.pixel_size_nm == pytest.approx(config.data.phantom_pixel_size_nm)
    assert len(inputs.given_outlines(config, work)) == 2
    found = inputs.manual_labels(config, work, {picture.name: picture.image.shape})
    assert found[picture.name].max() >= 1


def test_other_sources_need_no_preparation(config, work):
    inputs.prepare(config, work)
    assert not work.inputs.exists()
