"""A run killed in the middle of a stage and started again ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "configs" / "smoke.py"
PATIENCE_S = 600


def start(work: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "launch.py", f"--config={SMOKE}", f"--workdir={work}", *options]
    compiled = str(work.parent / "compiled")  # what one run compiled, the next ones read
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": compiled}
    return subprocess.Popen(command, cwd=ROOT, env=env)


def kill_after_checkpoint(work: Path, stage: str) -> None:
    """Starts a run and kills it as soon as the stage has a whole checkpoint."""
    run = start(work)
    end = time.monotonic() + PATIENCE_S
    while not list((work / stage / "checkpoints").glob("[0-9]*/commit_success.txt")):
        assert run.poll() is None, f"the run ended before {stage} had a checkpoint"
        assert time.monotonic() < end, f"{stage} had no checkpoint in time"
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


def contents(work: Path) -> dict:
    """What must not depend on the kill: labels, masks and tables as bytes, weights as arrays."""
    found = {}
    for path in sorted(work.rglob("*")):
        if path.suffix in (".tif", ".csv") or path.name in ("distribution.json", "scores.json"):
            found[str(path.relative_to(work))] = path.read_bytes()
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[str(path.relative_to(work))] = {k: arrays[k].tobytes() for k in arrays.files}
    return found


@pytest.mark.slow
def test_killed_runs_end_alike(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert start(undisturbed).wait() == 0
    for stage in ("1_shapes", "3_translate", "5_segment", "6_classify"):
        kill_after_checkpoint(disturbed, stage)
    assert start(disturbed).wait() == 0
    expected = contents(undisturbed)
    assert len(expected) > 20
    assert contents(disturbed) == expected
