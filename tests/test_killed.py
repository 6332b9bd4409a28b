"""A workflow killed at random moments and started again ends as if nothing had happened.

    python tests/test_killed.py --kills=50 --seed=0

kills the tiny workflow at random moments of every stage, goes on until it is done, and compares
with an undisturbed run what must not depend on it. Of eight one is a SIGTERM and one a Ctrl-C.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from semjax.workdir import STAGES

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "configs" / "smoke.py"
PATIENCE_S = 3600  # on a machine with much else to do
# The exit codes of a run that was ended; Python gives that of a killed one as a negative number.
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
# What a mark says of when it was made, not of what.
TIMES = {"id", "upstream", "seconds", "finished", "memory_mib"}


def start(work: Path, *options: str) -> subprocess.Popen:
    """Starts the workflow; what it says goes to a file beside the work folder."""
    command = [sys.executable, "launch.py", f"--config={SMOKE}", f"--workdir={work}", *options]
    compiled = str(work.parent / "compiled")  # what one run compiled, the next ones read
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": compiled}
    with work.with_suffix(".txt").open("a") as said:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=said)


def finish(work: Path, *options: str) -> None:
    """Runs the workflow to its end."""
    code = start(work, *options).wait(PATIENCE_S)
    assert code == 0, f"ended with {code}:\n{work.with_suffix('.txt').read_text()[-4000:]}"


def end_in(work: Path, stage: str, delay_s: float, how: signal.Signals, *options: str) -> str:
    """Starts the workflow, and ends it some time after a stage began, at the latest at its end.

    Returns:
        The stage that was being made; "between" two of them; or "" if the run was done before.
    """
    if stage == "inputs":  # the phantom is drawn after the settings have been written
        began, done = work / "config.json", work / "inputs" / "done.json"
    else:
        folder = work / f"{STAGES.index(stage) + 1}_{stage}"
        began, done = folder / "started.json", folder / "done.json"
    run = start(work, *options)
    until = time.monotonic() + PATIENCE_S
    while not began.exists() and run.poll() is None:
        assert time.monotonic() < until, f"{stage} did not begin in time"
        time.sleep(0.01)
    until = time.monotonic() + delay_s
    while time.monotonic() < until and run.poll() is None:
        if done.exists():
            break
        time.sleep(0.01)
    run.send_signal(how)
    code = run.wait(PATIENCE_S)
    if code == 0:
        return ""
    text = work.with_suffix(".txt").read_text()[-4000:]
    assert code == CODES[how], f"ended with {code}, expected {CODES[how]}:\n{text}"
    if not (work / "inputs").exists():
        return "inputs"
    begun = [name for name in STAGES if list(work.glob(f"?_{name}/started.json"))]
    return begun[0] if begun else "between"


def contents(work: Path) -> dict:
    """What must not depend on how a run came to its end.

    Label images, masks and tables as bytes, weights as arrays, JSON without times, and the names
    of all other files.
    """
    found = {}
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work).as_posix()
        if path.is_dir() or "/checkpoints/" in name or name in (".lock", "log.txt"):
            continue
        if path.suffix in (".tif", ".csv"):
            found[name] = path.read_bytes()
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays.files}
        elif path.suffix == ".json":
            content = json.loads(path.read_text())
            found[name] = {key: content[key] for key in content if key not in TIMES}
        else:
            found[name] = None
    return found


def compare(undisturbed: Path, disturbed: Path) -> int:
    """Returns the number of files that are alike; all must be."""
    expected, found = contents(undisturbed), contents(disturbed)
    assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
    different = [name for name in expected if found[name] != expected[name]]
    assert not different, different
    assert not list((disturbed).rglob("checkpoints/*tmp*"))
    return len(expected)


def storm(
    folder: Path, *, kills: int, seed: int, stages: Sequence[str] = STAGES, others: bool = True
) -> Counter:
    """Ends workflows `kills` times, spread over the stages; returns how often it was where.

    Args:
        folder: for the work folders.
        kills: how often.
        seed: of the moments.
        stages: of the workflow that are run.
        others: whether some of the ends are SIGTERM or Ctrl-C.
    """
    options = [] if tuple(stages) == STAGES else [f"--stages={','.join(stages)}"]
    finish(folder / "warm", *options)  # compiles; how long stages take without that is wanted
    undisturbed = folder / "undisturbed"
    finish(undisturbed, *options)
    seconds = {"inputs": 2.0}
    for name in stages:
        mark = json.loads((undisturbed / f"{STAGES.index(name) + 1}_{name}/done.json").read_text())
        seconds[name] = mark["seconds"]
    generator, survived, runs = random.Random(seed), Counter(), 0
    while survived.total() < kills:
        runs += 1
        work = folder / f"disturbed_{runs}"
        for place in ("inputs", *stages):
            n = survived.total()
            if n == kills:
                break
            how = signal.SIGKILL
            if others and place != "inputs":
                how = {3: signal.SIGTERM, 7: signal.SIGINT}.get(n % 8, signal.SIGKILL)
            delay_s = generator.uniform(0, seconds[place])
            where = end_in(work, place, delay_s, how, *options)
            if not where:
                break  # it has come to its end
            survived[f"{how.name} in {where}"] += 1
            print(f"{n + 1}/{kills} {how.name} in {where} (aimed at {place} + {delay_s:.2f} s)")
            sys.stdout.flush()
        finish(work, *options)
        print(f"{work.name}: {compare(undisturbed, work)} files alike")
    return survived


def test_two_stages_survive(tmp_path):
    survived = storm(tmp_path, kills=3, seed=1, stages=("shapes", "masks"), others=False)
    assert survived.total() == 3


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_training_is_saved_before_it_ends(tmp_path, how):
    work = tmp_path / "work"
    options = [
        "--stages=shapes",
        "--config.shapes.steps=100000",
        "--config.shapes.save_every=90000",
    ]
    run = start(work, *options)
    until = time.monotonic() + PATIENCE_S
    while not (work / "1_shapes" / "metrics.jsonl").exists():
        assert time.monotonic() < until and run.poll() is None
        time.sleep(0.05)
    run.send_signal(how)
    assert run.wait(60) == CODES[how]
    (saved,) = (work / "1_shapes" / "checkpoints").iterdir()
    assert 0 < int(saved.name) < 90000
    said = work.with_suffix(".txt").read_text()
    assert f"saved at step {saved.name} of 100000" in said
    assert "goes on where this one ended" in said and "Traceback" not in said
    assert "Traceback" not in (work / "log.txt").read_text()


@pytest.mark.slow
def test_the_whole_workflow_survives(tmp_path):
    assert storm(tmp_path, kills=9, seed=0).total() == 9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        counted = storm(Path(place), kills=given.kills, seed=given.seed)
    for where, n in sorted(counted.items()):
        print(f"{where}: {n} survived")
    print(f"{counted.total()} kills survived, everything alike")
