"""Work shared by several devices; in a process of its own, since JAX counts devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from semjax import devices

ROOT = Path(__file__).parents[1]
LEARNERS = ("wgan_gp", "cyclegan", "segmenter", "classifier")


def train(n, folder, *options):
    """What `trainer.py` prints, on n simulated devices."""
    found = subprocess.run(
        [sys.executable, "tests/trainer.py", str(folder), *options],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(n)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(found.stdout.splitlines()[-1])


def assert_equal_to_rounding(found, expected, *, tolerance=1e-3):
    for name in expected.keys() - {"devices"}:
        for row, other in zip(found[name]["rows"], expected[name]["rows"], strict=True):
            assert row == pytest.approx(other, rel=tolerance, abs=1e-4), name
        assert found[name]["weights"] == pytest.approx(expected[name]["weights"], rel=1e-4)


def compare(folder, numbers, *options):
    one = train(1, folder / "1", *options)
    assert one["devices"] == 1
    for n in numbers:
        several = train(n, folder / str(n), *options)
        assert several["devices"] == n
        assert_equal_to_rounding(several, one)
        for name in one.keys() - {"devices"}:
            assert several[name]["compilations"] == one[name]["compilations"] == 1


def test_every_learner_gives_the_same_on_one_device_and_on_eight(tmp_path):
    compare(tmp_path, [8], f"--learners={','.join(LEARNERS)}")


def test_samples_drawn_on_the_devices_are_the_same_on_any_number(tmp_path):
    compare(tmp_path, [8], "--learners=segmenter,wgan_gp", "--resident")
    # Eight samples over three devices; the bias of a critic's scores has no gradient but rounding.
    compare(tmp_path / "uneven", [3], "--learners=segmenter", "--resident")


@pytest.mark.slow
def test_the_workflow_s_own_networks_do_so_too(tmp_path):
    compare(tmp_path, [2, 8], f"--learners={','.join(LEARNERS)}", "--published")


def test_a_batch_that_cannot_be_split_evenly_gives_the_same(tmp_path):
    compare(tmp_path, [3], "--learners=segmenter,cyclegan")


def test_a_restart_changes_nothing(tmp_path):
    straight = train(2, tmp_path / "straight", "--learners=segmenter", "--steps=5")
    train(2, tmp_path / "parts", "--learners=segmenter", "--steps=3")
    parts = train(2, tmp_path / "parts", "--learners=segmenter", "--steps=5")
    assert parts == straight


def test_arrays_arrive_as_they_are():
    batch = {"images": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int32([4, 5])}
    found = devices.put_batch(batch, devices.mesh())
    assert isinstance(found["images"], jax.Array)
    assert all(np.array_equal(found[name], batch[name]) for name in batch)


def test_the_oldest_compiled_programs_go_first(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(devices, "cache_folder", lambda: tmp_path / "jax")
    monkeypatch.setattr(devices, "LARGEST_CACHE", 250)
    before = jax.config.jax_compilation_cache_dir
    try:
        devices.keep_compiled()  # nothing there yet
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jax")
        (tmp_path / "jax").mkdir()
        for age, name in enumerate("abcd"):
            path = tmp_path / "jax" / name
            path.write_bytes(bytes(100))
            os.utime(path, (1000 - age, 1000 - age))
        devices.keep_compiled()
        assert sorted(path.name for path in (tmp_path / "jax").iterdir()) == ["a", "b"]
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
        monkeypatch.setattr(devices, "LARGEST_CACHE", 0)
        devices.keep_compiled()
        assert len(list((tmp_path / "jax").iterdir())) == 2
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_devices_in_words():
    assert devices.describe() == f"{jax.device_count()} x {jax.devices()[0].device_kind}"
