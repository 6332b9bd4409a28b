"""The command line: help, flags, and errors without tracebacks."""

import importlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from absl import logging

from semjax import main, messages, pipeline
from semjax.commands import VERBS, UsageError, doctor
from semjax.commands import run as run_command

ROOT = Path(__file__).parents[1]
SMOKE = str(ROOT / "configs" / "smoke.py")


@pytest.fixture
def received(monkeypatch):
    """What the pipeline is called with."""
    calls = []

    def run(config, folder, **options):
        calls.append((config, folder, options))

    monkeypatch.setattr(pipeline, "run", run)
    return calls


def test_help_comes_at_once_and_without_jax():
    began = time.monotonic()
    code = "import sys; from semjax import main; main.main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--config=configs/tio2.py" in done.stdout
    assert not {"jax", "numpy", "skimage"} & set(done.stdout.split())
    assert time.monotonic() - began < 3


def test_launch_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "launch.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--config is missing" in done.stderr


def test_flags_reach_the_pipeline(received):
    code = main.main(
        [
            f"--config={SMOKE}",
            "--workdir=runs/x",
            "--stages=shapes,masks",
            "--redo=masks",
            "--config.segment.steps=3",
            "--config.masks.tile_px=(32, 32)",
            "--config.seed=5",
        ]
    )
    assert code == 0
    config, folder, options = received[0]
    assert (config.segment.steps, config.masks.tile_px, config.seed) == (3, (32, 32), 5)
    assert folder == "runs/x"
    assert options["stages"] == ["shapes", "masks"] and options["redo"] == ["masks"]
    assert options["overrides"] == {"segment.steps": 3, "masks.tile_px": (32, 32), "seed": 5}


def test_the_work_folder_is_named_after_the_config(received):
    assert main.console(["run", "--config", SMOKE]) == 0
    assert received[0][1] == "runs/smoke"
    assert received[0][2]["stages"] is None


