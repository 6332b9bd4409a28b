"""The config file of a new material, written from a look at its images and outlines."""

import json
import os
import re
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semjax import findings, inputs, inspection, settings, validate, variants
from semjax.findings import Finding
from semjax.inspection import Seen
from semjax.workdir import Work

TILED = ("masks", "translate", "segment", "classify")
ROOM = 2.0  # tiles hold the largest outline that often, side by side
SMALLEST_TILE = 64
FEW = 20  # outlines; with fewer the shapes vary little
UNLIKE = 2.0  # ratio of sizes in outlines and images from which it is said


class Given(NamedTuple):
    """What the user gives.

    Attributes:
      images: their folder.
      outlines: their file or folder, which may be that of the images.
      data: settings of `config.data` by name, such as `pixel_size_nm`.
    """

    images: Path
    outlines: Path
    data: dict[str, float | int | bool]


def config_path(name: str) -> Path:
    """The file of a new config.

    Raises:
      ValueError: the name cannot be that of a work folder.
      FileExistsError: there is such a file already.
    """
    path = Path(name).expanduser()
    path = path if path.suffix == ".py" else path.with_name(path.name + ".py")
    if not re.fullmatch("[A-Za-z0-9_-]+", path.stem):
        raise ValueError(
            f"{path.stem!r} cannot be a project's name, which names its work folder too: use "
            "letters, digits, _ and -"
        )
    if path.exists():
        raise FileExistsError(f"{path} exists and is left as it is; give another name")
    return path


def write(path: Path, text: str) -> None:
    """Writes a new file, whole or not at all; never over another.

    Raises:
      FileExistsError: there is such a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    try:
        os.link(partial, path)  # fails where the name is taken, unlike a renaming
    except FileExistsError:
        raise FileExistsError(f"{path} exists and is left as it is; give another name") from None
    finally:
        partial.unlink()


def compose(
    name: str, given: Given, seen: Sequence[Seen], found: Sequence[Finding], *, platform: str
) -> str:
    """The text of the config file.

    Args:
      name: of the project and its work folder.
      given: by the user.
      seen: what `inspection` saw of the images.
      found: what `findings` says of them.
      platform: of this machine's devices, as JAX names it; it decides the variant.

    Raises:
      FileNotFoundError: there are no outlines.
      ValueError: outlines or images that cannot be used.
    """
    shapes = _outlines(given)
    variant, why = variants.choose("auto", platform=platform)
    largest, typical = _sizes(shapes)
    side = min(min(i.height_px, i.width_px) for i in seen)
    usual = _tile_of(variant)
    tile = fit_tile(largest, shapes.shape[1], side, usual)
    fixed = tile != usual
    heights, widths = {i.height_px for i in seen}, {i.width_px for i in seen}
    sizes = sorted({f"{i.pixel_size_nm:.4g}" for i in seen if i.pixel_size_nm is not None})
    sources = sorted({i.pixel_size_from for i in seen})
    lines = [
        f"config.name = {_quote(name)}  # the work folder is runs/{name}",
        "config.variant = variants.check_name(variant)",
        "",
        *_comment(f"{len(seen)} micrographs of {_range(heights)} x {_range(widths)} px."),
        f"config.data.images = {_quote(given.images.resolve())}",
        *_comment(f"{len(shapes)} outlines, about {typical:.0f} and up to {largest} px wide."),
        f"config.data.outlines = {_quote(given.outlines.resolve())}",
    ]
    across = inspection.typical_diameter(seen)
    if across > 0:
        covered = sorted(100 * i.foreground for i in seen)
        lines += _comment(
            f"Particles cover {covered[0]:.0f} to {covered[-1]:.0f} % of an image and are about "
            f"{across:.0f} px across, by a plain threshold."
        )
    if sizes:
        lines += _comment(f"Pixels: {', '.join(sizes[:4])} nm, from: {'; '.join(sources[:3])}.")
    else:
        lines += _comment("No pixel size is known: give one of these, or results stay in pixels.")
        lines += ["# config.data.pixel_size_nm = 2.5"]
        lines += ["# config.data.scale_bar_nm, config.data.scale_bar_px = 500.0, 120.0"]
    lines += [f"config.data.{key} = {value!r}" for key, value in given.data.items()]
    if fixed:
        lines += _comment(
            f"Tiles of {tile} px instead of variant {variant}'s {usual} ({why}): the outlines are "
            f"up to {largest} px wide, the images at least {side}. Time grows with their area."
        )
        lines += [f'tile = {{"tile_px": ({tile}, {tile})}}']
        tiled = ", ".join(map(_quote, TILED))
        lines += [f"config.fixed = {{section: tile for section in ({tiled})}}"]
    else:
        lines += _comment(f"The variant's tiles ({usual} px for {variant}: {why}) suit them.")
    lines += _remarks(shapes, typical, seen, found)
    text = _HEAD.format(
        name=name, n=len(seen), m=len(shapes), variant=variant if fixed else "auto"
    ) + textwrap.indent("\n".join([*lines, "return config", ""]), "    ")
    _check(text, variant)
    return text


def _outlines(given: Given) -> np.ndarray:
    """The outlines as a run will see them, (n, s, s): at the micrographs' scale, uncut."""
    config = settings.get_config()
    config.data.images, config.data.outlines = str(given.images), str(given.outlines)
    config.data.update(given.data)
    return inputs.given_outlines(config, Work("."))


