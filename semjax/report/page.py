"""The report of a work folder: one HTML file that can be mailed, printed and read on a phone."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from semjax.report import figures, gallery, markup
from semjax.workdir import write_text

PURPOSE = {
    "inputs": "Micrographs and outlines that were simulated for this run, with their exact truth.",
    "shapes": "Learns the particles' outlines and draws new ones.",
    "masks": "Lays the outlines out as random masks in which every particle is known.",
    "translate": "Learns, without pairs, to turn masks into micrographs, and makes one of each.",
    "filter": "Takes out of the masks what the translated micrographs do not show.",
    "segment": "Trains the network that finds particles in a micrograph.",
    "classify": "Trains the network that tells whole, measurable particles from the others.",
    "measure": "Finds, judges and measures the particles of every real micrograph.",
    "score": "Compares the particles found with the known truth.",
}
MEASURES = {
    "min_feret": "Minimum Feret diameter",
    "max_feret": "Maximum Feret diameter",
    "equivalent_circular_diameter": "Equivalent circular diameter",
}
STATISTICS = {
    "n": "particles",
    "mean": "mean",
    "median": "median",
    "sd": "SD",
    "d10": "D10",
    "d50": "D50",
    "d90": "D90",
    "geometric_mean": "geometric mean",
    "geometric_sd": "geometric SD",
}
SCORES = {
    "image_iou": "image IoU",
    "dice": "Dice",
    "youden": "Youden's index",
    "f1_50": "F1 at IoU 0.5",
    "f1_75": "F1 at IoU 0.75",
    "precision_50": "precision at IoU 0.5",
    "recall_50": "recall at IoU 0.5",
    "precision_75": "precision at IoU 0.75",
    "recall_75": "recall at IoU 0.75",
    "mean_ap": "mean over IoU 0.5 to 0.95",
    "pq": "panoptic quality",
}
# Tables of the score stage: heading, and the columns shown of the rows that match a quantity.
COMPARED = {
    "kept.csv": ("Choice of measurable particles against the truth", {}),
    "sizes.csv": (
        "Minimum Feret diameter against the truth",
        {
            "method": "method",
            "choice": "choice",
            "n_found": "particles",
            "n_true": "true ones",
            "mean": "mean",
            "mean_true": "true mean",
            "mean_error": "error of mean",
            "median_error": "of median",
            "d10_error": "of D10",
            "d90_error": "of D90",
            "wasserstein": "Wasserstein distance",
            "kolmogorov_smirnov": "Kolmogorov-Smirnov distance",
        },
    ),
    "trust.csv": ("Do numbers that need no truth follow the scores, image by image?", {}),
    "legacy.csv": ("The paper's scores", {}),
}
# Of `distribution.json`: what became of particles that the border cuts.
BORDER = {
    "drop": "Particles that touch an image's border are left out, large ones more often.",
    "weights": "Particles that touch an image's border are left out, large ones more often; each "
    "whole one counts with its Miles-Lantuéjoul weight, which makes up for that.",
}
DRAWN = {  # of which the intervals are made
    "images": "It knows that particles of one image are alike.",
    "particles": "It takes all particles as independent, which is too narrow if images differ.",
}
N_OVERLAYS, N_IMAGES, N_NOTES = 4, 50, 50


def write(work: Path, *, title: str = "") -> Path:
    """Writes report.html into a work folder, from whatever is there by now.

    What is missing is left out; broken files become a line under "Warnings".

    Args:
        work: the work folder.
        title: heading; the run's name if empty.

    Returns:
        The report's path.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    work = Path(work)
    if not work.is_dir():
        raise FileNotFoundError(f"no work folder {work}; a run makes it, or give another path")
    notes: list[str] = []
    config = read_json(work, "config.json", notes)
    stages = [name for name in gallery.FOLDERS if name != "inputs" or (work / "inputs").is_dir()]
    done = {
        stage: read_json(work, f"{gallery.FOLDERS[stage]}/done.json", notes) for stage in stages
    }
    name = str(config.get("name") or work.resolve().name)
    sections = [_results(work, notes)]
    sections += [_stage(work, stage, done[stage], config, notes) for stage in stages]
    notes += _read_log(work)

    body = [_header(title or name, name, config, done), _navigation(done, has_notes=bool(notes))]
    body += ["<main>", *sections, _warnings(notes), "</main>"]
    html = markup.document(title or name, "\n".join(filter(None, body)))
    write_text(work / "report.html", html)
    return work / "report.html"


def read_json(work: Path, name: str, notes: list[str]) -> dict:
    """The object in a JSON file; empty without the file, and with a note if it is broken."""
    path = work / name
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        notes.append(f"{name} could not be read: {error}")
        return {}
    if not isinstance(content, dict):
        notes.append(f"{name} should hold a JSON object, but holds a {type(content).__name__}")
        return {}
    return content


