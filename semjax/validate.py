"""Checks of settings and inputs before the first second of training, all problems at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from absl import logging
from ml_collections import ConfigDict

from semjax import settings, variants
from semjax.allowed import CHOICES, RANGES, SPANS

TRAINED = ("shapes", "translate", "segment", "classify")
STRIDE = 16  # of the MultiResUNet, four poolings
THIN = 0.5  # of an outline's area is to be left when it is smoothed
FEW = 0.1  # share of outlines of which that need not be true
SMALLEST = {"v100": 32, "v120": 64}  # tiles below leave a discriminator nothing to judge


class Problem(NamedTuple):
    """One thing that cannot work."""

    name: str  # the setting, or the file
    value: Any
    allowed: str
    cure: str


def describe(problems: Sequence[Problem]) -> str:
    """All problems in words, one a line."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"  {p.name} is {p.value!r}, but must be {p.allowed}; {p.cure}" for p in problems]
    return f"{count} with the settings or inputs:\n" + "\n".join(lines)


def check(config: ConfigDict) -> list[Problem]:
    """Finds every setting that cannot work, for all stages at once.

    Args:
        config: settings, the variant laid over them.

    Returns:
        The problems; an empty list if there are none.
    """
    if problems := _check_numbers(config):
        return problems  # what follows compares them

    def expect(ok: bool, name: str, allowed: str, cure: str) -> None:
        if not ok:
            problems.append(Problem(f"config.{name}", _get(config, name), allowed, cure))

    names = ("", "auto", *variants.VARIANTS)
    expect(config.variant in names, "variant", f"one of {', '.join(names[1:])}", "choose one")
    for name, choices in CHOICES.items():
        expect(_get(config, name) in choices, name, f"one of {', '.join(choices)}", "choose one")
    for name, (low, high) in RANGES.items():
        value = _get(config, name)
        ok = (low is None or value >= low) and (high is None or value <= high)
        expect(ok, name, _say_range(low, high), "set it within")
    for name, (low, high) in SPANS.items():
        value = _get(config, name)
        ok = len(value) == 2 and low <= value[0] <= value[1] <= high
        expect(ok, name, f"two numbers, the smaller first, within {low} and {high}", "set both")

    for section in TRAINED:
        log_every, save_every = config[section].log_every, config[section].save_every
        expect(log_every >= 1, f"{section}.log_every", "at least 1", "set it higher")
        expect(
            save_every >= 1 and save_every % max(log_every, 1) == 0,
            f"{section}.save_every",
            f"a multiple of config.{section}.log_every ({log_every})",
            "so that no state is saved unexamined",
        )
        rate = config[section].learning_rate
        expect(0 < rate < 1, f"{section}.learning_rate", "between 0 and 1", "1e-4 is a start")
    _check_tiles(config, expect)
    _check_data(config, expect)
    _check_sources(config, expect)
    size_range = config.masks.size_range
    expect(
        config.masks.size == "uniform"
        or len(size_range) != 2  # said above already, as is a wrong order
        or size_range[0] > size_range[1]
        or size_range[0] <= 1 <= size_range[1],
        "masks.size_range",
        "around 1, the outlines' own size",
        'widen it, or set config.masks.size="uniform"',
    )
    expect(
        config.masks.n_masks >= 2 or not _uses_shapes(config),
        "masks.n_masks",
        "at least 2",
        "one is held out from training on the others",
    )
    expect(
        config.translate.pool == 0 or config.translate.pool >= config.translate.batch_size,
        "translate.pool",
        f"0 or at least config.translate.batch_size ({config.translate.batch_size})",
        "set it higher",
    )
    published = config.data.source == "tio2"
    expect(
        config.segment.pairs != "tsem" or published,
        "segment.pairs",
        "another choice than 'tsem', unless config.data.source is 'tio2'",
        "only the published data set has such files",
    )
    expect(
        config.classify.labels != "manual" or published or bool(config.data.classes),
        "classify.labels",
        "'synthesis', unless config.data.classes names a folder of class masks",
        "give --config.data.classes=FOLDER",
    )
    expect(
        config.measure.split != "markers" or config.segment.target == "instances",
        "measure.split",
        'watershed when config.segment.target is "mask"',
        "or set config.segment.target=instances",
    )
    return problems


