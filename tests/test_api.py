import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

import semjax
from semjax import measuring


@pytest.fixture
def model(bright):
    return semjax.load(bright)


def enlarge(image, times):
    return image.repeat(times, 0).repeat(times, 1)


def test_the_import_is_light():
    code = (
        "import sys, semjax; print([m for m in ('jax', 'pandas', 'skimage') if m in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        semjax.train  # noqa: B018


def test_four_verbs_from_an_image_to_its_scores(model, discs, write_image, tmp_path):
    image, truth = discs
    path = write_image(tmp_path / "a.tif", image)
    labels = semjax.segment(model, path)
    assert labels.dtype == np.int32 and labels.shape == truth.shape
    particles = semjax.measure(labels, path, model=model)
    assert list(particles["label"]) == [1, 2, 3, 4, 5, 6]
    assert particles["class_score"].between(0, 1).all()
    assert (particles["reason"] == "touches the border").sum() == 1 and particles["kept"].sum() == 5
    largest = particles["min_feret_nm"][particles["kept"]].max()
    assert largest == pytest.approx(5 * 28, rel=0.05)
    found = semjax.score(labels, truth)
    assert found["f1_50"] == 1.0 and found["image_iou"] > 0.95
    assert semjax.score(labels, truth > 0) == found  # a mask serves as well
    soft = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1.0)
    assert semjax.score(labels, soft)["f1_50"] == 1.0
    with pytest.raises(ValueError, match="labels must be integers, got bool; label a mask first"):
        semjax.score(labels > 0, truth)
    assert semjax.score(np.zeros_like(labels), truth)["f1_50"] == 0.0


def test_an_array_is_measured_like_its_file(model, discs, write_image, tmp_path):
    path = write_image(tmp_path / "a.tif", discs[0])
    raw = np.rint((discs[0] + 1) * 127.5).astype(np.uint8)
    labels = semjax.segment(model, path)
    assert np.array_equal(semjax.segment(model, raw, pixel_size_nm=5.0), labels)
    expected = semjax.measure(labels, path, model=model)
    found = semjax.measure(labels, raw, pixel_size_nm=5.0, model=model)
    assert found.equals(expected)
    columns = [c for c in expected if c not in ("class_score", "kept", "reason")]
    assert semjax.measure(labels, str(path)).equals(expected[columns])
    in_px = semjax.measure(labels)
    assert np.allclose(in_px["min_feret_px"] * 5, expected["min_feret_nm"])


def test_rescaled_images_give_the_same_diameters(model, discs, monkeypatch):
    """Twice the pixels at half the pixel size are seen by the network as they were."""
    shapes = []
    real = measuring.predict.probability_rows

    def look(network, image, **options):
        shapes.append(image.shape)
        return real(network, image, **options)

    monkeypatch.setattr(measuring.predict, "probability_rows", look)
    image = discs[0]
    fine, coarse = enlarge(image, 2), image[::2, ::2]
    tables = []
    for picture, size in ((image, 5.0), (fine, 2.5), (coarse, 10.0)):
        labels = semjax.segment(model, picture, pixel_size_nm=size, rescale=True)
        assert labels.shape == picture.shape
        tables.append(
            semjax.measure(labels, picture, pixel_size_nm=size, model=model, rescale=True)
        )
    assert shapes == [image.shape] * 3
    inner = [table[~table["border"]] for table in tables]
    assert [len(table) for table in tables] == [6, 6, 6]
    for other, tolerance in ((inner[1], 0.04), (inner[2], 0.12)):
        np.testing.assert_allclose(
            sorted(other["min_feret_nm"]), sorted(inner[0]["min_feret_nm"]), rtol=tolerance
        )
        assert other["kept"].all()


def test_images_and_particles_unlike_those_of_the_training_are_told(model, discs):
    image = discs[0]
    with pytest.warns(UserWarning, match="pixels of 2.5 nm.*trained on 5 nm.*2 times as large"):
        labels = semjax.segment(model, enlarge(image, 2), pixel_size_nm=2.5)
    with pytest.warns(UserWarning) as told:
        semjax.measure(labels, enlarge(image, 2), pixel_size_nm=2.5, model=model)
    assert any("larger than 40 px" in str(warning.message) for warning in told)
    # Nothing is known, or all is well: no word.
    semjax.segment(model, image)
    semjax.segment(model, image, pixel_size_nm=5.2)


def test_a_calibration_of_the_training_is_told_of(model, discs, write_image, tmp_path):
    path = write_image(tmp_path / "a.tif", discs[0])
    model = model._replace(trained=model.trained | {"calibration": 1.05})
    with pytest.warns(UserWarning, match="by a factor of 1.05, these are not; if.*size times 1.05"):
        semjax.segment(model, path)
    semjax.segment(model, path, pixel_size_nm=5.2)  # the user has seen to it


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (65, 64), (3, 500), (130, 131)])
@pytest.mark.filterwarnings("ignore:of")
def test_any_size(model, shape):
    rng = np.random.default_rng(0)
    image = rng.random(shape) < 0.3
    labels = semjax.segment(model, image.astype(np.uint8))
    assert labels.shape == shape
    table = semjax.measure(labels, image.astype(np.uint8), model=model)
    assert len(table) == labels.max()
    assert (labels > 0)[~image].sum() == 0


def test_wrong_arguments_are_explained(model, discs):
    image, labels = discs
    with pytest.raises(ValueError, match="grey levels in rows and columns.*\\(96, 128, 3\\)"):
        semjax.segment(model, np.stack([image] * 3, axis=-1))
    with pytest.raises(ValueError, match="NaN"):
        semjax.segment(model, np.full((9, 9), np.nan))
    with pytest.raises(ValueError, match="rescale needs the pixel size of the image"):
        semjax.segment(model, image, rescale=True)
    with pytest.raises(ValueError, match="too large"):
        semjax.segment(model, image, pixel_size_nm=5e5, rescale=True)
    with pytest.raises(ValueError, match="label a mask first"):
        semjax.measure(labels > 0)
    with pytest.raises(ValueError, match="give the image, too"):
        semjax.measure(labels, model=model)
    with pytest.raises(ValueError, match="one two-dimensional shape"):
        semjax.measure(labels[:50], image, model=model)
    with pytest.raises(ValueError, match="one shape"):
        semjax.score(labels[:50], labels)
