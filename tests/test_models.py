import json
import shutil

import numpy as np
import pandas as pd
import pytest

from semjax import models


def change(folder, **entries):
    """Puts other entries into a model.json."""
    described = json.loads((folder / "model.json").read_text())
    described |= entries
    (folder / "model.json").write_text(json.dumps(described))


def test_a_bundle_of_a_bundle_is_the_same_model(bright, tmp_path):
    model = models.load(bright)
    models.bundle(model, tmp_path / "again")
    again = models.load(str(tmp_path / "again"))
    assert again.hash == model.hash and len(model.hash) == 64
    assert again.recipe == model.recipe and again.trained == model.trained
    for name in (
        "model.json",
        *(f"{part}/{file}" for part in models.PARTS for file in models.FILES),
    ):
        assert (tmp_path / "again" / name).read_bytes() == (bright / name).read_bytes()
    image = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    outputs = [
        models.predict.run_image(m.segmenter, image, tile_px=(64, 64)) for m in (model, again)
    ]
    assert np.array_equal(*outputs)
    assert not list((tmp_path / "again").rglob("*.part"))


@pytest.mark.parametrize("name", ["segmenter/variables.npz", "classifier/config.json"])
def test_other_weights_are_refused(bright, name):
    content = bytearray((bright / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bright / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*SHA-256"):
        models.load(bright)
    (bright / name).unlink()
    with pytest.raises(ValueError, match=name):
        models.load(bright)


def test_a_threshold_in_model_json_is_the_one_that_counts(bright):
    before = models.load(bright)
    recipe = before.recipe | {"thresholds": {"segmenter": 0.9, "classifier": 0.1}}
    change(bright, recipe=recipe)
    after = models.load(bright)
    assert after.segmenter.settings["threshold"] == 0.9
    assert after.classifier.settings["threshold"] == 0.1
    assert after.hash != before.hash


def test_what_does_not_change_results_does_not_change_the_hash(bright):
    before = models.load(bright)
    models.add_truth(bright, {"semjax": {"f1_50": 0.7}, "blur, Li, watershed": {"f1_50": 0.5}})
    after = models.load(bright)
    assert after.hash == before.hash
    assert after.scores == {"truth of the run's images": {"f1_50": 0.7}}


def test_errors_say_what_to_do(bright, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a model folder"):
        models.load(tmp_path)
    change(bright, format=99)
    with pytest.raises(ValueError, match="knows formats up to 1; update"):
        models.load(bright)
    change(bright, format=1, recipe={})
    with pytest.raises(ValueError, match="lacks contrast, dark_particles"):
        models.load(bright)
    (bright / "model.json").write_text("{")
    with pytest.raises(ValueError, match="model.json is damaged"):
        models.load(bright)
    shutil.rmtree(bright)
    models.add_truth(bright, {"semjax": {"f1_50": 0.7}})  # no model, nothing to add to
    assert not bright.exists()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("info_bar_px", "all"),
        ("info_bar_px", True),
        ("tile_px", [64]),
        ("tile_px", [10**9, 10**9]),
        ("tile_px", [60, 64]),
        ("contrast", {"low": 0.5}),
        ("contrast", {"low": 0.5, "high": float("nan"), "knee": 0.6}),
        ("min_area_px", -1),
        ("split", "axe"),
        ("split", ["markers"]),
        ("thresholds", {"segmenter": 0.5, "classifier": [0.5]}),
    ],
)
def test_a_recipe_that_semjax_never_writes_is_refused(bright, entry, value):
    change(bright, recipe=models.load(bright).recipe | {entry: value})
    with pytest.raises(ValueError, match=f"model.json cannot be used: {entry} is not what semjax"):
        models.load(bright)


@pytest.mark.parametrize("entry", ["recipe", "trained", "scores", "sha256"])
@pytest.mark.parametrize("value", [None, [], 3, "x", {"p1": 1}])
def test_entries_of_another_kind_are_refused(bright, entry, value):
    change(bright, **{entry: value})
    with pytest.raises(ValueError, match=r"(model.json (cannot be used|lacks)|is not the file)"):
        models.load(bright)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"format": "1"}', '{"format": true}', "[1]", "\0"])
def test_a_model_json_that_is_none_is_refused(bright, text):
    (bright / "model.json").write_text(text)
    with pytest.raises(ValueError, match="model.json is damaged"):
        models.load(bright)


def test_a_network_of_other_outputs_is_refused(bright):
    before = models.load(bright)
    files = before.files | {"segmenter": before.files["classifier"]}
    models.bundle(before._replace(files=files), bright.parent / "swapped")
    with pytest.raises(ValueError, match="segmenter/config.json cannot be used"):
        models.load(bright.parent / "swapped")


@pytest.mark.parametrize("unit", ["nm", "px"])
def test_ranges_are_those_of_the_images_that_were_measured(bright, unit):
    side = {"a": 4.0, "b": 8.0} if unit == "nm" else {"a": None, "b": None}
    images = pd.DataFrame({"image": list(side), "pixel_size_nm": list(side.values())})
    rng = np.random.default_rng(0)
    particles = pd.DataFrame({"image": ["a"] * 500 + ["b"] * 500, "kept": rng.random(1000) < 0.9})
    sizes = rng.uniform(10, 50, 1000)
    expected = np.percentile(sizes[particles["kept"]], [1, 50, 99])
    sizes[~particles["kept"]] = 1000
    factor = particles["image"].map(side) if unit == "nm" else 1.0
    particles[f"min_feret_{unit}"] = sizes * factor
    trained = models.learn_ranges(models.load(bright), images, particles).trained
    assert trained["pixel_size_nm"] == ([4.0, 8.0] if unit == "nm" else None)
    assert list(trained["min_feret_px"].values()) == pytest.approx(expected, abs=0.01)
    nothing = models.learn_ranges(models.load(bright), images, particles[:0]).trained
    assert nothing["min_feret_px"] is None
