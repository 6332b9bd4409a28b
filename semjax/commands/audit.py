"""`semjax audit`: how many of the measured particles a person accepts."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Estimates, without any truth, which share of the measured particles is right.

  semjax audit WORKDIR [options]                        draws particles and writes a page to judge
  semjax audit WORKDIR --answers=FILE.csv [options]     counts the answers that the page has saved

  --n=30              particles to draw, at random from all that are kept
  --seed=0            another number draws other particles
  --verbosity=1       also where an error arose
  --help

The page, its list and the result are written to WORKDIR/audit: audit.html, sample.csv, audit.json.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
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
        raise UsageError(f"{given if folders else 'the work folder is missing'}\n\n{USAGE}")
    values.workdir = folders[0]
    return values


def act(values: flags.FlagValues) -> int:
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
