"""The command line: `semjax run --config=…`, and `launch.py`, which is the same.

Nothing heavy is imported before the flags are understood, so that `--help` and mistakes in a
command are answered at once.
"""

import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from semjax import hugepages, messages

USAGE = """\
Runs the workflow from micrographs and outlines to a particle size distribution.

  python launch.py --config=FILE.py[:VARIANT] [options]      or      semjax run --config=…

  --config=configs/phantom.py     simulated micrographs, no download, two CPU cores
  --config=configs/tio2.py        the paper's images; variants auto, cpu, gpu, v100, v120
  --config=configs/default.py     your own, with --config.data.images=… --config.data.outlines=…
  --config=tio2:cpu               the same files as installed with the package
  --config.section.name=value     any setting; semjax/settings.py lists them all
  --workdir=FOLDER                where everything is written; runs/<name> if left away
  --stages=shapes,masks           only these stages; all if left away
  --redo=segment                  made again from the start, and what depends on it after it
  --verbosity=1                   also where an error arose
  --help

Started again with the same command, a run goes on where it ended.
"""
VERBS = """\
semjax run --config=FILE.py …     runs the workflow; `semjax run --help` says more
semjax audit WORKDIR …            how many of the measured particles a person accepts
semjax --version
"""
AUDIT = """\
Estimates, without any truth, which share of the measured particles is right.

  semjax audit WORKDIR [options]                        draws particles and writes a page to judge
  semjax audit WORKDIR --answers=FILE.csv [options]     counts the answers that the page has saved

  --n=30              particles to draw, at random from all that are kept
  --seed=0            another number draws other particles
  --verbosity=1       also where an error arose
  --help

The page, its list and the result are written to WORKDIR/audit: audit.html, sample.csv, audit.json.
"""


class UsageError(Exception):
    """A command that cannot be understood."""


def console(argv: Sequence[str] | None = None) -> int:
    """The installed command `semjax`: a verb, then its flags. Returns the exit code."""
    started = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["run"]:
        if started:
            hugepages.restart()
        return main(argv[1:])
    if argv[:1] == ["audit"]:
        return audit(argv[1:])
    if argv == ["--version"]:
        from semjax import __version__

        print(__version__)
        return 0
    if not argv or argv[0] in ("help", "-h", "--help", "-help"):
        print(VERBS, end="")
        return 0
    print(f"semjax: unknown verb {argv[0]!r}\n{VERBS}", end="", file=sys.stderr)
    return 2


def main(argv: Sequence[str]) -> int:
    """Runs the workflow as the flags say.

    Args:
        argv: the flags, without the program's name.

    Returns:
        The exit code: 0 done, 1 an error in inputs, settings or training, 2 a command that was
        not understood, 130 interrupted.
    """
    return _carry_out(argv, USAGE, parse_flags, run)


def audit(argv: Sequence[str]) -> int:
    """Writes the page of `semjax audit`, or counts the answers. Exit codes as `main`."""
    return _carry_out(argv, AUDIT, parse_audit, run_audit)


def _carry_out(
    argv: Sequence[str],
    usage: str,
    parse: Callable[[Sequence[str]], flags.FlagValues],
    act: Callable[[flags.FlagValues], int],
) -> int:
    if any(arg.lstrip("-") in ("help", "h", "helpfull", "helpshort") for arg in argv):
        print(usage, end="")
        return 0
    try:
        values = parse(argv)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        with messages.show(verbose=values.verbosity >= 1):
            return act(values)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one ended", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        # The traceback has been kept in the work folder's log.txt, if there is one already.
        if values.verbosity >= 1:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1


def parse_flags(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags and the config file.

    Raises:
        UsageError: a flag, the config file or a value in it is wrong.
    """
    from ml_collections import config_flags

    argv = ["semjax", *_name_config_file(argv)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=argv)
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_list("stages", [], "", flag_values=values)
    flags.DEFINE_list("redo", [], "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        rest = values(argv)[1:]
    except (flags.Error, ValueError, TypeError, AttributeError, KeyError, OSError) as error:
        raise UsageError(_say(error)) from error
    if rest:
        raise UsageError(f"not understood: {' '.join(rest)}; settings are given as --name=value")
    return values


def _name_config_file(argv: Sequence[str]) -> list[str]:
    """The flags, with the config's file in full: `--config=tio2:cpu` is a file of the package."""
    for i, flag in enumerate(argv):
        found = re.fullmatch("--?config(?:=(.*))?", flag)
        if not found:
            continue
        joined = found[1] is not None
        file, colon, variant = (found[1] if joined else (*argv, "")[i + 1]).partition(":")
        if not Path(file).is_file():
            file = str(_find_packaged(file))
        rest = argv[i + 1 :] if joined else argv[i + 2 :]
        return [*argv[:i], f"--config={file}{colon}{variant}", *rest]
    raise UsageError(f"--config is missing\n\n{USAGE}")


def _find_packaged(name: str) -> Path:
    """A config file by its bare name: in the installed package, or beside its source."""
    package = Path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if re.fullmatch("[a-z0-9_]+", name) and (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
    raise UsageError(f"the config file {name!r} does not exist")


def run(values: flags.FlagValues) -> int:
    """Hands the parsed flags to the pipeline. Returns the exit code."""
    from ml_collections import config_flags

    from semjax import pipeline

    config = values.config
    overrides = config_flags.get_override_values(values["config"])
    workdir = values.workdir or f"runs/{config.name}"
    stages = values.stages or None
    work = pipeline.run(config, workdir, stages=stages, redo=values.redo, overrides=overrides)
    if (config.rows or config.repeats) and stages is None:
        from semjax import rows

        rows.run(config, work)
    return 0


def parse_audit(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax audit`; `workdir` is the argument without a name.

    Raises:
        UsageError: a flag is wrong, or there is not one work folder.
    """
    values = flags.FlagValues()
    flags.DEFINE_integer("n", 30, "", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "", lower_bound=0, flag_values=values)
    flags.DEFINE_string("answers", "", "", flag_values=values)
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        folders = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    folders += [values.workdir] if values.workdir else []
    if len(folders) != 1:
        given = "expected one work folder, got " + " and ".join(folders)
        raise UsageError(f"{given if folders else 'the work folder is missing'}\n\n{AUDIT}")
    values.workdir = folders[0]
    return values


def run_audit(values: flags.FlagValues) -> int:
    """Does what the flags of `semjax audit` say, and tells what to do next."""
    from semjax import audit as audits
    from semjax.workdir import Work

    work = Work(values.workdir)
    if values.answers:
        found = audits.judge(work, Path(values.answers).expanduser())
        counted = f"{found['accepted']} of {found['judged']} accepted"
        share = "nothing judged" if found["precision"] is None else f"{found['precision']:.2f}"
        low, high = found["interval"]
        print(f"{counted}: {share} (95 % interval {low:.2f} to {high:.2f})")
        return 0
    page = audits.write_page(work, values.n, values.seed)
    counting = f"semjax audit {shlex.quote(values.workdir)} --answers=~/Downloads/answers.csv"
    print(f"page: {page}")
    print("Open it in a browser, judge the particles, save the answers and give the saved file:")
    print(f"  {counting}")
    return 0


def _say(error: BaseException) -> str:
    """What went wrong, without the traceback that the config library puts into its messages."""
    if isinstance(error, KeyError):  # whose text would be the message in quotes
        return str(error.args[0])
    if "Traceback" not in str(error):
        return str(error)
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