def _header(title: str, name: str, config: Mapping, done: Mapping[str, Mapping]) -> str:
    records = [record for record in done.values() if record]
    versions = {}
    for record in records:
        versions |= markup.mapping(record.get("versions"))
    seconds = [record.get("seconds") for record in records]
    finished = max((str(record.get("finished", "")) for record in records), default="")
    facts = {
        "run": name if name != title else "",
        "variant": str(config.get("variant", "")),
        "finished": finished[:16].replace("T", " "),
        "device": ", ".join(dict.fromkeys(str(r["device"]) for r in records if "device" in r)),
        "time": markup.format_duration(sum(filter(markup.is_number, seconds))) if records else "",
        "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
    }
    return f"<header>\n<h1>{escape(title)}</h1>\n{markup.facts(facts)}\n</header>"


def _navigation(done: Mapping[str, Mapping], *, has_notes: bool) -> str:
    items = []
    for stage, record in {"results": done["measure"], **done}.items():
        state = ' class="done"' if record or stage == "inputs" else ""
        items.append(f'<li><a{state} href="#{stage}">{stage}</a></li>')
    if has_notes:
        items.append('<li><a class="warn" href="#warnings">warnings</a></li>')
    return f'<nav aria-label="Sections"><ol>{"".join(items)}</ol></nav>'


def _results(work: Path, notes: list[str]) -> str:
    folder = work / gallery.FOLDERS["measure"]
    distribution = read_json(work, f"{folder.name}/distribution.json", notes)
    scores = read_json(work, f"{gallery.FOLDERS['score']}/scores.json", notes)
    caption = "Number of particles by minimum Feret diameter"
    parts = [
        _numbers(distribution),
        _file_figure(work, folder / "histogram_min_feret.png", caption, notes, is_diagram=True),
        _overlays(work, notes),
        _scores(scores),
        *(_compared(work, name, notes) for name in COMPARED),
        _measures(distribution),
        _images(work, notes),
    ]
    parts = list(filter(None, parts)) or ["<p>Nothing has been measured yet.</p>"]
    return '<section id="results">\n<h2>Results</h2>\n' + "\n".join(parts) + "\n</section>"


def _numbers(distribution: Mapping) -> str:
    """The minimum Feret diameter's statistics as cards, intervals below the numbers."""
    table = markup.mapping(distribution.get("min_feret"))
    unit = str(distribution.get("unit", ""))
    names = {key: name for key, name in STATISTICS.items() if not key.startswith("geometric")}
    if unit == "nm":  # a share below so many nanometres says nothing about pixels
        names["share_below_nano"] = f"below {markup.format_value(table.get('nano_nm'))} nm"
    cards, is_sampled = [], False
    for key, name in names.items():
        if not markup.is_number(table.get(key)):
            continue
        scale, shown = (100, "%") if key == "share_below_nano" else (1, "" if key == "n" else unit)
        text = f"{figures.format_number(table[key] * scale)} <small>{escape(shown)}</small>"
        ends = table.get(f"{key}_interval")
        if isinstance(ends, list) and len(ends) == 2 and all(map(markup.is_number, ends)):
            low, high = (figures.format_number(end * scale) for end in ends)
            text += f"<span>{low} to {high}</span>"
            is_sampled = True
        cards.append(f"<div><dt>{escape(name)}</dt><dd>{text}</dd></div>")
    if not cards:
        return ""
    notes = ["Below a number: its 95 % interval."] if is_sampled else []
    notes += [DRAWN[how] for how in DRAWN if is_sampled and how == table.get("drawn")]
    notes += [BORDER[way] for way in BORDER if way == distribution.get("border")]
    note = f'\n<p class="quiet">{" ".join(notes)}</p>' if notes else ""
    return f'<h3>{MEASURES["min_feret"]}</h3>\n<dl class="numbers">{"".join(cards)}</dl>{note}'


def _measures(distribution: Mapping) -> str:
    """The statistics of all measures, a row each."""
    tables = {key: table for key, table in distribution.items() if "mean" in markup.mapping(table)}
    if not tables:
        return ""
    unit = str(distribution.get("unit", ""))
    rows = [
        [MEASURES.get(key, markup.format_name(key)), *(table.get(name) for name in STATISTICS)]
        for key, table in tables.items()
    ]
    heading = f"<h3>All measures{escape(f' ({unit})' if unit else '')}</h3>\n"
    return heading + markup.table(["", *STATISTICS.values()], rows)


def _file_figure(
    work: Path, path: Path, caption: str, notes: list[str], *, is_diagram: bool = False
) -> str:
    if not path.exists():
        return ""
    try:
        return markup.figure(gallery.read_picture(path), caption, is_diagram=is_diagram)
    except gallery.READ_ERRORS as error:
        notes.append(f"{path.relative_to(work).as_posix()} could not be shown: {error}")
        return ""


def _overlays(work: Path, notes: list[str]) -> str:
    paths = sorted((work / gallery.FOLDERS["measure"] / "overlays").glob("*.png"))[:N_OVERLAYS]
    pictures = "".join(_file_figure(work, path, path.stem, notes) for path in paths)
    if not pictures:
        return ""
    keys = "".join(
        f'<span class="key" style="background:rgb{color}"></span>{text} &ensp; '
        for color, text in [(figures.KEPT, "measured"), (figures.REMOVED, "left out")]
    )
    return (
        f'<h3>Particles found</h3>\n<p class="quiet">{keys}</p>\n<div class="pair">{pictures}</div>'
    )


