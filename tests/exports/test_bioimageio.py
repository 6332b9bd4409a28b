"""bioimage.io packages are valid, run there, and give what semjax gives."""

import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from semjax import predict
from semjax.data.images import stretch_contrast
from semjax.exports import bioimageio

# bioimageio.spec leaves the files open that it looks into.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*package.zip:ResourceWarning")
GIVEN = {"name": "Small particles", "authors": ["A. Person"], "license": "CC-BY-4.0"}


@pytest.mark.slow
def test_a_package_is_valid_and_runs_on_a_raw_micrograph_as_semjax_does(model, tmp_path):
    from bioimageio.core import predict as run_there
    from bioimageio.spec import load_model_description

    model.recipe["flips"] = True
    file = tmp_path / "package.zip"
    bioimageio.write(file, model, **GIVEN)
    assert [path.name for path in tmp_path.iterdir()] == ["package.zip"]
    description = load_model_description(file)
    assert description.validation_summary.status == "valid-format"
    assert str(description.license) == "CC-BY-4.0"
    assert [str(author.name) for author in description.authors] == ["A. Person"]

    raw = np.random.default_rng(3).gamma(2.0, 900.0, (200, 263)).astype(np.uint16)
    image = stretch_contrast(raw, **model.recipe["contrast"])
    ours = predict.probabilities(model.segmenter, image, tile_px=image.shape, flips=True)
    theirs = run_there(model=description, inputs=raw[None, None])
    there = np.asarray(theirs.members["probabilities"].data)[0].transpose(1, 2, 0)
    np.testing.assert_allclose(there, ours, atol=1e-4)


def test_a_sample_of_the_users_own_is_what_the_package_shows(model, tmp_path):
    sample = np.random.default_rng(4).integers(0, 255, (300, 400)).astype(np.uint8)
    bioimageio.write(tmp_path / "package.zip", model, **GIVEN, sample=sample)
    with zipfile.ZipFile(tmp_path / "package.zip") as package:
        with package.open("sample_input.png") as shown:
            np.testing.assert_array_equal(np.asarray(Image.open(shown)), sample[22:278, 72:328])
        with package.open("cover.png") as shown:
            assert Image.open(shown).size == (512, 256)
        text = package.read("README.md").decode()
    for said in ("Small particles", "2 to 2.5 nm", "8 to 50 px", "probability of 0.5 on"):
        assert said in text


def test_a_licence_that_is_none_is_named_and_nothing_is_written(model, tmp_path):
    with pytest.raises(ValueError, match="license.*CC-BY-4.0"):
        bioimageio.write(tmp_path / "package.zip", model, **GIVEN | {"license": "free"})
    assert not list(tmp_path.iterdir())


def test_a_sample_that_is_too_small_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="200 x 300 px, expected at least 256 x 256"):
        bioimageio.write(
            tmp_path / "package.zip", model, **GIVEN, sample=np.zeros((200, 300), np.uint8)
        )


def test_the_extra_is_named_where_it_is_missing(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioimageio.core", None)
    with pytest.raises(ValueError, match=r"pip install 'semjax\[bioimageio\]'"):
        bioimageio.write(tmp_path / "package.zip", model, **GIVEN)
