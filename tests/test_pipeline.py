"""The workflow's book-keeping, with stages that only leave a file behind."""

import json
from types import SimpleNamespace

import pytest

from semjax import inputs, marks, pipeline, settings, workdir

NAMES = list(pipeline.STAGES)


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """Fake stages: each writes a file; `calls` lists who ran, `fail` names one that breaks."""
    record = SimpleNamespace(calls=[], fail=None, skip=(), reports=0)

    def load_stage(name):
        def run(config, work):
            record.calls.append(name)
            work.stage(name).mkdir(exist_ok=True)
            with (work.stage(name) / "steps.txt").open("a") as file:
                file.write("x")
            if record.fail == name:
                raise FloatingPointError("loss is not finite")
            if name in record.skip:
                (work.stage(name) / "steps.txt").unlink()
                return {"skipped": "nothing to do"}
            return {"n": 1}

        return run

    def import_module(name):
        assert name == "semjax.report.page"

        def write(path, *, title):
            record.reports += 1
            (path / "report.html").write_text(title)

        return SimpleNamespace(write=write)

    monkeypatch.setattr(pipeline, "load_stage", load_stage)
    monkeypatch.setattr(pipeline, "import_module", import_module)
    monkeypatch.setattr(inputs, "prepare", lambda config, work: work.inputs.mkdir())
    monkeypatch.setattr(inputs, "micrographs", lambda config, work: None)
    monkeypatch.setattr(inputs, "given_outlines", lambda config, work: None)
    return record


def make_config(**changes):
    config = settings.get_config()
    config.variant = ""
    config.data.source = "phantom"
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def run(folder, stages, *, names=None, redo=(), **changes):
    stages.calls.clear()
    pipeline.run(make_config(**changes), folder, stages=names, redo=redo)
    return list(stages.calls)


def test_everything_runs_once_and_is_then_skipped(tmp_path, stages):
    assert run(tmp_path, stages) == NAMES
    assert stages.reports == len(NAMES)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    assert run(tmp_path, stages) == []
    assert stages.reports == len(NAMES)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}


def test_a_mark_tells_all(tmp_path, stages):
    run(tmp_path, stages)
    mark = workdir.read_json(tmp_path / "5_segment" / "done.json")
    assert mark["settings"]["segment.steps"] == 12000
    assert mark["settings"]["data.source"] == "phantom"
    assert mark["settings"]["seed"] == 0
    assert set(mark["upstream"]) == {"masks", "filter"} and all(mark["upstream"].values())
    assert {"jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "python"} <= set(
        mark["versions"]
    )
    assert mark["summary"] == {"n": 1}
    assert mark["memory_mib"]["process"] > 50
    assert mark["seconds"] >= 0 and mark["finished"] and mark["device"] and mark["id"]
    assert not list(tmp_path.rglob("started.json"))
    assert json.loads((tmp_path / "config.json").read_text())["segment"]["steps"] == 12000


def test_changed_settings_are_named_with_the_ways_out(tmp_path, stages):
    run(tmp_path, stages)
    with pytest.raises(ValueError) as error:
        run(tmp_path, stages, segment__steps=5, segment__tile_px=(128, 128))
    text = str(error.value)
    assert "config.segment.steps: 12000 -> 5" in text
    assert "config.segment.tile_px: [256, 256] -> [128, 128]" in text
    assert "--redo=segment" in text and "--workdir" in text
    assert stages.calls == []
    again = run(tmp_path, stages, redo=["segment"], segment__steps=5, segment__tile_px=(128, 128))
    assert again == ["segment", "classify", "measure", "score"]


def test_what_another_version_did_not_know_was_as_by_default(tmp_path, stages):
    run(tmp_path, stages)
    path = tmp_path / "5_segment" / "done.json"
    mark = workdir.read_json(path)
    del mark["settings"]["segment.blur_px"]  # a setting that came later
    mark["settings"]["segment.wings"] = 2  # one that has gone
    workdir.write_json(path, mark)
    assert run(tmp_path, stages) == []
    with pytest.raises(ValueError, match=r"config.segment.blur_px: 0.7 -> 0.1"):
        run(tmp_path, stages, segment__blur_px=0.1)


def test_a_stage_to_be_made_again_loses_its_marks_first(tmp_path, stages, monkeypatch):
    run(tmp_path, stages)

    def kill(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stages, names=["segment"], redo=["segment"])
    monkeypatch.undo()
    assert not (tmp_path / "5_segment" / "done.json").exists()
    assert (tmp_path / "5_segment" / "steps.txt").exists()


