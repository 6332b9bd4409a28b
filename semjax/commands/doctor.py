"""`semjax doctor`: what is installed and usable here, and how long a run would take."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Looks at this machine: libraries and extras, devices (each computes something), memory, disk, and
how long each variant would take, estimated from a benchmark of some seconds.

  semjax doctor [options]

  --workdir=.        where the work folders will be
  --verbosity=1      also where an error arose
  --help

The exit code is 0 where a run can work, 1 where not.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax doctor`.

    Raises:
        UsageError: a flag is wrong.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", ".", "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        rest = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    if rest:
        raise UsageError(f"not understood: {' '.join(rest)}\n\n{USAGE}")
    return values


def act(values: flags.FlagValues) -> int:
    """Prints a line a check, each problem with its cure, and the estimates."""
    from semjax import health
    from semjax.workdir import check_local

    check_local(values.workdir)
    folder = Path(values.workdir).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give --workdir a folder that is there")
    checks = health.check_all(folder)
    for check in checks:
        print(f"{check.state:<5} {check.name:<12} {check.found}")
        if check.cure and check.state != "ok":
            print(f"{'':<18} to do: {check.cure}")
    if not health.usable(checks):
        print("\nNot usable yet: see the lines that begin with bad.")
        return 1
    speed = health.measure_speed()
    print(f"\nConvolutions run at {speed / 1e9:,.0f} GFLOP/s here. Estimates of whole runs:")
    for variant, time in health.estimates(speed).items():
        print(f"  {variant:<5} {time}")
    print("Other programs slow both down; a variant never timed on such a device may be far off.")
    return 0
