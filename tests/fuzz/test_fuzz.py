"""A few cases of every kind of input; `python -m tests.fuzz` makes ten thousand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import fuzz

ROOT = Path(__file__).parents[2]


def test_two_hundred_cases_are_read_or_refused(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--cases=200", f"--folder={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"\n{kind} " in done.stdout for kind in fuzz.KINDS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_case_follows_from_its_seed(kind, tmp_path):
    def files(folder, seed):
        folder.mkdir()
        fuzz.load(kind).make(fuzz.rng_of(seed, kind, 3), folder)
        found = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        return {p.relative_to(folder): p.read_bytes().replace(bytes(folder), b"") for p in found}

    assert files(tmp_path / "a", 0) == files(tmp_path / "b", 0)
    assert files(tmp_path / "c", 0) != files(tmp_path / "d", 1)


def raised(error, cause=None):
    try:
        raise error from cause
    except Exception as found:
        return found


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("/x/case/a.tif is damaged; copy it again"), "refused"),
        (FileNotFoundError("no file a.tif; correct its name"), "refused"),
        (ValueError("it is damaged; copy it again"), "names no file"),
        (ValueError("a.tif is damaged"), "says no cure"),
        (KeyError("a.tif; copy it again"), "KeyError"),
        (UnicodeDecodeError("utf-8", b"a.tif; x", 0, 1, "a.tif; x"), "UnicodeDecodeError"),
        (np.linalg.LinAlgError("a.tif; x"), "LinAlgError"),
        (raised(ValueError("a.tif; x"), MemoryError()), "needs more memory"),
        (ValueError("a.tif; " + "x" * 1000), "is no clear sentence"),
    ],
)
def test_a_clear_sentence_is_known(error, words, tmp_path):
    (tmp_path / "a.tif").touch()
    assert fuzz.verdict(error, tmp_path).startswith(words)


def test_a_case_that_hangs_or_dies_is_told(tmp_path, monkeypatch):
    from tests.fuzz.__main__ import Worker

    worker = Worker(tmp_path, timeout=60.0)
    assert set(worker.run("published", 0, 0).values()) <= {"read", "refused"}
    worker.timeout = 0.0
    assert worker.run("pictures", 0, 0) == {"process": "took more than 0 s"}
    worker.timeout = 60.0
    worker.run("published", 0, 1)
    worker.process.kill()
    worker.process.wait()
    assert worker.run("published", 0, 2) == {"process": "died"}
    assert worker.process is None