def _scores(scores: Mapping) -> str:
    """Scores as rows, methods as columns: there are few methods, and phones are narrow."""
    methods = {name: markup.flatten(markup.mapping(v)) for name, v in scores.items()}
    methods = {name: values for name, values in methods.items() if values}
    keys = dict.fromkeys([*SCORES, *(key for values in methods.values() for key in values)])
    rows = [
        [SCORES.get(key, markup.format_name(key)), *(v.get(key) for v in methods.values())]
        for key in keys
        if any(markup.is_number(values.get(key)) for values in methods.values())
    ]
    if not rows:
        return ""
    head = ["", *map(markup.format_name, methods)]
    return "<h3>Against the truth</h3>\n" + markup.table(head, rows)


def _read_table(work: Path, path: Path, notes: list[str]) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        return pd.read_csv(path, dtype={"image": str})
    except (OSError, ValueError) as error:
        notes.append(f"{path.relative_to(work).as_posix()} could not be read: {error}")
        return None


def _compared(work: Path, name: str, notes: list[str]) -> str:
    table = _read_table(work, work / gallery.FOLDERS["score"] / name, notes)
    if table is None:
        return ""
    heading, columns = COMPARED[name]
    if "quantity" in table:
        table = table[table["quantity"].astype(str).str.startswith("min_feret")]
    if columns:
        table = table[[column for column in columns if column in table]]
    head = [columns.get(str(c), markup.format_name(str(c))) for c in table.columns]
    rows = table.itertuples(index=False, name=None)
    return f"<h3>{heading}</h3>\n" + markup.table(head, rows)


def _images(work: Path, notes: list[str]) -> str:
    table = _read_table(work, work / gallery.FOLDERS["measure"] / "images.csv", notes)
    if table is None:
        return ""
    head = [markup.format_name(str(name)) for name in table.columns]
    n = f"the first {N_IMAGES} of {len(table)}" if len(table) > N_IMAGES else len(table)
    rows = table.head(N_IMAGES).itertuples(index=False, name=None)
    return f"<h3>Images ({n})</h3>\n" + markup.table(head, rows)


def _stage(work: Path, stage: str, done: Mapping, config: Mapping, notes: list[str]) -> str:
    folder = work / gallery.FOLDERS[stage]
    seconds = done.get("seconds")
    if done:
        state = markup.format_duration(seconds) if markup.is_number(seconds) else "done"
        memory = markup.mapping(done.get("memory_mib"))
        peaks = (f", {what} memory {mib} MiB" for what, mib in memory.items())
        state += escape("".join(peaks))
    elif stage == "inputs":
        state = ""
    else:
        state = "not finished yet" if folder.is_dir() else "not run yet"
    parts = [
        f'<h2>{stage.capitalize()} <span class="state">{state}</span></h2>',
        f"<p>{PURPOSE[stage]}</p>",
    ]
    summary = markup.flatten(markup.mapping(done.get("summary")))
    parts.append(
        markup.facts(
            {markup.format_name(key): markup.format_value(value) for key, value in summary.items()}
        )
    )
    settings = markup.flatten(markup.mapping(done.get("settings") or config.get(stage)))
    # A stage's mark also holds the data's settings; its own begin with its name.
    own = {k: v for k, v in settings.items() if k.startswith(f"{stage}.")} or settings
    values = {k.removeprefix(f"{stage}."): markup.format_setting(v) for k, v in own.items()}
    if values:
        listed = markup.facts(values, style="settings")
        parts.append(f"<details><summary>Settings</summary>{listed}</details>")
    for picture in gallery.list_pictures(work, stage, notes=notes):
        parts.append(markup.figure(picture.pixels, picture.caption, is_diagram=picture.is_diagram))
    parts.append(_files(work, folder))
    return f'<section id="{stage}">\n' + "\n".join(filter(None, parts)) + "\n</section>"


def _files(work: Path, folder: Path) -> str:
    """Links to what the stage wrote, for a report that still lies in its work folder."""
    items = ""
    for path in _visible(folder):
        name = f"{path.relative_to(work).as_posix()}{'/' if path.is_dir() else ''}"
        items += f'<li><a href="{escape(quote(name))}">{escape(name)}</a></li>'
    return f'<ul class="files">{items}</ul>' if items else ""


def _visible(folder: Path) -> Iterable[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return (path for path in paths if not path.name.startswith(".") and path.suffix != ".part")


def _read_log(work: Path) -> list[str]:
    """Warnings and errors of log.txt, each once."""
    try:
        lines = (work / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    # A line is: date, time, level, message.
    found = [line.split(" ", 3) for line in lines]
    messages = [parts[3] for parts in found if parts[2:3] in (["WARNING"], ["ERROR"])]
    return list(dict.fromkeys(messages))


def _warnings(notes: list[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes[:N_NOTES])
    more = f"<p>and {len(notes) - N_NOTES} more</p>" if len(notes) > N_NOTES else ""
    return f'<section id="warnings">\n<h2>Warnings</h2>\n<ul>{items}</ul>{more}\n</section>'
