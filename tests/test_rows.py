"""Rows of a table: what they share, what they change, and the table itself."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict

from semjax import marks, pipeline, rows, settings, workdir
from semjax.workdir import STAGES, Work

SCORES = dict.fromkeys(("image_iou", "youden", "f1_50", "f1_75", "mean_ap", "pq"), 0.5)


@pytest.fixture
def calls(monkeypatch):
    """Stages that only say that they were called, and leave what a table reads."""
    made = []

    def stage(name):
        def run(config, work):
            made.append((config.name, name))
            folder = work.stage(name)
            if name == "measure":
                sizes = {"image": ["a", "b"], "kept": [True, False], "min_feret_nm": [90.0, 80.0]}
                pd.DataFrame(sizes).to_csv(folder / "particles.csv", index=False)
                summary = {"n": 1, "mean": 90.0, "median": 90.0}
                workdir.write_json(
                    folder / "distribution.json", {"unit": "nm", "min_feret": summary}
                )
                doubts = {"image": "a", "particles": [2], "agreement": 0.8, "ghost_share": 0.1}
                pd.DataFrame(doubts).to_csv(folder / "images.csv", index=False)
            if name == "score":
                methods = ["semjax", "semjax, test images"]
                methods += ["CycleGAN alone"] if config.score.beside else []
                workdir.write_json(folder / "scores.json", dict.fromkeys(methods, SCORES))
            return {}

        return run

    monkeypatch.setattr(pipeline, "load_stage", stage)
    monkeypatch.setattr(pipeline, "_prepare_inputs", lambda *args: None)
    return made


@pytest.fixture
def config(tmp_path):
    made = settings.get_config()
    made.variant, made.name = "", "run"
    made.data.source = "phantom"
    made.rows.mask = {"segment": {"target": "mask"}, "measure": {"split": "watershed"}}
    made.rows.manual = {"segment": {"pairs": "manual"}, "score": {"beside": False}}
    made.rows.manual_again = {"segment": {"pairs": "manual"}, "measure": {"flips": False}}
    return made


def run(config, folder):
    work = pipeline.run(config, folder)
    rows.run(config, work)
    return work


def test_rows_share_all_that_they_have_in_common(config, tmp_path, calls):
    work = run(config, tmp_path)
    own = {name: [s for row, s in calls if row == f"run, {name}"] for name in config.rows}
    late = ["segment", "classify", "measure", "score"]
    assert own == {"manual": late, "manual_again": ["measure", "score"], "mask": late}
    assert [s for row, s in calls if row == "run"] == list(STAGES)
    row = Work(work.path / "rows" / "manual_again")
    assert row.shapes.resolve() == work.shapes
    assert row.segment.resolve() == Work(work.path / "rows" / "manual").segment
    calls.clear()
    run(config, tmp_path)
    assert calls == []


def test_a_classifier_of_given_classes_is_trained_once(config, tmp_path, calls):
    config.data.truth = config.data.classes = str(tmp_path)
    config.rows = ConfigDict()
    config.rows.one = {"classify": {"labels": "manual"}}
    config.rows.two = {"segment": {"pairs": "manual"}, "classify": {"labels": "manual"}}
    run(config, tmp_path / "work")
    assert [name for name, stage in calls if stage == "classify"] == ["run", "run, one"]
    assert marks.sources(rows.settings_of(config, "one"), "classify") == ()


def test_rows_follow_a_run_that_was_made_again(config, tmp_path, calls):
    run(config, tmp_path)
    calls.clear()
    work = pipeline.run(config, tmp_path, redo=["translate"])
    rows.run(config, work)
    again = [stage for row, stage in calls if row == "run, mask"]
    assert again == ["segment", "classify", "measure", "score"]
    # The segmenter of given masks stands; its classifier learns from the translation.
    assert [s for row, s in calls if row == "run, manual"] == ["classify", "measure", "score"]


def test_the_table_has_a_line_a_row_and_the_others_once(config, tmp_path, calls):
    run(config, tmp_path)
    table = pd.read_csv(tmp_path / "table.csv")
    everywhere = table[table["images"] == "all"]["row"].tolist()
    assert everywhere == ["semjax", "CycleGAN alone", "manual", "manual_again", "mask"]
    assert table[table["images"] == "test"]["row"].tolist()[0] == "semjax"
    text = (tmp_path / "table.md").read_text().splitlines()
    assert text[0].startswith("| row | images | image IoU |") and len(text) == 2 + len(table)
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_without_any_particle_has_its_line(config, tmp_path, calls):
    work = run(config, tmp_path)
    particles = Work(work.path / "rows" / "mask").measure / "particles.csv"
    particles.write_text(particles.read_text().splitlines()[0] + "\n")
    (work.score / "true_sizes.csv").write_text("image,min_feret_nm\na,85.0\n")
    (work.score / "scores.csv").write_text("image,method\na,semjax\n")
    (work.path / "table.png").unlink()
    run(config, tmp_path)
    assert (work.path / "table.png").exists()


def test_test_images_without_classes_have_their_scores(config, tmp_path, calls):
    work = run(config, tmp_path)
    kept = {"method": ["semjax"] * 3, "f1": [0.7, 0.8, 0.9]}
    kept["choice"] = ["fixed rule", "classifier", "truth's verdicts"]
    pd.DataFrame(kept).to_csv(work.score / "kept.csv", index=False)
    sizes = {**kept, "quantity": "min_feret_nm", "mean_error": [0.3, 0.2, 0.1]}
    others = dict.fromkeys(set(rows.SIZES.values()) - {"mean_error"}, 0.1)
    pd.DataFrame({**sizes, **others}).to_csv(work.score / "sizes.csv", index=False)
    run(config, tmp_path)
    table = pd.read_csv(tmp_path / "table.csv").set_index(["row", "images"])
    ours = table.loc[("semjax", "all")]
    assert (ours["kept F1"], ours["mean min Feret error"]) == (0.8, 0.2)
    assert ours["kept F1, truth's verdicts"] == 0.9
    assert ours["mean min Feret error, truth's verdicts"] == 0.1
    assert np.isnan(table.loc[("semjax", "test"), "kept F1"])
    assert table.loc[("semjax", "test"), "image IoU"] == 0.5


def test_all_rows_are_scored_again_with_the_run(config, tmp_path, calls):
    work = run(config, tmp_path)
    calls.clear()
    pipeline.run(config, tmp_path, redo=["score"])
    rows.run(config, work, redo=["score"])
    names = ["run", *(f"run, {name}" for name in config.rows)]
    assert sorted(calls) == [(name, "score") for name in sorted(names)]
    # A row's own training is not made again with the run's.
    calls.clear()
    pipeline.run(config, tmp_path, redo=["segment"])
    rows.run(config, work, redo=["segment"])
    assert ("run, mask", "segment") not in calls and ("run, mask", "score") not in calls


def test_a_truth_that_only_scores_concerns_no_training(config, tmp_path, calls):
    """The masks of TSEM pictures are other ones: a truth may come when such a row is there."""
    config.data.source = "tio2"
    config.rows = ConfigDict({"tsem": {"segment": {"pairs": "tsem"}}})
    work = run(config, tmp_path / "work")
    calls.clear()
    (tmp_path / "truth").mkdir()
    config.data.truth = str(tmp_path / "truth")
    pipeline.run(config, work.path, redo=["score"])
    rows.run(config, work, redo=["score"])
    assert calls == [("run", "score"), ("run, tsem", "score")]


def test_other_methods_have_their_panel(config, tmp_path, calls):
    work = run(config, tmp_path)
    assert list(rows._sizes({"semjax": work})[0]) == ["semjax"]
    (work.score / "true_sizes.csv").write_text("image,min_feret_nm\na,85.0\n")
    beside = "min_feret_nm,image,method\n70.0,a,CycleGAN alone\n71.0,b,CycleGAN alone\n"
    (work.score / "beside_sizes.csv").write_text(beside)
    found, unit = rows._sizes({"semjax": work})
    assert unit == "nm" and list(found) == ["truth", "semjax", "CycleGAN alone, fixed rule"]
    assert list(found["CycleGAN alone, fixed rule"]) == [70.0, 71.0]


def test_the_papers_table_is_of_the_same_run():
    """Else its stages would not be shared with a run that is there already."""
    root = Path(__file__).parents[1] / "configs"
    table, alone = (
        runpy.run_path(str(root / name))["get_config"]("cpu")
        for name in ("tio2_table.py", "tio2.py")
    )
    assert len(table.rows) == 8
    rows.check(table)
    table.rows = ConfigDict()
    assert table.to_dict() == alone.to_dict()


def test_rows_of_the_phantom_are_of_the_same_run():
    root = Path(__file__).parents[1] / "configs"
    alone = runpy.run_path(str(root / "phantom.py"))["get_config"]().to_dict()
    for path in sorted(root.glob("phantom_*.py")):
        config = runpy.run_path(str(path))["get_config"]()
        rows.check(config)
        assert len(config.rows) > 1
        config.rows = ConfigDict()
        assert config.to_dict() == alone


def test_repeats_train_the_last_networks_again(config, tmp_path, calls):
    config.rows, config.repeats = ConfigDict(), 2
    run(config, tmp_path)
    own = {row: [s for r, s in calls if r == f"run, {row}"] for row in ("repeat_1", "repeat_2")}
    assert own == dict.fromkeys(own, ["segment", "classify", "measure", "score"])
    spread = pd.read_csv(tmp_path / "spread.csv", index_col="training")
    assert spread.index.tolist() == ["semjax", "repeat_1", "repeat_2", "mean", "std"]
    assert spread.loc["semjax", "kept"] == 1 and spread.loc["std", "mean_min_feret_nm"] == 0
    seeds = {rows.settings_of(config, row).segment.repeat for row in own}
    assert seeds == {1, 2} and rows.settings_of(config, "repeat_1").repeats == 0


def test_a_clean_row_shares_the_shapes_alone(config, tmp_path, calls):
    config.rows = ConfigDict({"clean": {"data": {"clean": True}}})
    config.data.test_images = ("a",)
    run(config, tmp_path)
    assert [s for r, s in calls if r == "run, clean"] == list(STAGES[1:])


def test_the_oracles_table_is_of_the_same_run():
    root = Path(__file__).parents[1] / "configs"
    table, alone = (
        runpy.run_path(str(root / name))["get_config"]()
        for name in ("phantom_oracles.py", "phantom.py")
    )
    rows.check(table)
    late = [stage for stage in STAGES if stage != "shapes"]
    assert marks.needed(alone) == list(STAGES)
    for name in table.rows:
        assert marks.needed(rows.settings_of(table, name)) == late
    table.rows = ConfigDict()
    assert table.to_dict() == alone.to_dict()


def test_rows_of_oracles_share_their_masks(config, tmp_path, calls):
    masks = {"masks": {"source": "phantom"}}
    translation = {"translate": {"source": "phantom"}, "filter": {"threshold": "none"}}
    config.rows = ConfigDict({"masks": masks, "translation": {**masks, **translation}})
    work = run(config, tmp_path)
    own = {name: [s for row, s in calls if row == f"run, {name}"] for name in config.rows}
    late = ["translate", "filter", "segment", "classify", "measure", "score"]
    assert own == {"masks": ["masks", *late], "translation": late}
    row = Work(work.path / "rows" / "translation")
    assert row.masks.resolve() == Work(work.path / "rows" / "masks").masks
    assert not row.shapes.exists()


def test_wrong_rows_are_refused_before_anything_runs(config, tmp_path, calls):
    config.rows.manual = {"segment": {"pear": "manual"}}
    with pytest.raises(ValueError, match=r"config\.rows\.manual\.segment\.pear is no setting"):
        pipeline.run(config, tmp_path)
    config.rows.manual = {"segment": {"pairs": "tsem"}}
    with pytest.raises(ValueError, match=r"row 'manual': 1 problem.*\n.*segment\.pairs"):
        pipeline.run(config, tmp_path)
    assert calls == []


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("a b", {"segment": {"pairs": "manual"}}, "letters, digits"),
        ("semjax", {"segment": {"pairs": "manual"}}, "letters, digits"),
        ("dotted", {"seed": 1}, "expected a section with its settings"),
        ("type", {"segment": {"steps": "many"}}, r"config\.rows\.type\.segment\.steps"),
    ],
)
def test_malformed_rows_are_refused(config, tmp_path, calls, name, row, message):
    config.rows = ConfigDict({name: row})
    with pytest.raises(ValueError, match=message):
        pipeline.run(config, tmp_path)


def test_a_stage_made_again_in_a_row_leaves_the_run_alone(config, tmp_path, calls):
    work = run(config, tmp_path)
    before = (work.translate / "done.json").read_bytes()
    row = Work(work.path / "rows" / "mask")
    assert row.translate.is_symlink()
    pipeline.run(rows.settings_of(config, "mask"), row.path, redo=["translate"])
    assert not row.translate.is_symlink()
    assert (work.translate / "done.json").read_bytes() == before


def test_stages_of_a_version_that_knew_fewer_settings_are_shared(config, tmp_path, calls):
    work = run(config, tmp_path)
    mark = workdir.read_json(work.masks / "done.json")
    del mark["settings"]["masks.domed"]  # is as it was by default
    workdir.write_json(work.masks / "done.json", mark)
    shutil.rmtree(work.path / "rows")
    calls.clear()
    run(config, tmp_path)
    assert "masks" not in {stage for _, stage in calls}


def test_changed_rows_say_what_to_delete(config, tmp_path, calls):
    run(config, tmp_path)
    config.rows.mask.segment.filters = 4
    with pytest.raises(ValueError, match=r"(?s)row 'mask'.*filters.*delete .*rows/mask"):
        run(config, tmp_path)


def test_a_work_folder_behind_a_link_has_rows_too(config, tmp_path, calls):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "deep" / "er")
    work = run(config, tmp_path / "runs" / "one")
    assert (work.path / "rows" / "mask" / "1_shapes" / "done.json").exists()


def test_rows_on_a_phantom_of_their_own(config, tmp_path, calls):
    config.rows.few = {"data": {"phantom_images": 4}}
    work = Work(tmp_path)
    work.inputs.mkdir()
    workdir.write_json(work.inputs / "done.json", marks.phantom(config))
    run(config, tmp_path)
    assert (tmp_path / "rows" / "mask" / "inputs").is_symlink()
    assert not (tmp_path / "rows" / "few" / "inputs").exists()


def test_without_a_truth_there_is_no_table(config, tmp_path, calls, monkeypatch):
    load = pipeline.load_stage
    skip = lambda config, work: {"skipped": "no truth masks"}
    monkeypatch.setattr(pipeline, "load_stage", lambda n: skip if n == "score" else load(n))
    run(config, tmp_path)
    assert not (tmp_path / "table.csv").exists()


def test_settings_of_a_row_leave_those_of_the_run_alone(config):
    before = json.loads(config.to_json_best_effort())
    made = rows.settings_of(config, "mask")
    assert made.segment.target == "mask" and not made.rows and made.variant == ""
    assert json.loads(config.to_json_best_effort()) == before


def test_a_row_cannot_take_the_name_of_a_repeat(config):
    config.rows, config.repeats = ConfigDict({"repeat_1": {"segment": {"steps": 9}}}), 1
    with pytest.raises(ValueError, match="repeat_1.*another name"):
        rows.rows_of(config)
