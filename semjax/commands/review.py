"""`semjax review`: a window in which to correct measured particles."""

from collections.abc import Sequence

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Shows measured particles in a window (napari), in which you correct them; the tables follow.

  semjax review FOLDER        FOLDER: a measured folder (the --out folder of `semjax segment`) or a
                              work folder

  --verbosity=1               also where an error arose
  --help

Kept particles are green, the others red. The originals stay as they are: all edits are saved at
once in `reviewed` inside the measured folder, which is a measured folder itself (for example for
`semjax report`). The same command goes on where you stopped.

  N, B                next image, image before
  K                   keep or drop the particle under the mouse
  D                   delete it
  S                   split: then draw a line right across the particle, with the button held down
  M                   merge: then draw a line from one particle into another that touches it
  R                   draw it anew: then click round it, and end with a double click
  A                   add a particle: likewise
  P, E                paint it with a brush, erase from it; [ and ] change the brush's size
  U                   undo
  Z                   put the tool away; mouse wheel: zoom

Edited particles are measured again; they have no class score and are kept unless they touch the
border or you drop them. This needs the extra `napari`: pip install 'semjax[napari]'
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax review`; `folder` is the argument without a name.

    Raises:
        UsageError: a flag is wrong, or there is not one folder.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("folder", "", "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        folders = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    folders += [values.folder] if values.folder else []
    if len(folders) != 1:
        given = "expected one folder, got " + " and ".join(folders)
        raise UsageError(f"{given if folders else 'the measured folder is missing'}\n\n{USAGE}")
    values.folder = folders[0]
    return values


def act(values: flags.FlagValues) -> int:
    """Opens the window, and tells afterwards what was edited."""
    from semjax import reviewing, windows

    review = reviewing.Review(values.folder)

    def make(viewer):
        from semjax.windows.review import ReviewWindow

        return ReviewWindow(viewer, review)

    windows.show(make, "semjax review")
    review.finish()
    if review.out.exists():
        print(", ".join(f"{n} {what}" for what, n in review.counts().items()))
        print(f"reviewed: {review.out}")
    else:
        print("nothing was edited")
    return 0
