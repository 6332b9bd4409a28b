"""The size report of one or several samples: one HTML file to explore offline, print and keep.

What the page computes while limits move (`sample*.js`) is computed as in Python: the same bins and
the same statistics. All else is that of `semjax.analysis.summary`.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from PIL import Image

import semjax
from semjax.report import cells, described, figures, measured, paths, plots, sections
from semjax.report.markup import data_uri, document, facts
from semjax.workdir import write_text

MARK = '<meta name="generator" content="semjax report">'
DATA = "<!-- data -->"
LARGEST_BYTES = 24_000_000  # of the file
PICTURE_BYTES = 1_500_000  # of one embedded picture, at most
FEWEST_BYTES = 40_000  # of one; with less room, fewer pictures are embedded
SCRIPTS = ("sample_numbers.js", "sample_view.js", "sample.js", "sample_page.js")

# Columns of particles.csv with a slider, `{u}` for nm or px, and their names.
LIMITS = {
    "min_feret_{u}": "minimum Feret",
    "max_feret_{u}": "maximum Feret",
    "area_{u}": "area",
    "solidity": "solidity",
    "circularity": "circularity",
    "aspect_ratio": "aspect ratio",
    "mean_intensity": "mean intensity",
    "class_score": "class score",
}
# Columns with a histogram: positive ones, since their logarithms are taken.
QUANTITIES = {
    "min_feret_{u}": "minimum Feret diameter",
    "max_feret_{u}": "maximum Feret diameter",
    "equivalent_circular_diameter_{u}": "equivalent circular diameter",
    "perimeter_{u}": "perimeter",
    "area_{u}": "area",
    "aspect_ratio": "aspect ratio",
    "solidity": "solidity",
    "circularity": "circularity",
}


def write(
    folders: Sequence[Path], path: Path, *, images: int = 12, edits: Path | None = None
) -> Path:
    """Writes the report of measured folders, a sample each.

    Args:
        folders: measured folders, or work folders that hold one.
        path: the HTML file; an older report there is replaced, any other file is not.
        images: how many pictures of each sample are embedded, spread evenly over its images, as
            far as the file stays below 24 MB; the others are linked.
        edits: a file of particles kept or dropped by hand, as the page saves it. The report is of
            the particles with these edits, and `particles.edited.csv` goes beside particles.csv.

    Returns:
        The report's path.

    Raises:
        FileNotFoundError: a folder is none that was measured.
        ValueError: tables, samples or edits that cannot be used, too many particles for one file,
            or a path that is taken by something else.
    """
    path = Path(path).expanduser()
    _check_free(path)
    if not folders or images < 0:
        raise ValueError(f"expected folders and images of at least 0, got {folders} and {images}")
    names = measured.name_all(folders)
    read = [measured.read(folder, name) for folder, name in zip(folders, names, strict=True)]
    units = {sample.facts["unit"]: sample.name for sample in read}
    if len(units) > 1:
        raise ValueError(
            f"{units['nm']} is in nm and {units['px']} in px, which cannot be shown together; "
            "give reports of their own, or the pixel size"
        )
    if edits is not None:
        read = measured.apply(read, edits)
    samples = [described.describe(sample) for sample in read]
    preset = [{"sample": s.name, **edit} for s in read for edit in s.edits]
    data = _payload(read, preset, path.parent)
    page = _page(samples)
    size = len(_fill(page, data).encode())
    if size > LARGEST_BYTES:
        raise ValueError(
            f"a report of these {sum(len(s.particles) for s in read):,} particles would have "
            f"{size / 1e6:.0f} MB, more than {LARGEST_BYTES / 1e6:.0f}; give fewer samples at once"
        )
    _embed(read, data, images, room=LARGEST_BYTES - size)
    write_text(path, _fill(page, data))
    if edits is not None:
        for sample in read:
            measured.write_edited(sample)
    return path


def _check_free(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give --out the name of an HTML file")
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:4000]:
        raise ValueError(f"{path} exists and is no size report; give --out another name")


def _payload(samples: Sequence[measured.Measured], edits: list[dict], beside: Path) -> dict:
    """What the page's script works on; pictures are linked for now."""
    first = samples[0].facts
    unit = first["unit"]
    known = {column for sample in samples for column in sample.particles}

    def columns(names: Mapping[str, str]) -> list[dict]:
        found = []
        for column, name in names.items():
            # Areas in pixels are there in any case; those in nm² are meant.
            power = "²" if column.startswith("area") else ""
            own = column.format(u=f"{unit}2" if power and unit == "nm" else unit)
            if own in known:
                of = f"{unit}{power}" if "{u}" in column else "1"
                found.append({"column": own, "name": name, "unit": of})
        return found

    shown = {**QUANTITIES, "mean_intensity": "mean intensity", "class_score": "class score"}
    identity = json.dumps([[sample.sha256 for sample in samples], edits])
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "file": re.sub(r"[^\w.-]+", "_", "_".join(s.name for s in samples))[:60] or "semjax",
        "unit": unit,
        "nano": first["nano_nm"],
        "colors": {
            "samples": plots.SAMPLES,
            "states": {
                "shown": _hex(figures.KEPT),
                "hidden": "#8ec5ff",
                **dict.fromkeys(("dropped", "out"), _hex(figures.REMOVED)),
            },
        },
        "limits": columns(LIMITS),
        "quantities": columns(QUANTITIES),
        "values": columns(shown),
        "samples": [_sample(sample, beside) for sample in samples],
        "edits": edits,
    }


