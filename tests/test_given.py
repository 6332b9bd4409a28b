"""Files of the user that change after a stage was made from them."""

import os

import numpy as np
import pytest

from semjax import given, marks, settings
from semjax.data import tio2
from semjax.report import figures
from semjax.workdir import STAGES, Work


@pytest.fixture
def config(tmp_path):
    config = settings.get_config()
    config.data.source = "folder"
    for name in ("images", "outlines"):
        (tmp_path / name).mkdir()
        config.data[name] = str(tmp_path / name)
        for i in range(3):
            figures.write_png(tmp_path / name / f"{i}.png", np.full((8, 8), i, np.uint8))
    return config


def test_nothing_has_changed(config, tmp_path):
    before = given.files(config, "measure")
    assert list(before) == ["images"] and sorted(before["images"]) == ["0.png", "1.png", "2.png"]
    (tmp_path / "images" / ".DS_Store").write_text("")
    (tmp_path / "images" / "notes.txt").write_text("")
    assert given.changes(before, config, "measure") == []
    os.utime(tmp_path / "images" / "0.png", (1, 1))  # as copying does
    assert given.changes(before, config, "measure") == []


def test_each_change_is_named(config, tmp_path):
    before = given.files(config, "translate")
    folder = tmp_path / "images"
    figures.write_png(folder / "new.png", np.zeros((8, 8), np.uint8))
    (folder / "1.png").unlink()
    content = bytearray((folder / "2.png").read_bytes())
    content[-1] ^= 1
    (folder / "2.png").write_bytes(content)
    os.utime(folder / "2.png", (1, 1))
    (line,) = given.changes(before, config, "translate")
    assert line == "config.data.images: new: new.png; gone: 1.png; changed: 2.png"


def test_images_that_are_left_out_do_not_matter(config, tmp_path):
    before = given.files(config, "segment")
    (tmp_path / "truth").mkdir()
    config.data.truth = str(tmp_path / "truth")
    scored = given.files(config, "score")
    config.data.exclude = ("worse",)
    for path in ("images/worse.png", "truth/worse_mask.png"):
        figures.write_png(tmp_path / path, np.zeros((8, 8), np.uint8))
    assert given.changes(before, config, "segment") == []
    assert given.changes(scored, config, "score") == []
    figures.write_png(tmp_path / "outlines" / "worse.png", np.zeros((8, 8), np.uint8))
    assert "worse.png" in given.files(config, "shapes")["outlines"]  # it is learnt from


def test_micrographs_beside_outlines_are_no_outlines(config, tmp_path):
    config.data.outlines = str(tmp_path / "images" / ".")
    (tmp_path / "images" / "0.zip").write_bytes(b"rois")
    assert list(given.files(config, "shapes")["outlines"]) == ["0.zip"]


def test_a_copy_of_the_published_data_that_holds_more_masks(config, tmp_path):
    config.data.source, config.data.folder = "tio2", str(tmp_path)
    masks = [tmp_path / path for path in tio2.mask_paths().values()]
    masks[0].parent.mkdir(parents=True)
    for mask in masks[:2]:
        figures.write_png(mask, np.zeros((8, 8), np.uint8))
    before = given.files(config, "score")
    assert sorted(before["truth"]) == sorted(mask.name for mask in masks[:2])
    assert before["classes"] == {} and given.files(config, "measure") == {}
    figures.write_png(masks[2], np.zeros((8, 8), np.uint8))
    assert given.changes(before, config, "score") == [f"config.data.truth: new: {masks[2].name}"]
    config.data.exclude = (list(tio2.mask_paths())[2],)
    assert given.changes(before, config, "score") == []
    # Masks of one's own come first; the published ones of other images score as well.
    (tmp_path / "own").mkdir()
    config.data.exclude = ()
    own = tmp_path / "own" / f"{list(tio2.mask_paths())[0]}_mask.png"
    figures.write_png(own, np.zeros((8, 8), np.uint8))
    config.data.truth = str(own.parent)
    names = set(given.files(config, "score")["truth"])
    assert names == {own.name, masks[1].name, masks[2].name}
    config.data.truth = ""
    config.data.folder = str(tmp_path / "gone")
    assert given.changes(before, config, "score") == []


def test_every_stage_knows_what_it_reads(config, tmp_path, monkeypatch):
    monkeypatch.delenv(tio2.ENVIRONMENT, raising=False)
    (tmp_path / "truth").mkdir()
    config.data.truth = str(tmp_path / "truth")
    reads = {name: list(given.files(config, name)) for name in STAGES}
    assert reads.pop("shapes") == ["outlines"] and reads.pop("classify") == []
    assert reads.pop("score") == ["images", "truth"]
    assert all(kinds == ["images"] for kinds in reads.values())
    config.segment.pairs = config.classify.labels = "manual"
    config.data.classes = str(tmp_path / "truth")
    assert list(given.files(config, "segment")) == ["images", "truth"]
    assert list(given.files(config, "classify")) == ["images", "truth", "classes"]
    config.data.classes = ""
    config.data.source = "tio2"
    assert given.files(config, "measure") == {} and list(given.files(config, "score")) == ["truth"]


def test_versions_that_kept_no_account_are_not_accused(config):
    assert given.changes({}, config, "measure") == []


def test_a_file_in_the_place_of_a_folder(config, tmp_path):
    config.data.outlines = str(tmp_path / "outlines" / "1.png")
    assert list(given.files(config, "shapes")["outlines"]) == ["1.png"]


def mark(config, work, name):
    """As if a stage had been made."""
    work.stage(name).mkdir(parents=True)
    marks.finish(work, name, marks.start(config, work, name))


def test_folders_may_lie_elsewhere(config, tmp_path, monkeypatch):
    work = Work(tmp_path / "work")
    names = [name for name in STAGES if name != "score"]
    for name in names:
        mark(config, work, name)
    (tmp_path / "laptop").mkdir()
    for name in ("images", "outlines"):
        (tmp_path / name).rename(tmp_path / "laptop" / name)
        config.data[name] = str(tmp_path / "laptop" / name)
    assert {a.kind for a in marks.plan(config, work, names, []).values()} == {"skip"}
    monkeypatch.chdir(tmp_path / "laptop")
    config.data.images = "images"
    assert {a.kind for a in marks.plan(config, work, names, []).values()} == {"skip"}
    figures.write_png(tmp_path / "laptop" / "images" / "1.png", np.full((8, 8), 9, np.uint8))
    with pytest.raises(ValueError, match="masks .* was made with other settings:\n .*data.images"):
        marks.plan(config, work, names, [])
