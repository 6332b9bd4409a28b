"""`semjax segment`: a trained model measures further images."""

import sys
from collections.abc import Sequence

from absl import flags

from semjax import processes
from semjax.commands import UsageError

USAGE = f"""\
Finds and measures the particles of images with a trained model.

  semjax segment MODEL IMAGES --out=DIR [options]

  MODEL                 a model folder, or the work folder of a finished run
  IMAGES                folders of images, or single files
  --out=DIR             where results go: report.html, tables, labels, overlays, ImageJ ROIs
  --pixel_size_nm=2.5   of all images; otherwise the instruments' tags are read
  --calibration=1.02    factor on the pixel size, as a calibration standard gives it
  --calibration_uncertainty=0.01  relative standard uncertainty of the pixel size, for the report
  --rescale             resample images of other pixel sizes than those of the model's training
  --info_bar_px=64      rows to cut at the bottom, -1 to find the bar; as in training if left away
  --[no]dark_particles  particles darker than the ground; as in training if left away
  --border=weights      whole particles stand for those that the border cuts; drop if left away
  --imagej_table        write imagej.csv too: the particles with ImageJ's names of columns
  --verbosity=1         also where errors arose
{processes.USAGE}\
  --help

Started again with the same command, it goes on where it ended, and measures again the images whose
files have changed. DIR may be filled in several goes; its tables hold all of its images.

Images may hold up to 268 million pixels. Of those above 33 million (8 or 16 bits, grey) only rows
are held, and their overlays and pictures are made smaller (4096 px). --rescale needs the whole
image.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax segment`; `model` and `images` are the arguments without a name.

    Raises:
        UsageError: a flag is wrong, or model, images or --out are missing.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("model", "", "", flag_values=values)
    flags.DEFINE_list("images", [], "", flag_values=values)
    flags.DEFINE_string("out", "", "", flag_values=values)
    flags.DEFINE_float("pixel_size_nm", None, "", flag_values=values)
    flags.DEFINE_float("calibration", None, "", 0.1, 10.0, flag_values=values)
    flags.DEFINE_float("calibration_uncertainty", None, "", 0.0, 1.0, flag_values=values)
    flags.DEFINE_bool("rescale", False, "", flag_values=values)
    flags.DEFINE_integer("info_bar_px", None, "", lower_bound=-1, flag_values=values)
    flags.DEFINE_bool("dark_particles", None, "", flag_values=values)
    flags.DEFINE_enum("border", "drop", ["drop", "weights"], "", flag_values=values)
    flags.DEFINE_bool("imagej_table", False, "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    processes.define(values)
    try:
        given = values(["semjax", *argv])[1:]
        processes.check(values)
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    if not values.model and given:
        values.model = given.pop(0)
    values.images = [*values.images, *given]
    for name in ("model", "images", "out"):
        if not values[name].value:
            what = "--out=DIR" if name == "out" else name.upper()
            raise UsageError(f"{what} is missing\n\n{USAGE}")
    if values.pixel_size_nm is not None and not 0 < values.pixel_size_nm < float("inf"):
        raise UsageError(f"--pixel_size_nm={values.pixel_size_nm:g}: expected nanometres above 0")
    return values


def act(values: flags.FlagValues) -> int:
    """Does what the flags of `semjax segment` say; 1 if an image could not be measured."""
    from semjax import batch

    with processes.joined(values):
        errors = batch.run(
            values.model,
            values.images,
            values.out,
            pixel_size_nm=values.pixel_size_nm,
            calibration=values.calibration,
            calibration_uncertainty=values.calibration_uncertainty,
            info_bar_px=values.info_bar_px,
            dark_particles=values.dark_particles,
            border=values.border,
            rescale=values.rescale,
            imagej_table=values.imagej_table,
        )
    if not errors:
        return 0
    print(f"{len(errors)} image(s) could not be measured:", file=sys.stderr)
    for name, text in errors.items():
        print(f"  {name}: {text}", file=sys.stderr)
    return 1
