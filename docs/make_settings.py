"""Writes `docs/settings.md` from the comments of `semjax/settings.py`.

python docs/make_settings.py
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from semjax import settings
from semjax.allowed import CHOICES, RANGES, SPANS
from semjax.report.page import PURPOSE
from semjax.variants import VARIANTS

PAGE = Path(__file__).with_name("settings.md")
SHOWN = ("gpu", "cpu", "v100", "v120")
SECTIONS = {"": "The run", "data": "data: what goes in"}
TOP = """\
# Settings

Made from the comments of [`semjax/settings.py`](../semjax/settings.py), not to be edited here:
`python docs/make_settings.py` writes it.

Every setting can be given on the command line, `--config.masks.n_masks=500`, or in a config file
of your own (see [`configs/`](../configs)). The last column has what the variants change:
`--config=…:cpu` or `:gpu`, chosen by the device if you name none; `:v100` and `:v120` are the
authors' published recipes. A value on the command line wins over them, and so does `config.fixed`
in a config file; what else of the file a variant replaces is told in a warning. Bounds of a range
are allowed themselves. All settings are checked before the first second of training, also whether
they fit each other, and all problems are told at once.

## How to choose

Run with the defaults first, on a few images, and look at `report.html`. Then, in this order:

1. **Scale.** `data.pixel_size_nm`, or a scale bar, where the instrument writes no tags. Outlines
   drawn at another pixel size are scaled where it is known: `data.outline_pixel_size_nm`.
2. **Contrast.** Particles have to be brighter than the ground: `data.dark_particles` turns images
   over.
3. **Tiles.** `masks.tile_px` and `translate.tile_px` should hold several particles: in the tiles
   of 128 px of the simulated micrographs there are about eight, each some 30 px across. Too small
   a tile shows no agglomerate; one twice as wide costs four times the time. A tile has to be at
   least as large as the square of the largest outline, and no image may be smaller than a tile.
   Sides are multiples of 16.
4. **Density.** `masks.density=match` gives the masks the foreground of your images, as blur and
   Li's threshold see it. If the translation paints particles where there are none, or leaves many
   out, this is the first thing to look at: set `masks.density=count` and `masks.n_particles`
   where that threshold fails on your images.
5. **Sizes.** An outline is drawn at its own size times a random factor: `masks.size`,
   `masks.size_sigma` and `masks.size_range`. Outlines that already show the whole range of sizes
   need `masks.size=none`; a few outlines of typical particles need the default.
6. **Agglomerates.** `masks.noise_frequency`, `masks.max_overlap` and `masks.min_visible`: masks
   should look like your images drawn in black and white, with as many pieces per foreground (the
   report has both numbers). `2_masks/masks.png` shows them; only `--stages=shapes,masks` has to
   run for it.
7. **Steps.** `translate.steps` takes about half of the time. Look at `3_translate/samples`: more
   steps are of no use when the samples change no more.

A training that goes wrong in one of the known ways says so in a warning, with the setting to
change.
"""


class Setting(NamedTuple):
    """One line of `settings.py`."""

    section: str  # "" for those of the whole run
    name: str
    default: str  # as it is written there
    meaning: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name


def read() -> list[Setting]:
    """The settings in the order of the file; comments on lines of their own belong to the next."""
    found, section, above = [], {"c": ""}, []
    for line in Path(settings.__file__).read_text(encoding="utf-8").splitlines():
        if comment := re.fullmatch(r"    # (.*)", line):
            above.append(comment[1])
        elif begins := re.fullmatch(r"    c\.(\w+) = (\w) = ConfigDict\(\)", line):
            section[begins[2]] = begins[1]
        elif given := re.fullmatch(r"    (\w)\.(\w+) = (.+?)(?:  # (.*))?", line):
            meaning = " ".join([*above, given[4] or ""]).strip()
            found.append(Setting(section[given[1]], given[2], given[3], meaning))
            above = []
        else:
            above = []
    return found


def write() -> str:
    """The page's text."""
    lines, section = [TOP.rstrip()], None
    for setting in sorted(read(), key=lambda setting: setting.section != ""):
        if setting.section != section:
            section = setting.section
            lines += ["", f"## {SECTIONS.get(section, section)}", ""]
            if section in PURPOSE:
                lines += [PURPOSE[section], ""]
            lines += [
                "| setting | default | meaning | allowed | variants |",
                "|---|---|---|---|---|",
            ]
        meaning = setting.meaning.replace("<", "\\<")
        cells = (f"`{setting.path}`", f"`{setting.default}`", meaning)
        lines.append(
            "| " + " | ".join((*cells, _allowed(setting.path), _variants(setting.path))) + " |"
        )
    return "\n".join(lines) + "\n"


def _allowed(path: str) -> str:
    if path == "variant":
        return ", ".join(f"`{name}`" for name in ("auto", *VARIANTS, '""'))
    if path in CHOICES:
        return ", ".join(f"`{choice}`" for choice in CHOICES[path])
    if path in SPANS:
        return "two numbers, {} to {}".format(*SPANS[path])
    low, high = RANGES.get(path, (None, None))
    if low is None:
        return "" if high is None else f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _variants(path: str) -> str:
    default = _default(path)
    differ = {name: VARIANTS[name].get(path, default) for name in SHOWN}
    return ", ".join(f"{name} `{value!r}`" for name, value in differ.items() if value != default)


def _default(path: str) -> Any:
    value = settings.get_config()
    for part in path.split("."):
        value = value[part]
    return value


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
    print(f"{len(read())} settings: {PAGE}")