def _check_numbers(config: ConfigDict) -> list[Problem]:
    """Settings of several numbers that hold something else, as the command line lets them."""
    problems = []
    for section, own in settings.get_config().items():
        for name, default in own.items() if isinstance(own, ConfigDict) else ():
            if not (isinstance(default, tuple) and default):
                continue
            kinds = (int,) if isinstance(default[0], int) else (int, float)
            value = config[section][name]
            if not all(type(number) in kinds for number in value):
                allowed = f"{'whole ' if kinds == (int,) else ''}numbers like {default}"
                problems.append(Problem(f"config.{section}.{name}", value, allowed, "correct it"))
    return problems


def _check_tiles(config: ConfigDict, expect) -> None:
    stride = 2**config.translate.generator_downs
    strides = {
        "masks.tile_px": stride,  # whole masks are translated
        "translate.tile_px": stride,
        "segment.tile_px": STRIDE,
        "classify.tile_px": STRIDE,
        "measure.tile_px": STRIDE,
    }
    valid = []
    for name, stride in strides.items():
        tile = _get(config, name)
        ok = len(tile) == 2 and all(n >= STRIDE and n % stride == 0 for n in tile)
        expect(ok, name, f"rows and columns, each a multiple of {stride}", "as the network needs")
        valid.append(ok)
    if not all(valid):
        return
    masks = config.masks.tile_px
    for section in ("translate", "segment", "classify"):
        synthetic = section == "translate" or _uses_synthesis(config, section)
        tile = config[section].tile_px
        expect(
            not synthetic or (tile[0] <= masks[0] and tile[1] <= masks[1]),
            f"{section}.tile_px",
            f"at most config.masks.tile_px {tuple(masks)}",
            "tiles are cut from the synthetic pairs",
        )
    smallest = SMALLEST.get(config.translate.discriminator, 0)
    expect(
        min(config.translate.tile_px) >= smallest,
        "translate.tile_px",
        f"at least {smallest} for the discriminator {config.translate.discriminator}",
        "take larger tiles",
    )


def _check_data(config: ConfigDict, expect) -> None:
    data = config.data
    for one, other in (("scale_bar_nm", "scale_bar_px"), ("scale_bar_px", "scale_bar_nm")):
        expect(
            data[one] > 0 or not data[other] > 0,
            f"data.{one}",
            f"above 0 beside config.data.{other} ({data[other]})",
            "a scale bar is given by its length in nm and in px",
        )
    expect(
        not (data.pixel_size_nm > 0 and data.scale_bar_nm > 0),
        "data.pixel_size_nm",
        f"0 beside config.data.scale_bar_nm ({data.scale_bar_nm})",
        "give one of the two",
    )
    expect(
        data.contrast_low < data.contrast_high,
        "data.contrast_low",
        f"below config.data.contrast_high ({data.contrast_high})",
        "swap them",
    )
    if data.source == "folder":
        expect(
            bool(data.images) and Path(data.images).is_dir(),
            "data.images",
            "an existing folder of micrographs",
            "give --config.data.images=FOLDER",
        )
        expect(
            not _uses_shapes(config) or (bool(data.outlines) and Path(data.outlines).exists()),
            "data.outlines",
            "an existing file or folder of masks, label images, ROIs, LabelMe or COCO JSON",
            "give --config.data.outlines=FOLDER",
        )
        needs_truth = config.segment.pairs != "synthetic" or config.classify.labels == "manual"
        expect(
            bool(data.truth) or not needs_truth,
            "data.truth",
            "a folder of masks named like the images",
            "give --config.data.truth=FOLDER, or train on synthetic pairs",
        )
        expect(
            bool(data.truth) or not data.classes,
            "data.classes",
            "empty without config.data.truth, whose particles it judges",
            "give --config.data.truth=FOLDER, too",
        )
    for name in ("truth", "classes"):
        expect(
            not data[name] or Path(data[name]).is_dir(),
            f"data.{name}",
            "an existing folder of masks named like the images",
            "correct it or leave it empty",
        )
    if data.source == "tio2":
        expect(
            not data.folder or Path(data.folder).is_dir(),
            "data.folder",
            "an existing copy of the published data",
            "leave it empty to have the data fetched",
        )
    if data.source == "phantom":
        section = "masks" if config.masks.source == "phantom" else "translate"
        smallest = max(config[section].tile_px)
        expect(
            len(data.phantom_px) == 2 and min(data.phantom_px) >= smallest,
            "data.phantom_px",
            f"rows and columns of at least {smallest}, the tile of config.{section}.tile_px",
            "draw larger images or take smaller tiles",
        )