_HEAD = '''\
"""{name}: {n} micrographs, {m} outlines.

    semjax run --config={name}.py

Any other setting of semjax/settings.py can be added in the same way. A variant changes some of
them: what is to stay in all variants is set as in config.fixed = {{"masks": {{"n_masks": 500}}}}.
"""

from semjax import settings, variants


def get_config(variant="{variant}"):
    """Settings for {name}; another variant follows a colon: `{name}.py:gpu`."""
    config = settings.get_config()
'''


def fit_tile(largest_px: int, square_px: int, side_px: int, usual_px: int) -> int:
    """Side of the tiles: the variant's, unless outlines need more or images have less.

    Args:
      largest_px: extent of the largest outline.
      square_px: side of the outlines' squares.
      side_px: shortest side of any image.
      usual_px: the variant's tile.

    Returns:
      A multiple of 32.

    Raises:
      ValueError: the outlines do not fit into the images.
    """
    needed = max(ROOM * largest_px, square_px)
    wanted = usual_px if needed <= usual_px else -int(-needed // 32) * 32
    tile = min(wanted, side_px // 32 * 32)
    if tile < max(square_px, SMALLEST_TILE):
        raise ValueError(
            f"the smallest image is {side_px} px high or wide, too little for outlines of "
            f"{largest_px} px and tiles of at least {SMALLEST_TILE} px; leave it out, or draw the "
            "outlines at the images' own scale"
        )
    return tile


def _tile_of(variant: str) -> int:
    config = settings.get_config()
    variants.lay(config, variant, {})
    return min(config.masks.tile_px)


def _sizes(shapes: np.ndarray) -> tuple[int, float]:
    """The largest extent of outlines (n, s, s), and their median equivalent diameter."""
    extents = [shapes.any(axis=axis).sum(axis=1).max() for axis in (1, 2)]
    areas = shapes.reshape(len(shapes), -1).sum(axis=1)
    return int(max(extents)), float(np.sqrt(4 / np.pi * np.median(areas)))


def _remarks(
    shapes: np.ndarray, typical: float, seen: Sequence[Seen], found: Sequence[Finding]
) -> list[str]:
    """What the user should look at, as comments."""
    lines = []
    if len(shapes) < FEW:
        lines += _comment(f"Only {len(shapes)} outlines: about 40 show how the shapes vary.")
    across = inspection.typical_diameter(seen)
    if across > 0 and not 1 / UNLIKE < typical / across < UNLIKE:
        lines += _comment(
            f"The outlines are about {typical:.0f} px across, the images' particles about "
            f"{across:.0f} px: were they drawn at another scale?"
        )
    for finding in found[:4]:
        names = ", ".join(finding.images[:3]) + (", …" if len(finding.images) > 3 else "")
        lines += _comment(f"Seen in {names}: {finding.what}.")
    if found:
        names = sorted({name for f in found for name in f.images if len(f.images) < len(seen) / 2})
        if names:
            few = ", ".join(map(_quote, names[:6]))
            lines += [f"# config.data.exclude = ({few},)  # leaves images out"]
        lines += ["# `semjax inspect` says what to do about each."]
    return lines


def _quote(text: object) -> str:
    """A text as Python and the project's formatter write it."""
    return json.dumps(str(text), ensure_ascii=False)


def _range(numbers: Collection[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 92)]


def _check(text: str, variant: str) -> None:
    """Loads the config as `semjax run` will, and refuses what would not run."""
    namespace: dict = {}
    exec(compile(text, "config", "exec"), namespace)
    config = namespace["get_config"]()
    variants.lay(config, variant, {})
    if problems := validate.check(config):
        raise ValueError(validate.describe(problems))


def look_at(given: Given) -> tuple[list[Seen], list[Finding]]:
    """Looks at the images as the config will have them read.

    Raises:
      ValueError: not one image can be read, or some cannot; the message names them.
    """
    d = given.data
    size, source = d.get("pixel_size_nm", 0.0), "given"
    if "scale_bar_px" in d:
        size, source = d["scale_bar_nm"] / d["scale_bar_px"], "scale bar"
    dark = bool(d.get("dark_particles", False))
    result = inspection.look_at(
        given.images, pixel_size_nm=size, pixel_size_from=source, dark_particles=dark
    )
    if result.unreadable:
        raise ValueError(
            f"{len(result.unreadable)} images cannot be read; mend them or move them away:\n"
            + "\n".join(f"  {error}" for error in result.unreadable.values())
        )
    return result.seen, findings.judge(result.seen, dark_particles=dark)
