"""`semjax inspect`: what the images are, and what would spoil the result."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Looks at a folder of micrographs before any training: sizes, pixel sizes and where they are from,
information bars, how densely particles lie, and what would spoil the result (other magnifications,
scale bars in the image, saturation, blur, charging, one field twice), each with what to do.

  semjax inspect IMAGES [options]

  --out=DIR                              also writes inspection.csv, findings.txt and sheet.png
  --scale_bar=500nm:275                  a scale bar's length and its length in px, or its two ends
  --scale_bar=500nm:123,700:398,700      in px (x,y:x,y): the pixel size of images without tags
  --pixel_size_nm=2.5                    the pixel size itself
  --calibration=1.0                      factor on every pixel size
  --info_bar_px=-1                       rows to cut at the bottom; -1 finds the bar
  --dark_particles                       particles are darker than the ground
  --verbosity=1                          also where an error arose
  --help

What is given here counts before what the files say. Nothing of it is remembered: the settings of a
run are config.data.scale_bar_nm and scale_bar_px, pixel_size_nm, calibration and so on.
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax inspect`; `images` is the argument without a name.

    Raises:
        UsageError: a flag is wrong, or there is not one folder.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("images", "", "", flag_values=values)
    flags.DEFINE_string("out", "", "", flag_values=values)
    flags.DEFINE_string("scale_bar", "", "", flag_values=values)
    flags.DEFINE_float("pixel_size_nm", 0.0, "", lower_bound=0, flag_values=values)
    flags.DEFINE_float("calibration", 1.0, "", lower_bound=0.1, upper_bound=10, flag_values=values)
    flags.DEFINE_integer("info_bar_px", -1, "", lower_bound=-1, flag_values=values)
    flags.DEFINE_boolean("dark_particles", False, "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        folders = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    folders += [values.images] if values.images else []
    if len(folders) != 1:
        given = "expected one folder of images, got " + " and ".join(folders)
        raise UsageError(f"{given if folders else 'the folder of images is missing'}\n\n{USAGE}")
    if values.scale_bar and values.pixel_size_nm:
        raise UsageError("give --scale_bar or --pixel_size_nm, not both")
    values.images = folders[0]
    return values


def act(values: flags.FlagValues) -> int:
    """Looks, prints a table and the findings, and writes them where asked."""
    from rich.console import Console

    from semjax import findings, inspection

    if values.out:
        _check_out(Path(values.out).expanduser(), Path(values.images).expanduser())
    size, source = values.pixel_size_nm, "given"
    if values.scale_bar:
        nm, px = inspection.scale_bar(values.scale_bar)
        size, source = nm / px, f"scale bar: {nm:g} nm are {px:g} px"
    console = Console()
    result = inspection.look_at(
        Path(values.images).expanduser(),
        pixel_size_nm=size,
        pixel_size_from=source,
        calibration=values.calibration,
        info_bar_px=values.info_bar_px,
        dark_particles=values.dark_particles,
        track=_track,
    )
    found = findings.judge(result.seen, dark_particles=values.dark_particles)
    if result.seen:
        console.print(_table(result.seen))
        for line in _summarise(result.seen):
            console.print(line, highlight=False, markup=False)
    text = findings.describe(found, result.unreadable)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if values.out and result.seen:
        print(f"written: {_write(Path(values.out).expanduser(), result.seen, found, text)}")
    return 0 if result.seen else 1


def _track(paths):
    from rich.progress import track

    return track(paths, "looking", transient=True)


def _table(seen):
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("image", overflow="fold")
    headings = ("px", "bits", "nm/px", "bar", "grey", "area", "count", "size", "tile", "in it")
    for heading in headings:
        made.add_column(heading, justify="right", no_wrap=True)
    for i in seen:
        size = "?" if i.pixel_size_nm is None else f"{i.pixel_size_nm:.4g}"
        made.add_row(
            i.name,
            f"{i.height_px}x{i.width_px}",
            str(i.bits),
            size,
            str(i.info_bar_px),
            "float" if i.levels == float("inf") else f"{i.levels:.0f}",
            f"{i.foreground:.0%}",
            str(i.particles),
            f"{i.diameter_px:.0f}" if i.diameter_px > 0 else "-",
            str(i.tile_px),
            f"{i.in_a_tile:.1f}",
        )
    return made


def _summarise(seen):
    """What all images have in common, in lines."""
    from collections import Counter

    from semjax import inspection

    sources = Counter(i.pixel_size_from for i in seen)
    yield ""
    yield "bar: rows cut; grey: levels used; area, count, size in px: of particles; tile: its side"
    yield "pixel size: " + ", ".join(f"{source} ({n})" for source, n in sources.most_common(5))
    used = Counter(
        ", ".join(v for k, v in i.instrument.items() if k != "date") or "not told" for i in seen
    )
    for text, n in used.most_common(5):
        yield f"instrument: {text} ({n})"
    across = inspection.typical_diameter(seen)
    if across > 0:
        tile = inspection.suggest_tile(across, min(min(i.height_px, i.width_px) for i in seen))
        yield (
            f"particles are about {across:.0f} px across; tiles of {tile} px suit them. Numbers of "
            "particles and their size are those of a plain threshold."
        )
    yield ""


def _check_out(out: Path, folder: Path) -> None:
    """Refuses a folder whose files are images to be looked at, or somebody's own.

    Raises:
        ValueError: it is one.
    """
    if out.resolve() == folder.resolve():
        raise ValueError(
            f"--out={out} is the folder of the images, where sheet.png would be taken for one of "
            "them; give another"
        )
    if (out / "sheet.png").exists() and not (out / "inspection.csv").exists():
        raise ValueError(f"{out} holds a sheet.png that is not ours; give --out another folder")


def _write(folder: Path, seen, found, text: str) -> Path:
    from semjax import inspection
    from semjax.report import figures
    from semjax.workdir import write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "inspection.csv", inspection.table(seen).to_csv(index=False))
    write_text(folder / "findings.txt", text + "\n")
    marked = {name for finding in found for name in finding.images}
    if len(marked) == len(seen):  # what holds for all marks none
        marked = set()
    figures.write_png(folder / "sheet.png", inspection.contact_sheet(seen, marked))
    return folder
