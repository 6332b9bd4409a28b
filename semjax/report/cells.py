"""Samples, and the pieces that the size report's sections are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from semjax.report import figures, markup
from semjax.report.measured import Measured

# Measurands of `semjax.analysis.summary.describe`, in the words of the report.
NAMES = {
    "min_feret": "minimum Feret diameter",
    "max_feret": "maximum Feret diameter",
    "equivalent_circular_diameter": "equivalent circular diameter",
    "perimeter": "perimeter",
    "area": "area",
    "aspect_ratio": "aspect ratio",
    "circularity": "circularity",
    "solidity": "solidity",
}


class Sample(NamedTuple):
    """A measured folder and what `semjax.analysis.summary.describe` says of it."""

    measured: Measured
    described: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As in tables and downloads."""
        return self.measured.name

    def sizes(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Minimum Feret diameters of the particles measured, and their weights or None."""
        table, facts = self.measured.edited, self.measured.facts
        table = table[table["kept"]]
        if facts["border"] == "weights":
            table = table[table["border_weight"] > 0]
        values = table[f"min_feret_{facts['unit']}"].to_numpy(float)
        weights = table["border_weight"].to_numpy(float) if facts["border"] == "weights" else None
        return values, weights


def drawing(svg: bytes, name: str, caption: str) -> str:
    """A diagram as a figure that can be downloaded; `name` becomes part of the file's."""
    text = escape(caption)
    return (
        f'<figure class="drawing" data-name="{escape(name)}"><img alt="{text}" '
        f'src="{markup.data_uri(svg, "image/svg+xml")}"><figcaption>{text}</figcaption></figure>'
    )


def section(name: str, heading: str, *parts: str) -> str:
    """A section of the page, of pieces of HTML."""
    return (
        f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n' + "\n".join(parts) + "\n</section>"
    )


def table(samples: Sequence[Sample], rows: Iterable, *, whole: bool = False) -> str:
    """Rows of a name and a function of what is described (of the whole sample if `whole`)."""
    head = ["", *(s.name for s in samples)] if len(samples) > 1 else ["", ""]
    lines = [[name, *(read(s if whole else s.described) for s in samples)] for name, read in rows]
    return f'<div class="facing">{markup.table(head, lines)}</div>'


def note(text: str) -> str:
    """A quiet paragraph."""
    return f'<p class="quiet">{escape(text)}</p>'


def remarks(samples: Sequence[Sample], read: Callable[[Mapping], str | None]) -> list[str]:
    """A sentence of each sample that has one, with its name where there are several."""
    found = {sample.name: read(sample.described) for sample in samples}
    if len(set(found.values())) == 1:
        return [text for text in list(found.values())[:1] if text]
    return [f"{name}: {text}" for name, text in found.items() if text]


def few(texts: Iterable[str]) -> str:
    """The first three of different texts."""
    different = list(dict.fromkeys(texts))
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return "; ".join(different[:3]) + more if different else "–"


def tail(sample: Sample, samples: Sequence[Sample]) -> str:
    """What keeps names of several samples' drawings apart."""
    return f"_{samples.index(sample) + 1}" if len(samples) > 1 else ""


def in_unit(unit: str) -> str:
    """A unit behind a heading; nothing for ratios."""
    return "" if unit == "1" else f" ({unit})"


def number(described: Mapping) -> Mapping:
    """Number-based statistics of the minimum Feret diameter."""
    return described["measurands"]["min_feret"]["number"]


def value(value: object) -> str:
    """A result for reading."""
    return markup.format_value(value)


def percent(share: float | None) -> str:
    """A share for reading."""
    return "–" if share is None else f"{figures.format_number(100 * share)} %"


def with_interval(number: Mapping, key: str, unit: str) -> str:
    """A statistic and, where there is one, its interval: 232 nm (225 to 240)."""
    text, ends = f"{value(number[key])} {unit}".strip(), number.get(f"{key}_interval")
    return text if ends is None else f"{text} ({value(ends[0])} to {value(ends[1])})"
