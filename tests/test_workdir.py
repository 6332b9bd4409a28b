"""Work folders: where things lie, addresses, files that are never half written."""

import errno
import json
import os
import subprocess
import sys

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
    with pytest.raises(PermissionError, match="cannot be written.*give another"):
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
        owner = json.loads((tmp_path / ".lock").read_text())
        words = f"another run .*process {os.getpid()} on {owner['host']} since 20.* UTC"
        with pytest.raises(ValueError, match=words):
            with work.lock():
                pass
        assert json.loads((tmp_path / ".lock").read_text()) == owner
    assert (tmp_path / ".lock").read_text() == ""
    with work.lock():
        pass


@pytest.fixture
def leave(tmp_path):
    """Leaves a lock as a killed run does; entries may be changed."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    def leave(**changes):
        with Work(tmp_path).lock():
            owner = json.loads((tmp_path / ".lock").read_text())
        owner |= {"process": gone.pid, **changes}
        (tmp_path / ".lock").write_text(json.dumps(owner))
        return Work(tmp_path)

    return leave


@pytest.mark.parametrize("has_locks", [True, False])
def test_what_a_killed_run_left_is_seen_through(leave, monkeypatch, has_locks):
    work = leave()
    if not has_locks:
        monkeypatch.setattr(workdir.fcntl, "flock", no_locks)
    for changes in ({}, {"machine": "before it was started anew"}, {"host": "container"}):
        leave(**changes)
        with work.lock():
            assert json.loads((work.path / ".lock").read_text())["process"] == os.getpid()
    for rubbish in ("", "{", "[1]", "{}"):
        (work.path / ".lock").write_text(rubbish)
        with work.lock():
            pass


def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_where_no_locks_are_known_the_process_decides(leave, monkeypatch):
    monkeypatch.setattr(workdir.fcntl, "flock", no_locks)
    work = leave(process=os.getppid())
    with pytest.raises(ValueError, match=f"another run .*process {os.getppid()}"):
        with work.lock():
            pass


def test_of_another_machines_run_nobody_can_tell(leave):
    work = leave(host="node7", machine="other")
    with pytest.raises(
        ValueError, match=r"process \d+ on node7 since .* delete .*\.lock and start"
    ):
        with work.lock():
            pass
    (work.path / ".lock").unlink()
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


@pytest.mark.parametrize("code", sorted(workdir.CURES))
def test_what_the_disk_refuses_is_explained_and_changes_nothing(tmp_path, monkeypatch, code):
    path = tmp_path / "x.json"
    workdir.write_json(path, 1)

    def refuse(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    words = (
        f"x.json could not be written .{os.strerror(code)}.; {workdir.CURES[code][:9]}.* goes on"
    )
    with pytest.raises(workdir.CannotWriteError, match=words):
        workdir.write_json(path, 2)
    assert workdir.read_json(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_is_not_finished_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with workdir.whole(tmp_path / "x.tif") as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_damaged_json_names_the_file(tmp_path):
    path = tmp_path / "done.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match="done.json is damaged"):
        workdir.read_json(path)
