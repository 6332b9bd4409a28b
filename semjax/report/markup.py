"""Pieces of HTML: figures with embedded pictures, tables, numbers and names for reading."""

import base64
import math
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from numbers import Real
from pathlib import Path
from typing import TypeGuard

import numpy as np
from PIL import Image

from semjax.report import figures

WIDEST_PX = 1200
LARGEST_BYTES = 300_000  # of one picture; some twenty of them stay below 10 MB as base64


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page that needs no other file: the report's style, and what is added to it."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8") + style
    script = f"\n<script>\n{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}{script}\n</body>\n</html>\n"
    )


def figure(picture: np.ndarray, caption: str, *, is_diagram: bool = False) -> str:
    """A picture, (h, w) or (h, w, 3), embedded, with its caption."""
    kind = ' class="diagram"' if is_diagram else ""
    text = escape(caption)
    return (
        f'<figure{kind}><img src="{embed(picture)}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def embed(picture: np.ndarray) -> str:
    """A picture as a data URI of at most 400 kB: PNG where that is small, else JPEG."""
    image = Image.fromarray(figures.to_rgb(picture))
    image.thumbnail((WIDEST_PX, 2 * WIDEST_PX))
    data, kind = _encode(image, "PNG", optimize=True), "png"
    while len(data) > LARGEST_BYTES:
        data, kind = _encode(image, "JPEG", quality=84, subsampling=0), "jpeg"
        image = image.resize([max(1, side * 4 // 5) for side in image.size])
    return data_uri(data, f"image/{kind}")


def data_uri(data: bytes, kind: str) -> str:
    """A file's content as an address, so that a page holds it; `kind` is such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _encode(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def facts(values: Mapping[str, str], *, style: str = "facts") -> str:
    """Pairs of name and value; empty values are left out."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in values.items()
        if value
    )
    return f'<dl class="{style}">{items}</dl>' if items else ""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table that scrolls in itself; the first column names the rows."""
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for first, *rest in rows:
        numbers = "".join(f"<td>{escape(format_value(value))}</td>" for value in rest)
        lines.append(f'<tr><th scope="row">{escape(format_value(first))}</th>{numbers}</tr>')
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def format_duration(seconds: float) -> str:
    """4.2 s, 48 s, 3 min 20 s, 4 h 18 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_value(value: object) -> str:
    """A result for reading: numbers rounded, lists with commas, a dash for nothing."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value))
    return figures.format_number(value) if is_number(value) else str(value)


def format_setting(value: object) -> str:
    """A setting as it would be typed."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(format_setting, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def format_name(name: str) -> str:
    """A column's or a key's name for reading: min_feret_nm becomes min feret (nm)."""
    for ending, unit in [("_px", "px"), ("_nm", "nm"), ("_nm2", "nm²"), ("_px2", "px²")]:
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ").replace(".", " ")


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def mapping(value: object) -> Mapping:
    """The value, or an empty mapping in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def flatten(values: Mapping, prefix: str = "") -> dict:
    """Nested objects as one level, names joined by dots."""
    flat = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if mapping(value) else {f"{prefix}{key}": value}
    return flat
