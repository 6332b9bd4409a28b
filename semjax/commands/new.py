"""`semjax new`: a config file for a new material."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Looks at micrographs and outlines and writes a config file for them: NAME.py, a few commented lines.

  semjax new NAME IMAGES OUTLINES [options]

  IMAGES                   folder of micrographs
  OUTLINES                 file or folder: masks, label images, ImageJ ROIs, LabelMe, COCO
  --pixel_size_nm=2.5      for images whose files do not say it
  --scale_bar=500nm:275    or a scale bar: its length and its length in px, or its two ends in px
  --dark_particles         particles are darker than the ground
  --verbosity=1            also where an error arose
  --help

NAME may have a folder before it. A file that is there already is never written over.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax new`; `name`, `images`, `outlines` are given without names.

    Raises:
        UsageError: a flag is wrong, or there are not three arguments.
    """
    values = flags.FlagValues()
    for name in ("name", "images", "outlines", "scale_bar"):
        flags.DEFINE_string(name, "", "", flag_values=values)
    flags.DEFINE_float("pixel_size_nm", 0.0, "", lower_bound=0, flag_values=values)
    flags.DEFINE_boolean("dark_particles", False, "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        rest = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    if len(rest) != 3:
        raise UsageError(f"expected NAME IMAGES OUTLINES, got {len(rest)} of them\n\n{USAGE}")
    if values.scale_bar and values.pixel_size_nm:
        raise UsageError("give --scale_bar or --pixel_size_nm, not both")
    values.name, values.images, values.outlines = rest
    return values


def act(values: flags.FlagValues) -> int:
    """Writes the config file and says how to run it."""
    from semjax import findings, inspection, project

    path = project.config_path(values.name)
    data: dict[str, float | int | bool] = {}
    if values.scale_bar:
        data["scale_bar_nm"], data["scale_bar_px"] = inspection.scale_bar(values.scale_bar)
    if values.pixel_size_nm:
        data["pixel_size_nm"] = values.pixel_size_nm
    if values.dark_particles:
        data["dark_particles"] = True
    images, outlines = (Path(given).expanduser() for given in (values.images, values.outlines))
    given = project.Given(images, outlines, data)
    seen, found = project.look_at(given)

    import jax

    platform = jax.devices()[0].platform
    text = project.compose(path.stem, given, seen, found, platform=platform)
    project.write(path, text)
    print(text)
    if found:
        print(findings.describe(found, {}) + "\n")
    print(f"written: {path}\nRead it through, then run:")
    print(f"  semjax run --config={shlex.quote(str(path))}")
    return 0