def _hex(color: Sequence[int]) -> str:
    return "#" + "".join(f"{level:02x}" for level in color)


def _sample(sample: measured.Measured, beside: Path) -> dict:
    table = sample.particles
    missing = []
    images = []
    for row in sample.images.to_dict("records"):
        name = row["image"]
        own = np.flatnonzero(table["image"] == name)
        labels = described.read_labels(sample.folder, name)
        if labels is None:
            missing.append(name)
        outlines = _outlines(table.iloc[own], labels)
        numbers = table["label"].iloc[own].tolist()
        height, width = _frame(row, labels, table.iloc[own])
        size = row.get("pixel_size_nm")
        images.append(
            {
                "name": name,
                "height": height,
                "width": width,
                "picture": _find_picture(sample.folder, name, beside),
                "note": "",
                "pixel_size_nm": float(size) if pd.notna(size) else None,
                "particles": [
                    [int(i), outlines[label]]
                    for i, label in zip(own, numbers, strict=True)
                    if label in outlines
                ],
            }
        )
    if missing:
        sample.notes.append(
            f"labels/ of {len(missing)} images: circles of the particles' areas stand for outlines"
        )
    if not (sample.folder / "pictures").is_dir():
        sample.notes.append("pictures/: the overlays, if any, are shown in their place")
    return {
        "name": sample.name,
        "sha256": sample.sha256,
        "weighted": sample.facts["border"] == "weights",
        "columns": {str(name): _column(table[name]) for name in table},
        "images": images,
    }


def _outlines(table: pd.DataFrame, labels: np.ndarray | None) -> dict[int, str]:
    if labels is not None:
        return paths.trace(labels)
    return paths.circles(table) if {"row", "col", "area_px"} <= set(table) else {}


def _frame(row: Mapping, labels: np.ndarray | None, table: pd.DataFrame) -> tuple[int, int]:
    """Height and width of an image, guessed from its particles if nothing else says it."""
    if labels is not None:
        return labels.shape[0], labels.shape[1]
    if pd.notna(row.get("height_px")) and pd.notna(row.get("width_px")):
        return int(row["height_px"]), int(row["width_px"])
    if {"row", "col"} <= set(table) and len(table):
        return int(table["row"].max() * 1.05) + 2, int(table["col"].max() * 1.05) + 2
    return 1, 1


def _column(values: pd.Series) -> dict:
    """A column as the page's `decode` reads it: exact numbers, texts as numbers into a list."""
    if pd.api.types.is_bool_dtype(values):
        kind, data = "bool", values.to_numpy(np.uint8)
    elif pd.api.types.is_integer_dtype(values) and values.abs().max() < 2**31:
        kind, data = "int", values.to_numpy("<i4")
    elif pd.api.types.is_numeric_dtype(values):
        kind, data = "float", values.to_numpy("<f8")
    else:
        codes, texts = pd.factorize(values.fillna("").astype(str))
        data = base64.b64encode(codes.astype("<i4").tobytes()).decode()
        return {"kind": "text", "texts": list(texts), "data": data}
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode()}


def _picture_path(folder: Path, name: str) -> Path | None:
    candidates = (folder / "pictures" / f"{name}.jpg", folder / "overlays" / f"{name}.png")
    return next((path for path in candidates if path.is_file()), None)


def _find_picture(folder: Path, name: str, beside: Path) -> str | None:
    """The picture's address as seen from the report; None if there is none, or on another disk."""
    path = _picture_path(folder, name)
    if path is None:
        return None
    try:
        relative = os.path.relpath(path.resolve(), beside.resolve())
    except ValueError:
        return None
    return quote(Path(relative).as_posix())


