"""The page on which a person accepts or rejects particles: one HTML file, used offline."""

import math
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from semjax.report import figures, markup

VERDICTS = ("accept", "reject")
SIDE_PX = 360  # of each of a particle's two pictures; has many divisors, for whole-number zooms
FEWEST_PX = 24  # of the micrograph in a picture, so that a speck is seen in its surroundings
FIELD = 2.2  # least side of a picture, in sizes of its particle
FLAT = 0.0  # grey, beyond the micrograph's edge


def draw(image: np.ndarray, mask: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """Shows one particle twice side by side, without and with its outline.

    It is in the middle, with about its own size around it, at a scale of a whole number or its
    inverse. The outline is drawn on the enlarged picture, so that it hides little of a speck.

    Args:
        image: (h, w) float in [-1, 1].
        mask: bool (h, w), the particle.
        box: rows and columns of the mask.

    Returns:
        uint8 (360, 724, 3); grey beyond the image's edge.
    """
    least = max(FEWEST_PX, FIELD * max(side.stop - side.start for side in box))
    zoom = max(
        (k for k in range(1, SIDE_PX) if SIDE_PX % k == 0 and SIDE_PX / k >= least), default=1
    )
    shrink = max(1, math.ceil(least / SIDE_PX))
    side = SIDE_PX * shrink // zoom
    corner = [(extent.start + extent.stop - side) // 2 for extent in box]
    seen = _cut(image, corner, side, FLAT)
    inside = _cut(mask, corner, side, False)
    blocks = (SIDE_PX // zoom, shrink, SIDE_PX // zoom, shrink)
    seen = seen.reshape(blocks).mean((1, 3)).repeat(zoom, 0).repeat(zoom, 1)
    inside = inside.reshape(blocks).any((1, 3)).repeat(zoom, 0).repeat(zoom, 1)
    outlined = figures.overlay(seen, inside.astype(np.uint8), width_px=2)
    gap = 4
    return figures.sheet([seen, outlined], columns=2, gap=gap)[gap:-gap, gap:-gap]


def _cut(plane: np.ndarray, corner: list[int], side: int, beyond) -> np.ndarray:
    """A square of a plane, which may lie partly outside."""
    out = np.full((side, side), beyond, plane.dtype)
    ends = [min(start + side, length) for start, length in zip(corner, plane.shape, strict=True)]
    there = tuple(slice(max(a, 0), b) for a, b in zip(corner, ends, strict=True))
    here = tuple(slice(s.start - a, s.stop - a) for s, a in zip(there, corner, strict=True))
    out[here] = plane[there]
    return out


def render(
    sample: pd.DataFrame,
    pictures: Sequence[np.ndarray],
    *,
    name: str,
    folder: Path,
    run: str,
    seed: int,
    n_kept: int,
    quantile: float,
) -> str:
    """The page as text; its script and style lie beside this file.

    Args:
        sample: a row a particle: image, label and, where there are any, minimum and maximum Feret
            diameters in nm or px.
        pictures: a picture a row, uint8 (h, w, 3).
        name: heading.
        folder: the work folder; its name is part of the key under which the browser keeps answers.
        run: id of the measurement.
        seed: of the sample.
        n_kept: number of particles that the sample was drawn from.
        quantile: of the normal distribution, for the interval.
    """
    rows = zip(sample.to_dict("records"), pictures, strict=True)
    cards = "\n".join(_card(i, row, picture) for i, (row, picture) in enumerate(rows, start=1))
    facts = {
        "run": folder.name,
        "drawn": f"{len(sample)} of {n_kept:,} measured particles",
        "seed": str(seed),
    }
    values = {"folder": folder.name, "run": run, "seed": seed, "quantile": quantile}
    data = "".join(f' data-{key}="{escape(str(value))}"' for key, value in values.items())
    command = f"semjax audit {shlex.quote(str(folder))} --answers=~/Downloads/answers.csv"
    body = f"""\
<header>
<h1>Audit of {escape(name)}</h1>
{markup.facts(facts)}
<p><b>Accept</b> a particle if its outline follows one whole particle, which nothing hides.
<b>Reject</b> background, a part of a particle, several in one, and outlines that you would not
measure. If in doubt, reject; do not pass over the hard ones. Then the share accepted estimates the
precision of all measured particles. Their order is random, so you may stop early.</p>
<p class="quiet">Keys: <kbd>a</kbd> accept, <kbd>r</kbd> reject, <kbd>←</kbd> <kbd>→</kbd> go back
and forth. The same verdict again takes it back. Answers stay in this browser until you save them.
</p>
<noscript><p class="quiet">Without JavaScript, write your verdicts into the column of sample.csv,
save it as answers.csv, and run the command at the end of this page.</p></noscript>
</header>
<div class="bar">
<div><progress max="{len(sample)}" value="0"></progress>
<output id="count" aria-live="polite"></output></div>
<button type="button" id="save">Save answers</button>
</div>
<main id="cards"{data}>
{cards}
</main>
<footer><p class="quiet">Then count the answers; give the file where your browser saved it:</p>
<pre>{escape(command)}</pre></footer>"""
    here = Path(__file__)
    style = here.with_name("audit.css").read_text(encoding="utf-8")
    script = here.with_name("audit.js").read_text(encoding="utf-8")
    return markup.document(f"Audit of {name}", body, style=style, script=script)


def _card(number: int, row: Mapping, picture: np.ndarray) -> str:
    image, label = escape(str(row["image"])), row["label"]
    buttons = "".join(
        f'<button type="button" value="{verdict}" aria-pressed="false">'
        f"{verdict.capitalize()}</button>"
        for verdict in VERDICTS
    )
    return (
        f'<article data-image="{image}" data-label="{label}">'
        f'<img src="{markup.embed(picture)}" alt="particle {label} of {image}, and its outline">'
        f'<div class="judged"><p>{number}. {image}, particle {label}<span>{_size(row)}</span></p>'
        f"<div>{buttons}</div></div></article>"
    )


def _size(row: Mapping) -> str:
    """Its Feret diameters, the lesser first: 196 × 267 nm."""
    for unit in ("nm", "px"):
        sizes = [row.get(f"{which}_feret_{unit}") for which in ("min", "max")]
        if all(map(markup.is_number, sizes)):
            return f"Feret {' × '.join(map(figures.format_number, sizes))} {unit}"
    return ""
