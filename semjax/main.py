"""The command line: `semjax VERB …`, and `launch.py`, which is `semjax run`.

Nothing heavy is imported before the flags are understood, so that `--help` and mistakes in a
command are answered at once.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence

from semjax import hugepages, interrupts, messages
from semjax.commands import VERBS, UsageError

HELP = "".join(f"semjax {verb:<8} {given:<21} {what}\n" for verb, (given, what) in VERBS.items())
HELP += """\
semjax --version

`semjax VERB --help` says more of each.
"""


def console(argv: Sequence[str] | None = None) -> int:
    """The installed command `semjax`: a verb, then its flags. Returns the exit code."""
    started = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["run"] and started:
        hugepages.restart()
    if argv and argv[0] in VERBS:
        return carry_out(argv[0], argv[1:])
    if argv == ["--version"]:
        from semjax import __version__

        print(__version__)
        return 0
    if not argv or argv[0] in ("help", "-h", "--help", "-help"):
        print(HELP, end="")
        return 0
    print(f"semjax: unknown verb {argv[0]!r}\n{HELP}", end="", file=sys.stderr)
    return 2


def main(argv: Sequence[str]) -> int:
    """Runs the workflow as the flags say: `semjax run`. Returns the exit code."""
    return carry_out("run", argv)


def carry_out(verb: str, argv: Sequence[str]) -> int:
    """Does what a verb's flags say.

    Args:
        verb: one of `VERBS`.
        argv: its flags, without the program's name.

    Returns:
        The exit code: 0 done, 1 an error in inputs, settings or training, 2 a command that was
        not understood, 70 a fault of the program, 130 interrupted, 143 ended by SIGTERM.
    """
    try:
        with interrupts.listen():
            return _carry_out(verb, argv)
    except interrupts.Terminated:
        print("ended by SIGTERM; the same command goes on where this one ended", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one ended", file=sys.stderr)
        return 130


def _carry_out(verb: str, argv: Sequence[str]) -> int:
    command = importlib.import_module(f"semjax.commands.{verb}")
    if any(arg.lstrip("-") in ("help", "h", "helpfull", "helpshort") for arg in argv):
        print(command.USAGE, end="")
        return 0
    try:
        values = command.parse(argv)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        with messages.show(verbose=values.verbosity >= 1):
            return command.act(values)
    except (ValueError, OSError, FloatingPointError) as error:
        # The traceback has been kept in the work folder's log.txt, if there is one already.
        if values.verbosity >= 1:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if values.verbosity >= 1:
            traceback.print_exc()
        from semjax import crash

        print(
            f"error: unexpected {type(error).__name__}: {error}\nThis is a fault of semjax. Please "
            f"send {crash.write(error, verb, argv, values)} to its developers: it holds versions, "
            "settings and the place of the error, and no image data.",
            file=sys.stderr,
        )
        return 70
