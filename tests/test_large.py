"""Large images, of which only rows are held, give what small ones give."""

import jax
import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from PIL import Image

from semjax import batch, measuring, models, predict
from semjax.analysis import bands
from semjax.data import contrast, decoding, images


def renumber(labels):
    """Labels numbered by their first pixels."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].reshape(labels.shape)


@pytest.fixture
def tiny_bands(monkeypatch):
    """Makes every image a large one, in bands of some 40 rows."""

    def start():
        monkeypatch.setattr(contrast, "LARGE_PX", 1000)
        monkeypatch.setattr(decoding, "LARGE_PX", 1000)
        monkeypatch.setattr(contrast, "SHOWN_PX", 100)
        for function in (bands.split, bands.rows, bands.whole):
            monkeypatch.setitem(function.__kwdefaults__, "band_px", 5000)

    return start


@pytest.fixture
def montage(discs, write_image, tmp_path):
    """Eight pictures side by side, mirrored so that particles meet at the seams."""
    image = discs[0]
    row = np.concatenate([image, image[:, ::-1]], axis=1)
    column = np.concatenate([row, row[::-1], row, row[::-1]])[:350, :231]
    return write_image(tmp_path / "images" / "montage.tif", column)


def test_a_large_image_gives_the_particles_of_a_small_one(
    bright, montage, tiny_bands, monkeypatch, tmp_path
):
    monkeypatch.setattr(batch.sample, "write", lambda given, path: path)
    assert not batch.run(bright, [montage], tmp_path / "small", info_bar_px=0)
    tiny_bands()
    assert not batch.run(bright, [montage], tmp_path / "large", info_bar_px=0)
    small, large = tmp_path / "small", tmp_path / "large"
    expected, labels = (tifffile.imread(out / "labels" / "montage.tif") for out in (small, large))
    assert labels.max() == expected.max() >= 20
    image = images.read_micrograph(montage, info_bar_px=0, in_rows=True).image
    assert isinstance(image, contrast.Stretched)
    assert len(list(measuring.segment_rows(models.load(bright), image))) > 3  # bands
    assert np.array_equal(renumber(labels), renumber(expected))
    files = [(out / "probability" / "montage.tif").read_bytes() for out in (small, large)]
    assert files[0] == files[1]
    found, true = (pd.read_csv(out / "particles.csv") for out in (large, small))
    found, true = (x.sort_values(["row", "col"], ignore_index=True) for x in (found, true))
    columns = [name for name in true if name != "label"]
    pd.testing.assert_frame_equal(found[columns], true[columns], rtol=1e-9)
    rois, true_rois = (roifile.roiread(out / "rois" / "montage.zip") for out in (large, small))
    assert sorted(int(roi.name) for roi in rois) == list(range(1, labels.max() + 1))
    boxes, true_boxes = (
        sorted((roi.top, roi.left, roi.bottom, roi.right) for roi in given)
        for given in (rois, true_rois)
    )
    assert boxes == true_boxes
    with Image.open(large / "pictures" / "montage.jpg") as picture:
        assert picture.size == (231 // 4, 350 // 4)  # no longer side above 100 px
    with Image.open(large / "overlays" / "montage.png") as picture:
        assert picture.size == (231 // 4, 350 // 4)
    assert sorted(path.name for path in large.iterdir()) == sorted(
        path.name for path in small.iterdir()
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("seed", range(20))
def test_contrast_from_counts_is_that_of_the_pixels(seed, dtype):
    rng = np.random.default_rng(seed)
    top = rng.integers(2, np.iinfo(dtype).max)
    image = rng.integers(0, top, rng.integers(1, 60, 2)).astype(dtype)
    low, high = np.sort(rng.uniform(0, 100, 2)) if seed else (0, 100)
    options = {"low": low, "high": high, "knee": rng.choice([0, 0.6, 1])}
    options["dark_particles"] = bool(seed % 2)
    expected = contrast.stretch_contrast(image.astype(np.float64), **options)
    assert np.array_equal(contrast.stretch_contrast(image, **options), expected)
    lazy = contrast.Stretched(image, **options)
    assert np.array_equal(lazy[3:9], expected[3:9]) and np.array_equal(np.asarray(lazy), expected)


@pytest.fixture
def compiled():
    """Names of what XLA was asked to compile, one each time."""
    names = []

    def listen(event, duration, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(details.get("fun_name", "?"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.clear_event_listeners()


def test_each_network_is_compiled_once_for_images_of_all_sizes(bright, compiled):
    model = models.load(bright)
    jax.clear_caches()
    compiled.clear()
    for shape in ((70, 90), (64, 64), (131, 300), (20, 30), (400, 65)):
        image, labels = np.zeros(shape, np.float32), np.eye(*shape, dtype=np.int32)
        for flips in (True, False):
            predict.probabilities(model.segmenter, image, tile_px=(64, 64), flips=flips)
        predict.classify(model.classifier, image, labels, tile_px=(64, 64))
    assert len(compiled) == 2, compiled
