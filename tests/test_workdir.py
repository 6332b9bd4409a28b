"""Work folders: where things lie, addresses, files that are never half written."""

import os

import numpy as np
import pytest

from semjax import workdir
from semjax.workdir import Work


def test_stages_are_numbered_in_order(tmp_path):
    work = Work(tmp_path)
    assert work.shapes == tmp_path / "1_shapes"
    assert work.score == tmp_path / "8_score"
    assert work.outlines.parent == work.shapes
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "tool"),
    [
        ("gs://bucket/x", "gcsfuse"),
        ("gs:/bucket", "gcsfuse"),
        ("s3://bucket/x", "rclone"),
        ("https://host/x", "rclone"),
        ("hdfs://x", "rclone"),
    ],
)
def test_an_address_is_refused_with_the_way_to_mount_it(address, tool):
    with pytest.raises(ValueError, match=f"mount it first .*{tool}"):
        Work(address)


@pytest.mark.parametrize("path", ["runs/x", "a b/ü", "~/x", "./x:y", "C:\\runs"])
def test_ordinary_paths_are_taken(path):
    Work(path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="cannot be written.*--workdir"):
        Work(tmp_path / "file" / "x").create()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written"):
        Work(tmp_path / "x").create()


def test_create_leaves_nothing_behind(tmp_path):
    work = Work(tmp_path / "a" / "b")
    work.create()
    assert list(work.path.iterdir()) == []


def test_two_runs_cannot_share_a_folder(tmp_path):
    work = Work(tmp_path)
    with work.lock():
        with pytest.raises(ValueError, match="another run"):
            with work.lock():
                pass
    with work.lock():
        pass


def test_json_goes_round_and_numpy_becomes_plain(tmp_path):
    path = tmp_path / "new" / "x.json"
    workdir.write_json(path, {"a": np.float32(0.5), "b": np.arange(2), "c": (1, 2), "p": tmp_path})
    assert workdir.read_json(path) == {"a": 0.5, "b": [0, 1], "c": [1, 2], "p": str(tmp_path)}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    workdir.write_json(path, 1)
    with pytest.raises(TypeError):
        workdir.write_json(path, object())
    assert workdir.read_json(path) == 1


def test_damaged_json_names_the_file(tmp_path):
    path = tmp_path / "done.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match="done.json is damaged"):
        workdir.read_json(path)
