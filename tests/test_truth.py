"""Masks, classes and sizes that are known, from folders and from the phantom."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from semjax import inputs, pipeline, settings, truth
from semjax.analysis import kept
from semjax.workdir import Work


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "work")


@pytest.fixture
def config(tmp_path):
    """Two images of discs with masks and classes, files named as people name them."""
    made = settings.get_config()
    rows, cols = np.mgrid[:60, :80]
    for name in ("images", "truth", "classes"):
        (tmp_path / name).mkdir()
        made.data[name] = str(tmp_path / name)
    for i, name in enumerate(("a1", "a2")):
        first = np.hypot(rows - 20, cols - 20 - i) <= 10
        second = np.hypot(rows - 35, cols - 55) <= 14
        image = np.random.default_rng(i).normal(60, 5, rows.shape) + 90 * (first | second)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image.clip(0, 255).astype(np.uint8))
        mask = np.where(first | second, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "truth" / f"{name}_mask.png")
        colors = np.zeros((*rows.shape, 3), np.uint8)
        colors[first], colors[second] = (0, 255, 0), (255, 0, 0)
        Image.fromarray(colors).save(tmp_path / "classes" / f"{name}_cm.png")
    made.data.pixel_size_nm = 2.0
    made.data.info_bar_px = 0
    return made


def test_files_belong_to_images_by_name(config, work):
    known = truth.read(config, work, inputs.micrographs(config, work))
    assert known.keys() == {"a1", "a2"}
    one = known["a1"]
    assert one.labels.max() == 2 and one.verdict.tolist() == [kept.OPEN, kept.GOOD, kept.BAD]
    assert one.active == (60, 80)
    assert one.sizes["min_feret_nm"].tolist() == [pytest.approx(2 * 20.5, abs=1.5)]


@pytest.mark.parametrize("blur_px", [0.0, 1.0])
def test_masks_with_soft_edges_are_masks(tmp_path, blur_px):
    rows, cols = np.mgrid[:60, :80]
    first = np.hypot(rows - 20, cols - 20) <= 10
    second = np.hypot(rows - 35, cols - 55) <= 14
    soft = ndimage.gaussian_filter(255.0 * (first | second), blur_px)
    Image.fromarray(np.rint(soft).astype(np.uint8)).save(tmp_path / "a.png")
    labels = truth.read_labels(tmp_path / "a.png", rows.shape)
    assert labels.max() == 2 and np.mean((labels > 0) == (first | second)) > 0.995


def test_thin_particles_of_a_label_image_stay_apart(tmp_path):
    labels = np.zeros((40, 40), np.uint8)
    for i in range(4):
        labels[8 * i + 2 : 8 * i + 4, 5:35] = i + 1  # needles of 2 px: no label fills 3 x 3 px
    Image.fromarray(labels).save(tmp_path / "a.png")
    assert (truth.read_labels(tmp_path / "a.png", labels.shape) == labels).all()
    labels[34:39, 5:12] = 5  # one that does, and has the highest label
    Image.fromarray(labels).save(tmp_path / "a.png")
    assert (truth.read_labels(tmp_path / "a.png", labels.shape) == labels).all()


def test_what_can_be_trained_on_has_masks_and_classes_and_is_not_tested(config, work, tmp_path):
    config.segment.pairs = config.classify.labels = "manual"
    names = {"a1", "a2", "a3"}
    assert inputs.trainable(config, work, "segment", names) == {"a1", "a2"}
    (tmp_path / "classes" / "a1_cm.png").unlink()
    assert inputs.trainable(config, work, "classify", names) == {"a2"}
    config.data.test_images = ("a2",)
    assert inputs.trainable(config, work, "segment", names) == {"a1"}
    config.data.info_bar_px, config.segment.tile_px = 0, (32, 32)
    with pytest.raises(ValueError, match="masks to train segment on is 1, but must be at least 2"):
        pipeline.run(config, work.path, stages=["segment"])


def test_without_classes_there_are_no_verdicts(config, work):
    config.data.classes = ""
    known = truth.read(config, work, inputs.micrographs(config, work))
    assert known["a1"].verdict is None and known["a1"].sizes is None
    config.data.truth = ""
    assert truth.read(config, work, inputs.micrographs(config, work)) == {}


def test_two_masks_of_one_image_are_refused_and_micrographs_beside_masks_are_none(
    config, work, tmp_path
):
    content = (tmp_path / "truth" / "a1_mask.png").read_bytes()
    (tmp_path / "truth" / "a1_labels.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a1_labels\.png and a1_mask\.png.*both .* 'a1'"):
        truth.masks(config, work)
    (tmp_path / "truth" / "a1_labels.png").unlink()
    (tmp_path / "truth" / "a1.tif").write_bytes((tmp_path / "images" / "a1.tif").read_bytes())
    found = truth.masks(config, work)
    assert found.keys() == {"a1", "a2"} and found["a1"].name == "a1_mask.png"


def check(config, work):
    truth.check(config, work, inputs.micrographs(config, work))


def test_names_are_compared_before_any_training(config, work, tmp_path, caplog):
    check(config, work)
    (tmp_path / "truth" / "a2_mask.png").rename(tmp_path / "truth" / "a2_gt.png")
    check(config, work)
    assert "data.truth: no image is named like a2_gt.png" in caplog.text
    config.data.exclude = ("a2_gt",)  # whatever it is, it is left out
    caplog.clear()
    with pytest.raises(ValueError, match="data.exclude names images that are not there"):
        check(config, work)
    config.data.exclude = ()
    (tmp_path / "truth" / "a1_mask.png").rename(tmp_path / "truth" / "a1_gt.png")
    with pytest.raises(
        ValueError, match=r"no file in config.data.truth, .* a1_gt\.png, a2_gt\.png"
    ):
        check(config, work)
    # A run looks at the names before it looks for what else it needs of them.
    config.segment.pairs = config.classify.labels = "manual"
    with pytest.raises(ValueError, match="no file in config.data.truth"):
        pipeline.run(config, work.path, stages=["segment"])
    (tmp_path / "truth" / "a1_gt.png").rename(tmp_path / "truth" / "a1.png")
    for path in (tmp_path / "classes").iterdir():
        path.rename(path.with_stem(f"{path.stem}_2"))
    with pytest.raises(ValueError, match=r"no file in config.data.classes, .* a1_cm_2\.png"):
        check(config, work)


def test_a_micrograph_is_no_truth(config, work, tmp_path):
    (tmp_path / "truth" / "a1_mask.png").unlink()
    (tmp_path / "truth" / "a1.tif").write_bytes((tmp_path / "images" / "a1.tif").read_bytes())
    with pytest.raises(ValueError, match=r"a1\.tif looks like a micrograph"):
        check(config, work)


@pytest.mark.parametrize(
    "size", [(30, 40), (60, 79), (60, 81), (53, 80)], ids=["half", "less", "more", "few rows"]
)
def test_class_masks_have_their_image_s_size(config, work, tmp_path, size):
    path = tmp_path / "classes" / "a1_cm.png"
    Image.open(path).resize(size[::-1]).save(path)
    with pytest.raises(ValueError, match=rf"a1_cm\.png has .*{size[1]}.* px, its image \(60, 80\)"):
        check(config, work)
    with pytest.raises(ValueError, match="its image"):
        truth.read(config, work, inputs.micrographs(config, work))


def test_masks_are_not_laid_over_resampled_images(config, work):
    pictures = [p._replace(is_resampled=True) for p in inputs.micrographs(config, work)]
    for read in (truth.check, truth.read):
        with pytest.raises(ValueError, match=r"_mask\.png cannot be laid over a\d\.tif"):
            read(config, work, pictures)


def test_classes_train_a_classifier(config, work):
    shapes = {p.name: p.image.shape for p in inputs.micrographs(config, work)}
    labels, verdict = inputs.manual_classes(config, work, shapes)["a2"]
    assert labels.max() == 2 and verdict.tolist() == [kept.OPEN, kept.GOOD, kept.BAD]
    config.data.test_images = ("a2",)
    assert inputs.manual_classes(config, work, shapes).keys() == {"a1"}


def test_the_phantom_knows_exact_sizes(tmp_path):
    config = settings.get_config()
    config.data.source = "phantom"
    config.data.phantom_images, config.data.phantom_px = 1, (192, 256)
    work = Work(tmp_path / "phantom")
    work.create()
    inputs.prepare(config, work)
    (known,) = truth.read(config, work, inputs.micrographs(config, work)).values()
    table = pd.read_csv(work.inputs / "truth.csv")
    good = (table["visible_fraction"] >= config.classify.min_visible) & ~table["touches_border"]
    assert set(known.sizes["label"]) == set(table["label"][good])
    assert len(known.verdict) == known.labels.max() + 1
    assert np.count_nonzero(known.verdict == kept.GOOD) == good.sum() > 3
    assert known.sizes["min_feret_nm"].min() > 0
    assert "equivalent_circular_diameter_nm" in known.sizes


@pytest.mark.parametrize("how", ["palette", "palette.tif", "grey in colours", "two values"])
def test_class_masks_may_be_stored_in_any_way(config, work, tmp_path, how):
    for path in (tmp_path / "classes").iterdir():
        picture = Image.open(path).convert("RGB")
        path.unlink()
        if how.startswith("palette"):
            picture = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=3)
            path = path.with_suffix(".tif") if how.endswith("tif") else path
        else:
            picture = picture.getchannel("G")  # white where a particle is good
            picture = picture.convert("RGB") if how.startswith("grey") else picture.convert("1")
        picture.save(path)
    known = truth.read(config, work, inputs.micrographs(config, work))
    assert known["a1"].verdict.tolist() == [kept.OPEN, kept.GOOD, kept.BAD]


def test_a_mask_whose_particles_are_black_is_told_of(config, work, tmp_path, caplog):
    check(config, work)
    assert "invert" not in caplog.text
    path = tmp_path / "truth" / "a1_mask.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    check(config, work)
    assert "a1_mask.png: one white piece covers more than half of it" in caplog.text