@pytest.mark.parametrize("name", ["default", "tio2", "phantom", "smoke"])
def test_every_config_takes_a_variant(received, name):
    assert main.main([f"--config={ROOT / 'configs' / name}.py:cpu"]) == 0
    assert received[0][0].variant == "cpu"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--config is missing"),
        (["--config=nowhere.py"], "'nowhere.py' does not exist"),
        ([f"--config={SMOKE}:huge"], "unknown variant 'huge'; config.variant must be one of"),
        ([f"--config={SMOKE}", "--config.segment.steps=many"], "config.segment.steps=many"),
        ([f"--config={SMOKE}", "--config.segmnt.steps=3"], 'Did you mean "segment"'),
        ([f"--config={SMOKE}", "--config.segment.stps=3"], 'Did you mean "steps"'),
        ([f"--config={SMOKE}", "--stage=shapes"], "stage"),
        ([f"--config={SMOKE}", "shapes"], "not understood: shapes"),
    ],
)
def test_a_wrong_command_is_one_message(capsys, received, flags, words):
    assert main.main(flags) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert not received


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["config.data.dark_particle = True"], 'line 4: .*Did you mean "dark_particles" instead'),
        (['config.segments = {"steps": 3}'], 'line 4: .*Did you mean "segment" instead'),
        (["config.masks.n_masks = 20", 'config.data.exclude = ("a")'], "line 5: .*'exclude'"),
        (["if True"], "line 4: SyntaxError: expected ':'"),
        (["config.seed = sed"], "line 4: NameError: name 'sed' is not defined"),
        (["return None"], "has to end with `return config`"),
        (['raise KeyError("no such sample")'], "line 4: no such sample"),
    ],
)
def test_a_mistake_in_a_config_file_is_told_with_its_line(capsys, received, tmp_path, lines, words):
    start = "from semjax import settings\ndef get_config(variant=''):\n"
    start += "    c = config = settings.get_config()\n"
    text = start + "".join(f"    {line}\n" for line in [*lines, "return config"])
    (tmp_path / "mine.py").write_text(text)
    assert main.main([f"--config={tmp_path / 'mine.py'}"]) == 2
    message = capsys.readouterr().err
    assert re.search(words, message) and "Traceback" not in message and len(message) < 500
    assert not received


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, PermissionError, OSError])
def test_an_error_is_one_message_and_its_place_on_request(capsys, monkeypatch, error):
    def fail(*_, **__):
        raise error("no images in x")

    monkeypatch.setattr(pipeline, "run", fail)
    assert main.main([f"--config={SMOKE}"]) == 1
    assert capsys.readouterr().err == "error: no images in x\n"
    assert main.main([f"--config={SMOKE}", "--verbosity=1"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupt)
    assert main.main([f"--config={SMOKE}"]) == 130
    assert "goes on" in capsys.readouterr().err


def test_sigterm_ends_with_the_code_that_says_so(capsys, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pipeline, "run", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert main.main([f"--config={SMOKE}"]) == 143
    error = capsys.readouterr().err
    assert error == "ended by SIGTERM; the same command goes on where this one ended\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_fault_of_the_program_leaves_a_report(capsys, monkeypatch, tmp_path):
    def fail(*_, **__):
        with messages.keep(tmp_path / "log.txt"):
            logging.warning("the last words")
            raise RuntimeError("never foreseen")

    monkeypatch.setattr(pipeline, "run", fail)
    command = [f"--config={SMOKE}", f"--workdir={tmp_path}", "--config.segment.steps=3"]
    assert main.main(command) == 70
    error = capsys.readouterr().err
    assert "unexpected RuntimeError: never foreseen" in error and "Traceback" not in error
    assert str(tmp_path / "crash.txt") in error
    text = (tmp_path / "crash.txt").read_text()
    for part in (
        "semjax run --config=",
        "numpy ",
        "RuntimeError: never foreseen",
        "in fail",
        '"steps": 3',
        "WARNING the last words",
    ):
        assert part in text


def test_a_report_without_a_work_folder_lies_among_the_temporary_files(
    capsys, monkeypatch, tmp_path
):
    def fail(*_):
        raise TypeError("never foreseen")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(doctor, "act", fail)
    assert main.console(["doctor"]) == 70
    (report,) = tmp_path.glob("semjax-*/crash.txt")
    assert str(report) in capsys.readouterr().err and "semjax doctor" in report.read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_knows_verbosity(verb):
    usage = importlib.import_module(f"semjax.commands.{verb}").USAGE
    assert "--verbosity=1" in usage


@pytest.mark.parametrize(("argv", "code"), [([], 0), (["--help"], 0), (["walk"], 2)])
def test_verbs(capsys, argv, code):
    assert main.console(argv) == code
    out = capsys.readouterr()
    assert "semjax run " in out.out + out.err


def test_version(capsys):
    assert main.console(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2


@pytest.mark.slow
def test_the_whole_workflow_on_a_tiny_phantom(tmp_path):
    assert main.main([f"--config={SMOKE}", f"--workdir={tmp_path}"]) == 0
    marks = sorted(path.parent.name for path in tmp_path.glob("*/done.json"))
    assert len(marks) == len(pipeline.STAGES) + 1
    began = time.monotonic()
    assert main.main([f"--config={SMOKE}", f"--workdir={tmp_path}"]) == 0
    assert time.monotonic() - began < 10


def test_a_bare_name_is_a_config_of_the_package():
    flags = run_command.parse(["--config=tio2:cpu", "--config.seed=3"])
    assert (flags.config.name, flags.config.variant, flags.config.seed) == ("tio2", "cpu", 3)
    flags = run_command.parse(["--config", "phantom", "--stages=shapes"])
    assert flags.config.name == "phantom" and flags.stages == ["shapes"]
    with pytest.raises(UsageError, match="no_such.* does not exist"):
        run_command.parse(["--config=no_such"])