def test_how_often_is_logged_and_saved_may_change(tmp_path, stages):
    run(tmp_path, stages)
    assert run(tmp_path, stages, segment__log_every=100, segment__save_every=1000) == []


def test_the_seed_and_the_data_belong_to_every_stage(tmp_path, stages):
    run(tmp_path, stages)
    with pytest.raises(ValueError, match=r"shapes in .*\n  config.seed: 0 -> 1"):
        run(tmp_path, stages, seed=1)
    with pytest.raises(ValueError, match=r"shapes in .*\n  config.data.phantom_images: 12 -> 3"):
        run(tmp_path, stages, data__phantom_images=3)


@pytest.mark.parametrize(
    ("change", "stage"), [("data__truth", "score"), ("data__pixel_size_nm", "measure")]
)
def test_late_data_touch_late_stages_only(tmp_path, stages, change, stage):
    run(tmp_path, stages)
    value = 2.0 if "size" in change else str(tmp_path)
    with pytest.raises(ValueError, match=f"^{stage} in "):
        run(tmp_path, stages, **{change: value})


def test_an_interrupted_stage_goes_on(tmp_path, stages):
    stages.fail = "translate"
    with pytest.raises(FloatingPointError):
        run(tmp_path, stages)
    assert stages.calls == ["shapes", "masks", "translate"]
    started = workdir.read_json(tmp_path / "3_translate" / "started.json")
    assert started["seconds"] >= 0
    assert "not finite" in (tmp_path / "log.txt").read_text()
    stages.fail = None
    with pytest.raises(ValueError, match="translate in .* was begun with other settings"):
        run(tmp_path, stages, translate__steps=3)
    assert run(tmp_path, stages) == NAMES[2:]
    assert (tmp_path / "3_translate" / "steps.txt").read_text() == "xx"
    assert workdir.read_json(tmp_path / "3_translate" / "done.json")["id"] == started["id"]


def test_redo_starts_the_stage_from_nothing(tmp_path, stages):
    run(tmp_path, stages)
    assert run(tmp_path, stages, redo=["classify"]) == ["classify", "measure", "score"]
    assert (tmp_path / "6_classify" / "steps.txt").read_text() == "x"


def test_what_a_person_made_outlives_the_stage(tmp_path, stages):
    run(tmp_path, stages)
    measure = tmp_path / "7_measure"
    (measure / "reviewed").mkdir()
    (measure / "reviewed" / "review.json").write_text("{}")
    (measure / "particles.edited.csv").write_text("label")
    (measure / "edits.json").write_text("{}")
    run(tmp_path, stages, redo=["segment"])
    assert not (measure / "reviewed").exists()
    kept = {path.name for path in (tmp_path / "by_hand").rglob("*") if path.is_file()}
    assert kept == {"review.json", "particles.edited.csv", "edits.json"}


def test_what_depends_on_a_stage_made_again_alone_is_made_again_later(tmp_path, stages):
    run(tmp_path, stages)
    assert run(tmp_path, stages, names=["masks"], redo=["masks"]) == ["masks"]
    # It is out of date, so its settings need not be those of before.
    assert run(tmp_path, stages, translate__steps=9) == NAMES[2:]
    assert run(tmp_path, stages, translate__steps=9) == []


def test_a_stage_without_its_sources_says_which(tmp_path, stages):
    with pytest.raises(ValueError, match="filter needs .*not done in .*: shapes, masks, translate"):
        run(tmp_path, stages, names=["filter"])
    assert run(tmp_path, stages, names=["masks", "shapes"]) == ["shapes", "masks"]
    assert run(tmp_path, stages, names=["translate"]) == ["translate"]


def test_manual_pairs_need_no_synthesis(tmp_path, stages):
    manual = {"segment__pairs": "manual", "classify__labels": "manual", "data__source": "tio2"}
    assert run(tmp_path, stages, **manual) == ["segment", "classify", "measure", "score"]


def test_a_stage_with_nothing_to_do_is_not_marked(tmp_path, stages):
    stages.skip = ("score",)
    assert run(tmp_path, stages) == NAMES
    assert not (tmp_path / "8_score").exists()
    stages.skip = ()
    assert run(tmp_path, stages) == ["score"]


def test_a_phantom_with_other_settings_is_drawn_again(tmp_path, stages, monkeypatch):
    drawn = []

    def prepare(config, work):
        drawn.append(config.data.phantom_images)
        work.inputs.mkdir()

    monkeypatch.setattr(inputs, "prepare", prepare)
    run(tmp_path, stages, names=["shapes"])
    run(tmp_path, stages)
    assert drawn == [12]
    run(tmp_path, stages, redo=["shapes"], data__phantom_images=3)
    assert drawn == [12, 3]