def _check_sources(config: ConfigDict, expect) -> None:
    """What only a simulation knows can only be had of a simulation."""
    simulated = config.masks.source == "phantom"
    expect(
        not simulated or config.data.source == "phantom",
        "masks.source",
        "'synthesis', unless config.data.source is 'phantom'",
        "the true masks of new micrographs are known only where these are simulated",
    )
    expect(
        config.translate.source != "phantom" or simulated,
        "translate.source",
        "'cyclegan', unless config.masks.source is 'phantom'",
        "masks that were assembled have no micrographs but those that are painted",
    )


def check_inputs(
    images: Sequence | None,
    outlines: Any,
    config: ConfigDict,
    *,
    given: Mapping[str, set[str]] = MappingProxyType({}),
) -> list[Problem]:
    """Finds inputs that cannot work, from what has been read.

    Args:
        images: micrographs, each with `name`, `path` and `image` (h, w), or None where none are
            needed.
        outlines: uint8 (n, s, s), or None where no outlines are needed.
        config: settings, the variant laid over them.
        given: for the stages that are to learn from given masks, names of the images with such.

    Returns:
        The problems; an empty list if there are none.
    """
    problems = []
    for section, names in given.items():
        if len(names) < 2:
            what = "masks and classes" if section == "classify" else "masks"
            problems.append(
                Problem(
                    f"the number of images with {what} to train {section} on",
                    len(names),
                    "at least 2, for one is held out",
                    "name masks like their images, look at config.data.truth and .test_images",
                )
            )
    if images is not None and not images:
        problems.append(
            Problem(
                f"number of images in {config.data.images or config.data.source}",
                0,
                "at least 1",
                "look at config.data.images and config.data.exclude",
            )
        )
    for micrograph in images or ():
        height, width = micrograph.image.shape
        sections = ["masks", "translate"] if _uses_shapes(config) else []
        sections += [section for section, names in given.items() if micrograph.name in names]
        tiles = {name: tuple(config[name].tile_px) for name in sections}
        large = [name for name, tile in tiles.items() if height < tile[0] or width < tile[1]]
        if large:
            problems.append(
                Problem(
                    f"the size of {micrograph.path}",
                    (height, width),
                    f"at least a tile of config.{large[0]}.tile_px, {tiles[large[0]]}",
                    "leave the image out by config.data.exclude, or set smaller tiles",
                )
            )
    unknown = [m.name for m in images or () if m.pixel_size_nm is None]
    if unknown and len(unknown) < len(images or ()):
        problems.append(
            Problem(
                "the pixel size",
                f"unknown for {', '.join(unknown[:5])}",
                "known for all images or for none",
                "give config.data.pixel_size_nm, or leave images out by config.data.exclude",
            )
        )
    if outlines is not None and len(outlines) == 0:
        problems.append(
            Problem(
                f"number of outlines in {config.data.outlines}",
                0,
                "at least 1",
                "draw some",
            )
        )
    if outlines is not None and config.shapes.method == "wgan":
        problems += _check_opening(outlines, config.shapes.opening_px)
    if outlines is not None and len(outlines) and min(config.masks.tile_px) < outlines.shape[1]:
        problems.append(
            Problem(
                "config.masks.tile_px",
                tuple(config.masks.tile_px),
                f"at least the outlines' square of {outlines.shape[1]} px",
                "take larger tiles",
            )
        )
    return problems


def on_given_masks(config: ConfigDict) -> list[str]:
    """The stages that learn from masks or classes that somebody gave."""
    return [name for name in ("segment", "classify") if not _uses_synthesis(config, name)]


def _check_opening(outlines: Any, opening_px: int) -> list[Problem]:
    """Refuses to smooth drawn outlines so much that thin particles would be missing among them."""
    from semjax.synth.outlines import clean

    areas = [
        (clean(outline[None], opening_px=opening_px).sum(), outline.sum()) for outline in outlines
    ]
    thin = sum(left < THIN * area for left, area in areas)
    if thin <= FEW * len(areas):
        if thin:
            logging.warning(
                "%d of %d outlines are so thin that smoothing (shapes.opening_px) takes half of "
                "them away: such particles will be rare in the masks",
                *(thin, len(areas)),
            )
        return []
    allowed = f"less: {thin} of {len(areas)} outlines are so thin that it takes half of them away"
    return [Problem("config.shapes.opening_px", opening_px, allowed, "set it lower, 0 for none")]


def _uses_synthesis(config: ConfigDict, section: str) -> bool:
    if section == "segment":
        return config.segment.pairs == "synthetic"
    return config.classify.labels == "synthesis"


def _uses_shapes(config: ConfigDict) -> bool:
    return any(_uses_synthesis(config, section) for section in ("segment", "classify"))


def _get(config: ConfigDict, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = value.get(part)
    return value


def _say_range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"between {low} and {high}"
