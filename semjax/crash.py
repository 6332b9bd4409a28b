"""What a user can send to the developers when the program itself is at fault."""

import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from absl import flags

from semjax import versions
from semjax.workdir import write_text

N_LINES = 60  # of the log
NAME = "crash.txt"


def write(error: Exception, verb: str, argv: Sequence[str], values: flags.FlagValues) -> Path:
    """Writes a report of an unexpected error; it holds no image data. Returns its path.

    It lies in the work folder of the command, or else among the temporary files.

    Args:
        error: what nobody expected.
        verb: the command, of `VERBS`.
        argv: the command's flags as given.
        values: the flags as understood.
    """
    given = [Path(values[name].value) for name in ("workdir", "out") if _given(values, name)]
    folders = [folder.expanduser().absolute() for folder in given]
    folder = next((folder for folder in folders if (folder / "log.txt").is_file()), None)
    parts = {
        "command": f"semjax {' '.join([verb, *argv])}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": "\n".join(f"{name} {version}" for name, version in versions.collect().items()),
        "system": platform.platform(),
        "device": _device(),
        "error": "".join(traceback.format_exception(error)),
    }
    if _given(values, "config"):
        parts["config"] = values.config.to_json_best_effort(indent=2)
    if folder is not None:
        with suppress(OSError, UnicodeError):
            lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
            parts["last lines of log.txt"] = "\n".join(lines[-N_LINES:])
    text = "".join(f"== {name}\n{part.rstrip()}\n\n" for name, part in parts.items())
    if folder is not None:
        with suppress(OSError):  # the disk may be full
            write_text(folder / NAME, text)
            return folder / NAME
    path = Path(tempfile.mkdtemp(prefix="semjax-")) / NAME
    write_text(path, text)
    return path


def _given(values: flags.FlagValues, name: str) -> bool:
    return name in values and bool(values[name].value)


def _device() -> str:
    """The devices in words, if JAX has been used: to start it now may fail in the same way."""
    if "jax" not in sys.modules:
        return "not asked"
    from semjax import devices

    try:
        return devices.describe()
    except Exception as error:  # the report is about another one
        return f"none ({error})"
