"""Work folders and models of this and earlier versions are still read; see fixtures/make.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

import semjax
from semjax import main, messages, pipeline, settings
from semjax.analysis import scores

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.parent.name for path in FIXTURES.glob("*/config.json"))


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    """A work folder as that version left it."""
    folder = tmp_path / "work"
    shutil.copytree(FIXTURES / request.param, folder)
    for part, stage in (("segmenter", "5_segment"), ("classifier", "6_classify")):
        shutil.copytree(folder / "model" / part, folder / stage / "model")
    return folder


def test_this_version_is_among_them():
    assert semjax.__version__ in VERSIONS


def test_an_old_model_finds_what_it_found(old):
    model = semjax.load(old / "model")
    assert semjax.load(old).hash == model.hash
    for path in sorted((old / "inputs" / "images").iterdir()):
        expected = tifffile.imread(old / "7_measure" / "labels" / path.name).astype(np.int32)
        found = semjax.segment(model, path)
        assert found.max() == expected.max() > 0
        # Another version of the libraries rounds otherwise.
        assert scores.score(found, expected)["image_iou"] > 0.99
        table = semjax.measure(found, path, model=model)
        assert len(table) == found.max() and table["class_score"].between(0, 1).all()


def test_all_stages_of_an_old_work_folder_are_done(old, monkeypatch):
    config = settings.get_config()
    recorded = json.loads((old / "config.json").read_text())
    for section, values in recorded.items():
        if isinstance(values, dict):
            for name, value in values.items():
                config[section][name] = tuple(value) if isinstance(value, list) else value
        else:
            config[section] = values
    monkeypatch.setattr(pipeline, "load_stage", lambda name: pytest.fail(f"{name} runs again"))
    before = {path: path.read_bytes() for path in old.rglob("*.json") if path.name == "done.json"}
    with messages.show():
        pipeline.run(config, old, stages=pipeline.STAGES)
    assert len(before) == len(pipeline.STAGES) + 1
    assert all(path.read_bytes() == content for path, content in before.items())
    log = (old / "log.txt").read_text()
    assert all(f"{name}: done, skipped" in log for name in pipeline.STAGES)
    assert (old / "report.html").stat().st_size > 10_000


def test_old_results_can_be_reported(old):
    assert main.console(["report", str(old)]) == 0
    assert "Feret" in (old / "7_measure" / "size_report.html").read_text()
