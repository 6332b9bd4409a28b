"""The model that a run hands on: the command measures with it as the stage did."""

import json
import shutil

import numpy as np
import pytest

from semjax import main, measured, models, workdir
from semjax.analysis import scores


def test_the_command_measures_as_the_stage_did(finished, tmp_path):
    images = finished.inputs / "images"
    for i, model in enumerate((finished.path, finished.model)):
        out = tmp_path / str(i)
        assert main.console(["segment", str(model), str(images), f"--out={out}"]) == 0
        for kind, suffix in measured.PER_IMAGE.items():
            if kind == "done":
                continue
            names = sorted(path.name for path in (finished.measure / kind).iterdir())
            assert names == [f"phantom_{n:03d}.{suffix}" for n in range(3)]
            for name in names:
                made = (out / kind / name).read_bytes()
                assert made == (finished.measure / kind / name).read_bytes()
        for name in ("particles.csv", "images.csv"):
            assert (out / name).read_bytes() == (finished.measure / name).read_bytes()


def test_the_model_says_what_it_was_trained_for(finished):
    bundled, own = models.load(finished.model), models.load(finished.path)
    assert bundled.hash == own.hash
    assert bundled.trained == own.trained and bundled.scores == own.scores
    assert bundled.trained["pixel_size_nm"] == [5.0, 5.0]
    sizes = list(bundled.trained["min_feret_px"].values())
    assert sizes == sorted(sizes) and sizes[0] > 2
    truth = workdir.read_json(finished.score / "scores.json")["semjax"]
    assert bundled.scores["truth of the run's images"] == truth
    held_out = bundled.scores["held-out pairs (synthetic)"]
    assert held_out["threshold"] == bundled.recipe["thresholds"]["segmenter"]
    assert 0 <= held_out["f1_50"] <= 1


def test_measured_json_tells_the_report(finished):
    facts = workdir.read_json(finished.measure / "measured.json")
    expected = {"format", "semjax", "versions", "unit", "border", "nano_nm", "bootstrap", "seed"}
    expected |= {"calibration_uncertainty", "model", "settings", "images"}
    assert set(facts) == expected
    assert facts["calibration_uncertainty"] is None
    assert facts["model"]["hash"] == models.load(finished.model).hash
    assert list(facts["images"]) == [f"phantom_{n:03d}" for n in range(3)]
    file = finished.inputs / "images" / "phantom_000.tif"
    assert facts["images"]["phantom_000"]["sha256"] == models.checksum(file)
    assert str(finished.path) not in json.dumps(facts)  # a work folder may be moved


def test_an_interrupted_measurement_goes_on(copy, monkeypatch):
    expected = copy.artifacts()
    shutil.rmtree(copy.measure)
    names = []

    def stop(path, labels):
        names.append(path.stem)
        if names.index(path.stem) == 1:
            raise KeyboardInterrupt
        return real(path, labels)

    real = measured.fiji.write_rois
    with monkeypatch.context() as patch:
        patch.setattr(measured.fiji, "write_rois", stop)
        assert copy.start() == 130
    with pytest.raises(ValueError, match="not come to its end"):
        models.load(copy.path)
    first = copy.measure / "labels" / f"{names[0]}.tif"  # of two at a time, either can be it
    times = first.stat().st_mtime_ns
    assert copy.start() == 0
    assert first.stat().st_mtime_ns == times
    assert copy.artifacts() == expected


def test_a_model_of_older_networks_is_not_handed_out(copy):
    (copy.classify / "done.json").unlink()
    with pytest.raises(ValueError, match="not come to its end"):
        models.load(copy.path)
    assert models.load(copy.model).hash  # the bundle is a copy, and stays whole


def test_drop_specks_keeps_the_command_honest(finished):
    """No particle below the recipe's smallest area is ever in a label image."""
    model = models.load(finished.model)
    for path in (finished.measure / "labels").iterdir():
        labels = measured.tifffile.imread(path).astype(np.int32)
        assert np.array_equal(scores.drop_specks(labels, model.recipe["min_area_px"]), labels)
