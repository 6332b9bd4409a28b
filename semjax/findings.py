"""What would spoil a result, in plain words, each with its cure: judged from `inspection`.

Thresholds were set on simulated micrographs and on 40 real ones. The largest values of clean ones
were: edges 4.0 px, white 0.008, rows with streaks 0.010, drift 0.06, overlap 0.15.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from semjax.analysis import overlap
from semjax.inspection import Seen

BLURRED_PX = 5.0  # width of the sharpest edges
CLIPPED = 0.015  # share of pixels at an end of the range
STREAKS = 0.02  # share of rows
DRIFT = 0.2  # of the contrast, from side to side
OVERLAP = 0.2  # correlation times root of the common share
DARK = 0.6  # level of the ground between black and white
LEVELS = 32  # grey values between black and white
MIXED = 0.02  # relative difference of pixel sizes
FAR = 0.2  # relative difference of a given pixel size from the tags'
SMALLEST_PX, LARGEST_PX = 10.0, 120.0  # diameters that can be measured, and in reasonable time
GOOD_PX = 50  # a diameter that is enough
_NAMES = 8  # of images, said of each finding


class Finding(NamedTuple):
    """Something that would spoil the result: what, in which images, and what to do."""

    what: str
    images: tuple[str, ...]
    cure: str


class Rule(NamedTuple):
    """What is wrong with single images: a word, when, how far in words, and the cure."""

    word: str
    holds: Callable[[Seen], bool]
    detail: Callable[[Seen], str]
    cure: str


RULES = (
    Rule(
        "several images in one file, of which only the first is read",
        lambda i: i.planes > 1,
        lambda i: f"{i.planes}",
        "save them one by one (Fiji: Image > Stacks > Stack to Images)",
    ),
    Rule(
        "a bar is left at the edge",
        lambda i: max(i.flat_px) > 0,
        lambda i: f"{i.flat_px[0]} rows at the top, {i.flat_px[1]} at the bottom",
        "give the rows at the bottom as data.info_bar_px; cut those at the top off the files",
    ),
    Rule(
        "a scale bar or a frame is drawn into the image",
        lambda i: bool(i.bars),
        lambda i: (
            f"{i.bars[0].width} x {i.bars[0].height} px at row {i.bars[0].row}, "
            f"column {i.bars[0].col}"
        ),
        "it may be taken for a particle: save the image without it, or leave it out "
        "(data.exclude); where it is the only calibration, give it as "
        "--scale_bar=LENGTHnm:WIDTH, for example 500nm:120",
    ),
    Rule(
        "saturated",
        lambda i: max(i.white, i.black) > CLIPPED,
        lambda i: f"{max(i.white, i.black):.1%} of the pixels are pure white or black",
        "what is lost there makes particles larger: take the image with less contrast or "
        "brightness, or leave it out",
    ),
    Rule(
        "blurred",
        lambda i: i.edge_px > BLURRED_PX,
        lambda i: f"the sharpest edges are {i.edge_px:.1f} px wide, in sharp images 3 to 4",
        "focus again and correct the astigmatism, or leave it out; bin an image that was enlarged",
    ),
    Rule(
        "streaks along the rows: charging, or an unstable beam",
        lambda i: i.streaks > STREAKS,
        lambda i: f"in {i.streaks:.0%} of the rows",
        "coat the sample, or take a lower voltage or faster scans that are averaged; or leave "
        "it out",
    ),
    Rule(
        "the ground's brightness drifts: charging, or shading",
        lambda i: i.drift > DRIFT,
        lambda i: f"by {i.drift:.0%} of the contrast from side to side",
        "subtract the background (Fiji: Process > Subtract Background, with a radius of several "
        "particles)",
    ),
    Rule(
        "hardly any contrast",
        lambda i: i.levels < LEVELS,
        lambda i: f"{i.levels:.0f} grey levels are used",
        "take the image with more contrast, or save it with 16 bits",
    ),
    Rule(
        "particles are too small to measure a shape",
        lambda i: i.diameter_px < SMALLEST_PX,
        lambda i: f"about {i.diameter_px:.0f} px across",
        "take the image at a higher magnification",
    ),
)


def judge(seen: Sequence[Seen], *, dark_particles: bool = False) -> list[Finding]:
    """Everything that is wrong, the set of images first.

    Args:
        seen: the images.
        dark_particles: as they were looked at.
    """
    found = [*_judge_calibration(seen), *_judge_particles(seen, dark_particles)]
    for rule in RULES:
        bad = [image for image in seen if rule.holds(image)]
        if bad:
            what = f"{rule.word} ({_first(map(rule.detail, bad))})"
            found.append(Finding(what, tuple(i.name for i in bad), rule.cure))
    return [*found, *_find_overlaps(seen)]


def _judge_calibration(seen: Sequence[Seen]) -> Iterable[Finding]:
    """Pixel sizes that are missing, differ or contradict each other."""
    unknown = tuple(i.name for i in seen if i.pixel_size_nm is None)
    if unknown:
        yield Finding(
            "no pixel size in the file, its tags or a file beside it",
            unknown,
            "give data.pixel_size_nm, or a scale bar (here --scale_bar=500nm:120); without, "
            "results stay in pixels",
        )
    known = {i.name: i.pixel_size_nm for i in seen if i.pixel_size_nm is not None}
    if not known:
        return
    # The most common size is that of the run; other images belong elsewhere.
    usual = max(
        known.values(), key=lambda size: sum(_near(other, size, MIXED) for other in known.values())
    )
    mixed = {name: size for name, size in known.items() if not _near(size, usual, MIXED)}
    if mixed:
        sizes = _first(f"{size:.4g} nm a pixel" for size in mixed.values())
        yield Finding(
            f"another magnification than most ({sizes}, most have {usual:.4g} nm)",
            tuple(mixed),
            "a run learns one magnification: move them to a folder of their own",
        )
    tagged = {i.name: i.tagged_nm for i in seen if i.tagged_nm is not None}
    against = [n for n in known if n in tagged and not _near(known[n], tagged[n], FAR)]
    if against:
        yield Finding(
            f"the given pixel size is far from the tags' ({known[against[0]]:.4g} nm, not "
            f"{_first(f'{tagged[name]:.4g} nm' for name in against)})",
            tuple(against),
            "measure the scale bar again; what is given counts",
        )


def _judge_particles(seen: Sequence[Seen], dark_particles: bool) -> Iterable[Finding]:
    """What most of the images must show before it is said."""
    dark = tuple(i.name for i in seen if i.ground > DARK)
    if not dark_particles and len(dark) > len(seen) / 2:
        yield Finding(
            "the ground is brighter than what lies on it: dark particles?",
            dark,
            "set data.dark_particles=True (here --dark_particles)",
        )
    large = [i for i in seen if i.diameter_px > LARGEST_PX]
    if len(large) > len(seen) / 2:
        size = float(np.median([i.diameter_px for i in large]))
        yield Finding(
            f"particles are about {size:.0f} px across: training takes long and gains nothing",
            tuple(i.name for i in large),
            f"bin images and outlines by {round(size / GOOD_PX)} (Fiji: Image > Transform > Bin)",
        )


def _find_overlaps(seen: Sequence[Seen]) -> Iterable[Finding]:
    """Images of one field. Only images of one size are compared."""
    sizes: dict[tuple[int, int], list[Seen]] = {}
    for image in seen:
        sizes.setdefault((image.height_px, image.width_px), []).append(image)
    for alike in sizes.values():
        for pair in overlap.find([image.thumb for image in alike], least=OVERLAP):
            first, second = alike[pair.first], alike[pair.second]
            rows, cols = (n * first.factor for n in (pair.rows, pair.cols))
            what = "the same field twice"
            if pair.share < 0.98:
                what = (
                    f"two images have {pair.share:.0%} of the field in common (the second lies "
                    f"{rows} px down and {cols} px right of the first)"
                )
            yield Finding(
                what,
                (first.name, second.name),
                f"its particles count twice: leave one out, data.exclude=({second.name!r},)",
            )


def _near(value: float, other: float, tolerance: float) -> bool:
    return abs(value - other) <= tolerance * other


def _first(texts: Iterable[str]) -> str:
    """The first text, and whether there are others."""
    texts = list(texts)
    return f"{texts[0]} and the like" if len(set(texts)) > 1 else texts[0]


def describe(found: Sequence[Finding], unreadable: Mapping[str, str]) -> str:
    """All findings in words, and what could not be read, a paragraph each."""
    parts = []
    for finding in found:
        names = ", ".join(finding.images[:_NAMES])
        if len(finding.images) > _NAMES:
            names += f" and {len(finding.images) - _NAMES} more"
        parts.append(f"! {finding.what}\n    in:    {names}\n    to do: {finding.cure}")
    if unreadable:
        lines = "".join(f"\n    {name}: {error}" for name, error in unreadable.items())
        parts.append(f"! not readable: {len(unreadable)}{lines}")
    return "\n".join(parts) or "Nothing was found that would spoil the result."
