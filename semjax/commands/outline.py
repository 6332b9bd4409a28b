"""`semjax outline`: a window in which to draw the outlines of single particles."""

import shlex
from collections.abc import Sequence

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Shows micrographs in a window (napari), in which you draw the outlines of single particles.

  semjax outline IMAGES [options]         IMAGES: a folder of micrographs

  --out=outlines      folder for the outlines; what is there already is shown and gone on with
  --verbosity=1       also where an error arose
  --help

About 40 whole particles of all shapes and sizes are enough, from a few images. Every finished
outline is saved at once: one LabelMe file (NAME.json) an image, which --config.data.outlines and
LabelMe itself read. Outlines that cross themselves or the image's border, or that are too small,
are shown in red and not saved.

  N, B                next image, image before
  P                   polygon: click the corners, end with a double click
  L                   freehand: draw with the mouse button held down
  D, S                move corners; select outlines
  U, Backspace        delete the last outline; delete the selected ones
  mouse wheel         zoom; space and mouse: move the picture

This needs the extra `napari`: pip install 'semjax[napari]'
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax outline`; `images` is the argument without a name.

    Raises:
        UsageError: a flag is wrong, or there is not one folder of images.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("out", "outlines", "", flag_values=values)
    flags.DEFINE_string("images", "", "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        folders = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    folders += [values.images] if values.images else []
    if len(folders) != 1:
        given = "expected one folder of images, got " + " and ".join(folders[:3])
        raise UsageError(f"{given if folders else 'the folder of images is missing'}\n\n{USAGE}")
    values.images = folders[0]
    return values


def act(values: flags.FlagValues) -> int:
    """Opens the window, and tells afterwards how to go on."""
    from semjax import outlining, windows

    session = outlining.Outlining(values.images, values.out)

    def make(viewer):
        from semjax.windows.outline import OutlineWindow

        return OutlineWindow(viewer, session)

    windows.show(make, "semjax outline")
    count = session.count()
    print(f"outlines: {count}, in {session.out}" if count else "no outline was drawn")
    again = f"semjax outline {shlex.quote(values.images)} --out={shlex.quote(values.out)}"
    if count < outlining.WANTED:
        print(f"{outlining.WANTED - count} more are wanted; go on with: {again}")
    else:
        print(f"Give them to the workflow with --config.data.outlines={shlex.quote(values.out)}")
    return 0
