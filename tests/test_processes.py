"""Several processes that work together; over loopback, with JAX's own runtime."""

import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import flags

from semjax import batch, processes
from semjax.data import batches

ROOT = Path(__file__).parents[1]
PATIENCE_S = 600
# `semjax` in a process of its own that knows the tests' network.
SEGMENT = """
import sys
from semjax import main, networks
from tests.bright import Bright
networks.SEGMENTERS["bright"] = Bright
sys.exit(main.console(sys.argv[1:]))
"""


def start(command, n, **env):
    """Starts a command in n processes that find one another."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    join = ["--distributed", f"--coordinator=127.0.0.1:{port}", f"--num_processes={n}"]
    return [
        subprocess.Popen(
            [sys.executable, *command, *(join + [f"--process_id={i}"] if n > 1 else [])],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(n)
    ]


def finish(started):
    """Exit codes, outputs and errors."""
    try:
        ended = [process.communicate(timeout=PATIENCE_S) for process in started]
    finally:
        for process in started:
            process.kill()
    codes = [process.returncode for process in started]
    return codes, *zip(*ended, strict=True)


def train(folder, n, *options):
    command = ["tests/trainer.py", str(folder), *options]
    codes, outputs, errors = finish(start(command, n))
    assert codes == [0] * n, errors
    found = json.loads(outputs[0].splitlines()[-1])
    assert found.pop("devices") == n
    assert all("{" not in output for output in outputs[1:])  # the first alone speaks
    return found


def flatten(found):
    return [value for row in found["rows"] for value in row.values()] + [found["weights"]]


def assert_equal_to_rounding(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        ours, theirs = flatten(found[name]), flatten(expected[name])
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4, err_msg=name)
        assert found[name]["compilations"] == 1


def test_the_first_process_is_killed(tmp_path):
    """It coordinates: JAX ends the others, which say so; the job goes on."""
    learner, goal = "--learners=segmenter", "--steps=5"
    killed = start(
        ["tests/trainer.py", str(tmp_path / "killed"), learner, goal], 2, SEMJAX_DIE="0:5"
    )
    codes, _, errors = finish(killed)
    assert codes[0] == -9 and codes[1] != 0
    assert "most likely one of them has ended" in errors[1] or "another task died" in errors[1]
    alone = train(tmp_path / "alone", 1, learner, goal)
    assert_equal_to_rounding(train(tmp_path / "killed", 2, learner, goal), alone)


def test_two_processes_learn_what_one_learns_also_after_one_was_killed(tmp_path):
    learner, goal = "--learners=segmenter", "--steps=5"
    alone = train(tmp_path / "alone", 1, learner, goal)
    killed = tmp_path / "killed"
    both = start(["tests/trainer.py", str(killed), learner, goal], 2, SEMJAX_DIE="1:5")
    codes, _, errors = finish(both)
    assert codes[1] == -9 and codes[0] > 0
    assert "most likely one of them has ended" in errors[0] or "another task died" in errors[0]
    assert sorted(path.name for path in (killed / "segmenter/checkpoints").glob("[0-9]")) == ["4"]
    other = tmp_path / "other"
    subprocess.run(["cp", "-r", killed, other], check=True)
    assert_equal_to_rounding(train(killed, 2, learner, goal), alone)
    assert_equal_to_rounding(train(other, 1, learner, goal), alone)


def test_two_processes_draw_samples_on_their_devices_as_one_does(tmp_path):
    options = ("--learners=segmenter", "--resident")
    alone = train(tmp_path / "alone", 1, *options)
    assert_equal_to_rounding(train(tmp_path / "both", 2, *options), alone)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--published",)])
def test_every_learner_in_two_processes(options, tmp_path):
    options = ("--learners=wgan_gp,cyclegan,segmenter,classifier", *options)
    alone = train(tmp_path / "alone", 1, *options)
    assert_equal_to_rounding(train(tmp_path / "both", 2, *options), alone)


@pytest.mark.parametrize("batch_size", [6, (2, 6)])
@pytest.mark.parametrize("n", [2, 3])
def test_processes_make_together_the_batches_of_one(n, batch_size, monkeypatch):
    def make(index, generator):
        return np.append(generator.random(2), index)

    def take(rank, n, state=None):
        monkeypatch.setattr(batches.jax, "process_index", lambda: rank)
        monkeypatch.setattr(batches.jax, "process_count", lambda: n)
        stream = batches.training(7, make, batch_size=batch_size, seed=3)
        if state is not None:
            stream.set_state(state)
        return [next(stream) for _ in range(3)], stream.get_state()

    whole, state = take(0, 1)
    parts = [take(i, n) for i in range(n)]
    axis = 0 if batch_size == 6 else 1
    for i, expected in enumerate(whole):
        assert np.array_equal(np.concatenate([part[i] for part, _ in parts], axis), expected)
    assert all(other == state for _, other in parts)
    # Another number of processes goes on from there.
    following, _ = take(0, 1, state)
    parts = [take(i, n, state)[0] for i in range(n)]
    assert np.array_equal(np.concatenate([part[0] for part in parts], axis), following[0])


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(batches.jax, "process_count", lambda: 4)
    with pytest.raises(ValueError, match="batch of 6 cannot be shared by 4 processes"):
        batches.training(7, lambda index, generator: index, batch_size=6, seed=3)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["--coordinator=a:1"], "are given together"),
        (["--distributed", "--process_id=1"], "are given together"),
        (["--coordinator=a:1", "--num_processes=2", "--process_id=0"], "with --distributed"),
        (
            ["--distributed", "--coordinator=a:1", "--num_processes=2", "--process_id=2"],
            "the last is 1",
        ),
        (["--distributed", "--coordinator=a", "--num_processes=2", "--process_id=1"], "HOST:PORT"),
        (["--distributed"], None),
        ([], None),
    ],
)
def test_flags_that_do_not_go_together_are_refused(given, wrong):
    values = flags.FlagValues()
    processes.define(values)
    values(["semjax", *given])
    if wrong is None:
        processes.check(values)
        return
    with pytest.raises(ValueError, match=wrong):
        processes.check(values)


def test_outside_a_cluster_it_says_what_to_give():
    command = ["launch.py", "--config=configs/smoke.py", "--distributed", "--workdir=/no/where"]
    codes, _, errors = finish(start(command, 1, GLIBC_TUNABLES=""))
    assert codes == [1]
    assert "error: --distributed: no cluster is detected here" in errors[0]
    assert "--coordinator=HOST:PORT" in errors[0] and "Traceback" not in errors[0]


def test_one_process_alone_leads_and_does_all():
    assert processes.leads() and processes.place() == (0, 1)
    assert processes.share([3, 1, 2]) == [3, 1, 2]
    assert processes.agree(0.1) == 0.1
    processes.meet("nobody")


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_every_item_is_one_process_s(n, monkeypatch):
    shares = []
    for i in range(n):
        monkeypatch.setattr(processes, "place", lambda i=i: (i, n))
        shares.append(processes.share(list(range(7))))
    assert sorted(sum(shares, [])) == list(range(7))


@pytest.fixture
def together(monkeypatch):
    """`together(n, act)` calls `act(number)` in n threads that are processes to one another."""

    def run(n, act):
        barrier, numbers, found = threading.Barrier(n, timeout=PATIENCE_S), threading.local(), {}
        monkeypatch.setattr(processes, "place", lambda: (getattr(numbers, "own", 0), n))
        monkeypatch.setattr(processes, "meet", lambda name: barrier.wait())

        def one(number):
            numbers.own = number
            try:
                found[number] = act(number)
            except Exception:
                barrier.abort()
                raise

        with ThreadPoolExecutor(n) as pool:
            list(pool.map(one, range(n)))
        return [found[i] for i in range(n)]

    return run


def test_processes_share_a_folder_of_images(bright, discs, tmp_path, write_image, together):
    names = [f"field{i}" for i in range(5)]
    for i, name in enumerate(names):
        write_image(tmp_path / "images" / f"{name}.tif", np.roll(discs[0], 7 * i, axis=1))
    bad = tmp_path / "images" / "field3.tif"
    good = bad.read_bytes()
    bad.write_bytes(good[:100])

    def measure(out):
        return lambda number: batch.run(bright, [tmp_path / "images"], tmp_path / out)

    (first, second) = together(2, measure("both"))
    assert first == {"field3": "another process failed, and says why"}  # the second of each two
    assert list(second) == ["field3"] and second["field3"] != first["field3"]
    table = pd.read_csv(tmp_path / "both" / "images.csv")
    assert list(table["image"]) == [name for name in names if name != "field3"]
    # Another number of processes goes on with what is left.
    bad.write_bytes(good)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "both" / "labels").iterdir()}
    assert together(3, measure("both")) == [{}, {}, {}]
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    assert together(1, measure("alone")) == [{}]
    for table in ("images.csv", "particles.csv"):
        both, alone = ((tmp_path / out / table).read_bytes() for out in ("both", "alone"))
        assert both == alone


def test_the_command_measures_in_two_processes_what_it_does_in_one(
    bright, discs, tmp_path, write_image
):
    for i in range(3):
        write_image(tmp_path / "images" / f"field{i}.tif", np.roll(discs[0], 7 * i, axis=1))

    def measure(out, n):
        command = ["-c", SEGMENT, "segment", str(bright), str(tmp_path / "images")]
        codes, _, errors = finish(start([*command, f"--out={tmp_path / out}"], n))
        assert codes == [0] * n, errors
        return [(tmp_path / out / f"{name}.csv").read_bytes() for name in ("images", "particles")]

    both = measure("both", 2)
    assert len(pd.read_csv(tmp_path / "both" / "images.csv")) == 3
    assert both == measure("alone", 1)
    # Another number of them goes on where the two have ended.
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "both" / "labels").iterdir()}
    write_image(tmp_path / "images" / "field3.tif", discs[0])
    measure("both", 1)
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    assert len(pd.read_csv(tmp_path / "both" / "images.csv")) == 4


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE_S", 0)
    with pytest.raises(FileNotFoundError, match="does not see .*started.json"):
        processes.await_file(tmp_path / "started.json")