def _embed(samples: Sequence[measured.Measured], data: dict, images: int, *, room: int) -> None:
    """Puts pictures into the payload: as many of each sample as asked for, as far as there is room.

    They are spread evenly over the images, the first one always among them.
    """
    chosen = []
    for sample, own in zip(samples, data["samples"], strict=True):
        with_picture = [image for image in own["images"] if image["picture"]]
        for image in own["images"]:
            name = "The picture" if image["picture"] else "There is no picture of this image"
            image["note"] = name + (" is a file beside the report." if image["picture"] else ".")
        n = min(images, len(with_picture))
        places = np.linspace(0, len(with_picture), n, endpoint=False).astype(int)
        chosen += [(sample.folder, with_picture[place]) for place in places]
    # As base64, three bytes become four characters.
    share = min(PICTURE_BYTES, int(room * 0.74 / max(len(chosen), 1)))
    if share < FEWEST_BYTES:
        chosen = chosen[: int(room * 0.74 / FEWEST_BYTES)]
        share = FEWEST_BYTES
    for folder, image in chosen:
        path = _picture_path(folder, image["name"])
        assert path is not None  # it was there when the image was chosen
        image["picture"] = data_uri(*_shrink(path, share))
        image["note"] = "" if path.parent.name == "pictures" else "The overlay of the measurement."


def _shrink(path: Path, most: int) -> tuple[bytes, str]:
    """A picture file's content, as it is or as a JPEG small enough, and its kind."""
    kinds = {".jpg": "image/jpeg", ".png": "image/png"}
    content = path.read_bytes()
    if len(content) <= most:
        return content, kinds[path.suffix]
    try:
        with Image.open(path) as picture:
            image = picture.convert("L" if picture.mode in ("L", "I;16") else "RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error
    while True:
        file = BytesIO()
        image.save(file, "JPEG", quality=85)
        if len(file.getvalue()) <= most or min(image.size) < 16:
            return file.getvalue(), "image/jpeg"
        image = image.resize([max(1, side * 4 // 5) for side in image.size])


def _json(value: object) -> str:
    """JSON that no text in it can end: a < could begin </script>."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _fill(page: str, data: Mapping) -> str:
    return page.replace(DATA, _json(data))


def _page(samples: Sequence[cells.Sample]) -> str:
    """The page without its data; no text from a file can look like their place."""
    names = [sample.name for sample in samples]
    title = "Particle sizes of " + (names[0] if len(names) == 1 else f"{len(names)} samples")
    described = {sample.name: sample.described for sample in samples}
    counts = [sample.described["counts"] for sample in samples]
    listed = {
        "samples": ", ".join(names) if len(names) > 1 else "",
        "images": f"{sum(c['images'] for c in counts):,}",
        "particles measured": f"{sum(c['kept'] for c in counts):,}",
        "semjax": semjax.__version__,
    }
    here = Path(__file__)
    links = {"short": "in short", "explore": "explore", "instrument": "instrument"}
    links |= {"counting": "images and particles", "measurands": "measurands"}
    links |= {"distribution": "distribution", "fits": "fits", "agglomerates": "agglomerates"}
    links |= {"uncertainty": "uncertainty", "nano": "nano share", "provenance": "settings"}
    explorer = here.with_name("sample.html").read_text(encoding="utf-8")
    explorer = explorer.replace("<!-- left out -->", _left_out(samples))
    body = "\n".join(
        [
            f"<header><h1>{escape(title)}</h1>\n{facts(listed)}",
            '<p class="save"><button type="button" id="save-json">Numbers as JSON</button></p>',
            "</header>",
            _navigation(links.items()),
            "<main>",
            sections.short(samples),
            explorer,
            sections.render(samples),
            "</main>",
            f'<script type="application/json" id="described">{_json(described)}</script>',
            f'<script type="application/json" id="data">{DATA}</script>',
        ]
    )
    style = here.with_name("sample.css").read_text(encoding="utf-8")
    scripts = [here.with_name(name).read_text(encoding="utf-8") for name in SCRIPTS]
    page = document(title, body, style=style, script="\n".join(scripts))
    return page.replace("<meta charset", f"{MARK}\n<meta charset", 1)


def _left_out(samples: Sequence[cells.Sample]) -> str:
    """How many particles the classifier left out, for the box that brings them back."""
    tables = [sample.measured.particles for sample in samples]
    hidden = [~t["kept"] & ~t["border"] if "border" in t else ~t["kept"] for t in tables]
    return f"{sum(int(h.sum()) for h in hidden):,}"


def _navigation(links: Iterable[tuple[str, str]]) -> str:
    items = "".join(f'<li><a href="#{place}">{name}</a></li>' for place, name in links)
    return f'<nav aria-label="Sections"><ol>{items}</ol></nav>'
