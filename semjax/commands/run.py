"""`semjax run`: the workflow, from micrographs and outlines to sizes."""

import re
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax import processes
from semjax.commands import UsageError

USAGE = f"""\
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
{processes.USAGE}\
  --help

Started again with the same command, a run goes on where it ended.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
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
    processes.define(values)
    try:
        rest = values(argv)[1:]
        processes.check(values)
    except (flags.Error, ValueError, TypeError, AttributeError, KeyError, OSError) as error:
        raise UsageError(_say(error)) from error
    if rest:
        raise UsageError(f"not understood: {' '.join(rest)}; settings are given as --name=value")
    values.workdir = values.workdir or f"runs/{values.config.name}"
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
    package = Path(__file__).parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if re.fullmatch("[a-z0-9_]+", name) and (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
    raise UsageError(f"the config file {name!r} does not exist")


def act(values: flags.FlagValues) -> int:
    """Hands the parsed flags to the pipeline. Returns the exit code."""
    from ml_collections import config_flags

    from semjax import pipeline

    config = values.config
    overrides = config_flags.get_override_values(values["config"])
    stages = values.stages or None
    with processes.joined(values):
        work = pipeline.run(
            config, values.workdir, stages=stages, redo=values.redo, overrides=overrides
        )
        if (config.rows or config.repeats) and stages is None:
            from semjax import rows

            rows.run(config, work, redo=values.redo)
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
