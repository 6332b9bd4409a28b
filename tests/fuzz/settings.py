"""Settings on the command line, and the config.json of a work folder."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np

from semjax import audit, main, settings, validate
from semjax.commands import UsageError, run
from semjax.workdir import Work
from tests.fuzz import damage

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "configs" / "smoke.py"
WORDS = (
    *("0", "1", "-1", "0.5", "nan", "inf", "-inf", "1e400", "1e-400", "9" * 400, "True", "None"),
    *("", " ", "x", "()", "(1,)", "(1, 2)", "(2, 1)", "(nan, 1)", "[1]", "{}", "'", '"', "1_000"),
    *("(" * 200, "../..", "/etc/passwd", "gs://bucket/a", "\u202e", "__import__('os')", "0x10"),
    *("16", "64", "(64, 64)", "(16, 64)", "1e9", "(1e9, 1e9)", "phantom", "folder", "tio2"),
)


def names() -> list[str]:
    """Dotted names of all settings."""
    found = []
    for name, value in settings.get_config().items():
        inside = [f"{name}.{key}" for key in value] if hasattr(value, "keys") else [name]
        found += inside
    return found


def make(rng: np.random.Generator, folder: Path) -> None:
    """Flags, and a config.json."""
    argv = [f"--config={SMOKE}", f"--workdir={folder / 'work'}"]
    for _ in range(rng.integers(1, 4)):
        name = damage.pick(rng, names())
        if rng.random() < 0.1:
            name = damage.pick(rng, ("x", "data.x", "data", "", "data.images.x", "masks.rows"))
        argv.append(f"--config.{name}={damage.pick(rng, WORDS)}")
    if rng.random() < 0.2:
        odd = ("--stages=x", "--redo=masks", "--verbosity=x", "x", "--", "--x", "--stages=", "-")
        argv.append(damage.pick(rng, odd))
    (folder / "argv.json").write_text(json.dumps(argv))
    good = json.loads(settings.get_config().to_json_best_effort())
    damage.write_json(rng, folder / "config.json", good)


def flags(folder: Path) -> None:
    """As `semjax run` reads its flags and checks its settings, short of doing anything."""
    argv = json.loads((folder / "argv.json").read_text())
    try:
        values = run.parse(argv)
    except UsageError as error:
        text = str(error).partition("\n\n")[0]  # without the usage
        assert text and "Traceback" not in text and len(text) < 1500, text
        return
    validate.describe(validate.check(values.config))


def command(folder: Path) -> None:
    """The command itself, where the settings are refused; others would be run."""
    argv = json.loads((folder / "argv.json").read_text())
    try:
        if not validate.check(run.parse(argv).config):
            return
    except UsageError:
        pass
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main.console(["run", *argv])
    assert code in (1, 2) and "Traceback" not in said.getvalue(), (code, said.getvalue())
    assert not (folder / "work").exists()


def old_config(folder: Path) -> None:
    """As `audit` and others read the settings of a run."""
    audit.read_config(Work(folder))


READERS = (flags, command, old_config)
