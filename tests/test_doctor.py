"""`semjax doctor`, with faked problems: each is seen and has its cure."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from semjax import health, main, variants
from semjax.health import GIB

CPU = SimpleNamespace(platform="cpu", id=0, device_kind="cpu")
GPU = SimpleNamespace(platform="gpu", id=0, device_kind="NVIDIA H200")


def works(device):
    pass


def fails(device):
    raise RuntimeError("out of memory\nand more")


@pytest.mark.parametrize(
    ("check", "state", "cure"),
    [
        (health.check_python((3, 11, 7)), "ok", ""),
        (health.check_python((3, 10, 1)), "bad", "3.11"),
        (health.check_pip("26.1"), "ok", ""),
        (health.check_pip("23.2.1"), "note", "pip install -U pip"),
        (health.check_pip(None), "ok", ""),
        (health.check_stack({"jax": "0.10", "flax": "0.12"}), "ok", ""),
        (health.check_stack({"jax": None, "flax": "0.12"}), "bad", "pip install"),
        (health.check_extras({"cuda": False, "tpu": True}), "ok", ""),
        (health.check_memory(None), "ok", ""),
        (health.check_memory(64 * GIB), "ok", ""),
        (health.check_memory(5 * GIB), "note", "variant cpu"),
        (health.check_memory(1 * GIB), "bad", "3 GiB"),
        (health.check_disk(Path("x"), 500 * GIB), "ok", ""),
        (health.check_disk(Path("x"), 5 * GIB), "note", "10 GiB"),
        (health.check_disk(Path("x"), 0.5 * GIB), "bad", "--workdir"),
        (health.check_pages(True, platform="cpu"), "ok", ""),
        (health.check_pages(False, platform="gpu"), "ok", ""),
        (health.check_pages(False, platform="cpu"), "note", "transparent_hugepage"),
    ],
)
def test_each_problem_has_its_cure(check, state, cure):
    assert check.state == state
    assert cure in check.cure and bool(check.cure) == (state != "ok")


def test_a_gpu_that_jax_does_not_see():
    seen, unseen = health.check_devices([CPU], works, nvidia=True)
    assert seen.state == "ok" and "cpu" in seen.found
    assert unseen.state == "note" and "semjax[cuda]" in unseen.cure
    assert len(health.check_devices([GPU], works, nvidia=True)) == 1
    assert "semjax[tpu]" in health.check_devices([CPU], works, nvidia=False, tpu=True)[1].cure


def test_a_device_that_does_not_compute():
    (check,) = health.check_devices([GPU], fails, nvidia=True)
    assert check.state == "bad" and check.found.endswith("does not compute: out of memory")
    assert not health.usable([check])
    assert health.usable([check, *health.check_devices([CPU], works, nvidia=False)])


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert health.check_folder("cache", tmp_path / "new", "cure").state == "ok"
    check = health.check_folder("cache", tmp_path / "file" / "in", "cure")
    assert check.state == "bad" and "cannot be written" in check.found


def test_one_bad_check_is_enough():
    device = health.check_devices([CPU], works, nvidia=False)
    assert health.usable(device)
    assert not health.usable([*device, health.check_memory(GIB)])
    assert health.usable([*device, health.check_memory(5 * GIB)])
    assert not health.usable([])


def test_memory_is_the_least_of_machine_and_container(tmp_path):
    assert health.available_memory(tmp_path, tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  2097152 kB\n")
    assert health.available_memory(tmp_path, tmp_path) == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("0\n")
    assert health.available_memory(tmp_path, tmp_path) == 2 * GIB
    (tmp_path / "memory.max").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text("anon 7\nactive_file 9\ninactive_file 0\n")
    (tmp_path / "memory.current").write_text(f"{2 * GIB}\n")
    assert health.available_memory(tmp_path, tmp_path) == GIB
    (tmp_path / "memory.stat").write_text(f"active_file 9\ninactive_file {GIB // 2}\n")
    assert health.available_memory(tmp_path, tmp_path) == 1.5 * GIB


def test_this_machine_computes():
    import jax

    health.compute_on(jax.devices()[0])
    assert health.measure_speed() > 1e6


def test_time_goes_with_work_and_speed():
    assert set(health.PETAFLOP) == set(variants.VARIANTS)
    assert health.expect("cpu", 1e11) == pytest.approx(2 * health.expect("cpu", 2e11))
    ratio = health.expect("gpu", 1e11) / health.expect("cpu", 1e11)
    assert ratio == pytest.approx(health.PETAFLOP["gpu"] / health.PETAFLOP["cpu"])
    assert health.say_minutes(53.2) == "about 53 minutes"
    assert health.say_minutes(600) == "about 10 hours"
    assert health.say_minutes(60 * 24 * 9) == "about 9 days"


@pytest.mark.parametrize("usable", [True, False])
def test_the_command_says_it_all(monkeypatch, capsys, tmp_path, usable):
    checks = health.check_devices([CPU], works if usable else fails, nvidia=True)
    monkeypatch.setattr(health, "check_all", lambda folder: checks)
    monkeypatch.setattr(health, "measure_speed", lambda: 1e11)
    assert main.console(["doctor", f"--workdir={tmp_path}"]) == (0 if usable else 1)
    out = capsys.readouterr().out
    assert "to do: pip install -U 'semjax[cuda]'" in out
    assert ("Estimates" in out) == usable and ("Not usable yet" in out) != usable


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["x"], 2, "not understood: x"),
        (["--workdir=/no/such"], 1, "no folder /no/such"),
        (["--workdir=gs://bucket/x"], 1, "mount it first"),
    ],
)
def test_bad_input_is_one_message(argv, code, words, capsys):
    assert main.console(["doctor", *argv]) == code
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_all_checks_run_here(tmp_path):
    checks = health.check_all(tmp_path)
    assert {"Python", "libraries", "device", "cache", "memory", "disk"} <= {c.name for c in checks}
    assert all(c.state in ("ok", "note", "bad") for c in checks)


def test_doctor_knows_every_extra():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert set(health.EXTRAS) == set(project["project"]["optional-dependencies"])
