"""`semjax run`: the workflow, from micrographs and outlines to sizes."""

import re
import traceback
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
    from ml_collections import ConfigDict, config_flags

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
    except Exception as error:  # a config file is a program, which may fail in any way
        raise UsageError(_say(error, argv)) from error
    if rest:
        raise UsageError(f"not understood: {' '.join(rest)}; settings are given as --name=value")
    if not isinstance(values.config, ConfigDict):
        raise UsageError("get_config in the config file has to end with `return config`")
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


def _say(error: BaseException, argv: Sequence[str]) -> str:
    """What went wrong, and in which line of the config file, if it was there."""
    file = next((flag for flag in argv if flag.startswith("--config=")), "")
    file = file.removeprefix("--config=").partition(":")[0]
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    lines = [[n for name, n in _frames(one) if Path(name) == Path(file)] for one in chain]
    places = [i for i, numbers in enumerate(lines) if numbers]
    # Where none is of the file, the outermost says it best, unless it quotes a traceback.
    shown = places[-1] if places else -1 if "Traceback" in str(error) else 0
    error = chain[shown]
    # The text of a KeyError would be the message in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = re.sub("^'(.*)'$", r"\1", text, flags=re.DOTALL).replace("\\n", "\n").replace("\\'", "'")
    text = re.sub(r'Other fields present: "\{.*\}"', "", text, flags=re.DOTALL)
    text = " ".join(text.split())
    known = isinstance(error, flags.Error | ValueError | KeyError | AttributeError | OSError)
    text = text if known else f"{type(error).__name__}: {text}"
    return f"{file}, line {lines[shown][-1]}: {text}" if places else text


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """File and line of each call that led to an error, and of what could not be read as Python."""
    calls = traceback.extract_tb(error.__traceback__)
    found = [(call.filename, call.lineno or 0) for call in calls]
    if isinstance(error, SyntaxError):
        found.append((error.filename or "", error.lineno or 0))
    return found