def test_a_folder_of_the_users_own_is_not_drawn_over(tmp_path, stages):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "mine.tif").write_text("mine")
    with pytest.raises(ValueError, match="inputs is where the phantom's files are to be drawn"):
        run(tmp_path, stages)
    assert (tmp_path / "inputs" / "mine.tif").read_text() == "mine"
    assert not (tmp_path / "config.json").exists()  # nor is the variant settled
    (tmp_path / "inputs" / "mine.tif").rename(tmp_path / "inputs" / ".mine.tif")
    assert run(tmp_path, stages) == NAMES


@pytest.fixture
def folders(tmp_path):
    """Settings of folders of the user's own, one file in each."""
    for name in ("images", "outlines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"a")
    own = {f"data__{name}": str(tmp_path / name) for name in ("images", "outlines")}
    return {"data__source": "folder", **own}


def test_files_that_came_later_are_told_of(tmp_path, stages, folders, caplog):
    run(tmp_path / "run", stages, **folders)
    (tmp_path / "images" / "b.png").write_bytes(b"b")
    caplog.clear()
    assert run(tmp_path / "run", stages, **folders) == []
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "config.data.images: new: b.png; made before that and kept as they are: masks," in told
    assert run(tmp_path / "run", stages, redo=["measure"], **folders) == ["measure", "score"]


def test_an_interrupted_training_does_not_go_on_with_other_files(tmp_path, stages, folders):
    stages.fail = "translate"
    with pytest.raises(FloatingPointError):
        run(tmp_path / "run", stages, **folders)
    (tmp_path / "run" / "3_translate" / "checkpoints").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"other")
    stages.fail = None
    with pytest.raises(ValueError, match=r"begun with other files:\n +config.data.images: changed"):
        run(tmp_path / "run", stages, **folders)
    assert run(tmp_path / "run", stages, redo=["translate"], **folders)[0] == "translate"


def test_a_file_that_was_mended_lets_the_stage_start_again(tmp_path, stages, folders):
    (tmp_path / "truth").mkdir()
    folders["data__truth"] = str(tmp_path / "truth")
    (tmp_path / "truth" / "a.png").write_bytes(b"bad")
    stages.fail = "score"
    with pytest.raises(FloatingPointError):
        run(tmp_path / "run", stages, **folders)
    (tmp_path / "truth" / "a.png").write_bytes(b"good")
    stages.fail = None
    assert run(tmp_path / "run", stages, **folders) == ["score"]
    assert (tmp_path / "run" / "8_score" / "steps.txt").read_text() == "x"


def test_settings_of_a_stage_that_does_not_run_are_not_written_over(tmp_path, stages):
    run(tmp_path, stages)
    before = (tmp_path / "config.json").read_text()
    changes = {"names": ["score"], "redo": ["score"], "data__dark_particles": True}
    with pytest.raises(ValueError, match=r"shapes in .* with other settings:\n +config.data.dark"):
        run(tmp_path, stages, **changes)
    assert (tmp_path / "config.json").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": ["shape"]}, "--stages: unknown stage 'shape'; the stages are shapes, masks"),
        ({"redo": ["x"]}, "--redo: unknown stage 'x'"),
        ({"names": ["shapes"], "redo": ["masks"]}, "--redo=masks is not among"),
        ({"segment__steps": 0}, "config.segment.steps is 0"),
    ],
)
def test_mistakes_are_found_before_the_folder_is_made(tmp_path, stages, arguments, words):
    with pytest.raises(ValueError, match=words):
        run(tmp_path / "new", stages, **arguments)
    assert not (tmp_path / "new").exists()


def test_the_work_folder_keeps_its_variant(tmp_path, stages):
    config = make_config(variant="cpu")
    pipeline.run(config, tmp_path, overrides={"segment.steps": 9})
    assert config.segment.filters == 8 and config.segment.steps == 9
    continued = make_config(variant="auto")
    pipeline.run(continued, tmp_path, overrides={"segment.steps": 9})
    assert continued.variant == "cpu"
    assert stages.calls == NAMES
    with pytest.raises(ValueError, match="made with cpu"):
        pipeline.run(make_config(variant="gpu"), tmp_path)


def test_the_stages_are_those_of_the_work_folder():
    assert marks.needed(make_config()) == NAMES == list(workdir.STAGES)
