"""`semjax report`: one file with everything about the sizes of one or several samples."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Writes the size report of measured samples: one HTML file that opens offline.

  semjax report FOLDER [FOLDER…] [options]

A FOLDER is what `semjax segment` has written, or the work folder of a finished run; several are
shown side by side.

  --out=FILE.html      the report; size_report.html in the FOLDER if left away, needed for several
  --images=12          pictures of each sample in the file, which stays below 25 MB; others are linked
  --edits=FILE.json    particles kept or dropped by hand, as the report saves them; also writes
                       particles.edited.csv beside particles.csv, which stays as it is
  --verbosity=1        also where an error arose
  --help
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax report`; `folders` are the arguments without a name.

    Raises:
        UsageError: a flag is wrong, no folder is given, or several without --out.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("out", "", "", flag_values=values)
    flags.DEFINE_integer("images", 12, "", lower_bound=0, flag_values=values)
    flags.DEFINE_string("edits", "", "", flag_values=values)
    flags.DEFINE_list("folders", [], "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        folders = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    values.folders = [*values.folders, *folders]
    if not values.folders:
        raise UsageError(f"the measured folder is missing\n\n{USAGE}")
    if len(values.folders) > 1 and not values.out:
        raise UsageError("a report of several samples needs its name: --out=FILE.html")
    return values


def act(values: flags.FlagValues) -> int:
    """Does what the flags of `semjax report` say."""
    from semjax.report import measured, sample

    folders = [Path(folder).expanduser() for folder in values.folders]
    out = Path(values.out) if values.out else measured.find(folders[0]) / "size_report.html"
    edits = Path(values.edits).expanduser() if values.edits else None
    path = sample.write(folders, out, images=values.images, edits=edits)
    print(f"report: {shlex.quote(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")
    if edits is not None:
        for folder in folders:
            print(f"table with the edits: {measured.find(folder) / 'particles.edited.csv'}")
    return 0
