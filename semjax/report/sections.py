"""The size report's fixed sections: what ISO 19749 wants said, a column a sample."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from semjax.report import cells, findings, markup

BORDER = {
    "drop": "Particles that touch an image's border are not measured: only part of them is seen. "
    "Large ones touch it more often, so that those left are a little too small on average.",
    "weights": "Particles that touch an image's border are not measured; large ones touch it more "
    "often. Each whole one counts with its Miles-Lantuéjoul weight (ISO 13322-1), which makes up "
    "for that.",
}


def render(samples: Sequence[cells.Sample]) -> str:
    """All sections but the first, as HTML."""
    parts = (
        _instrument,
        _counting,
        _measurands,
        findings.distribution,
        findings.fits,
        findings.agglomerates,
    )
    parts += (findings.uncertainty, findings.nano, _provenance)
    return "\n".join(part(samples) for part in parts)


def short(samples: Sequence[cells.Sample]) -> str:
    """The first section: the numbers that one looks for; as cards of one sample, else a table."""
    unit = samples[0].described["unit"]
    nano = cells.value(samples[0].described["nano"]["limit_nm"])
    rows = [
        ("images", lambda d: d["counts"]["images"]),
        ("particles measured", lambda d: d["counts"]["kept"]),
        ("mean minimum Feret, k = 2", cells.mean),
        ("median", lambda d: cells.with_interval(cells.number(d), "median", unit)),
        ("D10", lambda d: cells.with_interval(cells.number(d), "d10", unit)),
        ("D90", lambda d: cells.with_interval(cells.number(d), "d90", unit)),
        ("geometric SD", lambda d: cells.with_interval(cells.number(d), "geometric_sd", "")),
    ]
    rows += [(f"up to {nano} nm", findings.share)] if unit == "nm" else []
    words = "Minimum Feret diameters by number"
    if samples[0].described["intervals"]["samples"]:
        words += ", with 95 % intervals"
    if samples[0].described["uncertainty"]["expanded"] is not None:
        words += "; of the mean, the expanded uncertainty"
    note = cells.note(f"{words}.")
    if len(samples) > 1:
        return cells.section("short", "In short", cells.table(samples, rows), note)
    items = []
    for name, read in rows:
        value, _, interval = cells.value(read(samples[0].described)).partition(" (")
        below = f"<span>{escape(interval.rstrip(')'))}</span>" if interval else ""
        items.append(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{below}</dd></div>")
    return cells.section("short", "In short", f'<dl class="numbers">{"".join(items)}</dl>', note)


def _instrument(samples: Sequence[cells.Sample]) -> str:
    def pixel_size(d: cells.Sample) -> str:
        images = d.measured.images
        found = images.get("pixel_size_nm")
        sizes = [] if found is None else sorted(set(found.dropna()))
        if not sizes:
            return "not known: lengths are in pixels"
        return " to ".join(f"{size:.6g}" for size in dict.fromkeys((sizes[0], sizes[-1]))) + " nm"

    def uncertainty(d: cells.Sample) -> str:
        value = d.measured.facts["calibration_uncertainty"]
        return "not given" if value is None else f"{100 * value:.3g} % (standard, relative)"

    def column(name: str) -> Callable[[cells.Sample], str]:
        def read(sample: cells.Sample) -> str:
            images = sample.measured.images
            found = images[name] if name in images else []
            return cells.few(str(value) for value in found if str(value) not in ("", "nan"))

        return read

    def frame(sample: cells.Sample) -> str:
        images = sample.measured.images
        if not {"height_px", "width_px"} <= set(images):
            return "–"
        pairs = zip(images["width_px"], images["height_px"], strict=True)
        return cells.few(f"{width} × {height} px" for width, height in pairs)

    rows: list[tuple[str, Callable[[cells.Sample], object]]] = [
        ("pixel size", pixel_size),
        ("where it came from", column("pixel_size_from")),
        ("its uncertainty", uncertainty),
        ("size of the images, without bar", frame),
    ]
    keys = {key: None for s in samples for info in _instruments(s) for key in info}
    rows += [
        (
            markup.format_name(key),
            lambda s, key=key: cells.few(str(i[key]) for i in _instruments(s) if key in i),
        )
        for key in keys
    ]
    return cells.section(
        "instrument", "Instrument and pixel size", cells.table(samples, rows, whole=True)
    )


def _instruments(sample: cells.Sample) -> list[Mapping]:
    images = markup.mapping(sample.measured.facts["images"]).values()
    return [markup.mapping(markup.mapping(image).get("instrument")) for image in images]


def _counting(samples: Sequence[cells.Sample]) -> str:
    reasons = {r: None for s in samples for r in s.described["counts"]["excluded"]}
    rows: list[tuple[str, Callable]] = [
        ("images", lambda d: d["counts"]["images"]),
        ("particles found", lambda d: d["counts"]["particles"]),
    ]
    rows += [
        (f"left out: {reason}", lambda d, r=reason: d["counts"]["excluded"].get(r, 0))
        for reason in reasons
    ]
    rows.append(("particles measured", lambda d: d["counts"]["kept"]))
    rows.append(("smallest size that can be counted", _smallest))
    rows.append(
        ("measured ones below it", lambda d: cells.percent(d["smallest_countable"]["share_below"]))
    )
    notes = [BORDER[border] for border in dict.fromkeys(s.described["border"] for s in samples)]
    notes.append(
        f"Particles less than {samples[0].described['smallest_countable']['pixels_across']} px "
        "across are neither found reliably nor measured well."
    )
    notes += cells.remarks(samples, lambda d: d["smallest_countable"]["warning"])
    notes += cells.remarks(samples, lambda d: d["counts"]["note"])
    details = "".join(_image_table(sample, several=len(samples) > 1) for sample in samples)
    return cells.section(
        "counting",
        "Images, particles and exclusions",
        cells.table(samples, rows),
        *map(cells.note, notes),
        details,
    )


def _image_table(sample: cells.Sample, *, several: bool) -> str:
    images = sample.measured.images
    hashes = markup.mapping(sample.measured.facts["images"])
    shown = [c for c in images if c not in ("image", "kept", "info_bar_px")]
    kept = sample.described["counts"]["kept_per_image"]
    rows = [
        [
            row["image"],
            *(row[name] for name in shown),
            kept.get(row["image"], 0),
            str(markup.mapping(hashes.get(row["image"])).get("sha256", ""))[:12],
        ]
        for row in images.to_dict("records")
    ]
    head = ["image", *map(markup.format_name, shown), "measured", "SHA-256 begins"]
    name = f" of {escape(sample.name)}" if several else ""
    return f"<details><summary>All images{name}</summary>{markup.table(head, rows)}</details>"


def _measurands(samples: Sequence[cells.Sample]) -> str:
    defined = samples[0].described["measurands"]
    words = {name: defined[key]["definition"] for key, name in cells.NAMES.items()}
    note = (
        "Lengths in nm are lengths in pixels times the pixel size. All are those of the "
        "particles' projections in the image plane."
    )
    listed = markup.facts(words, style="words")
    return cells.section("measurands", "Measurands", listed, cells.note(note))


def _provenance(samples: Sequence[cells.Sample]) -> str:
    parts = []
    for sample in samples:
        facts = sample.measured.facts
        model = markup.flatten(markup.mapping(facts.get("model")))
        versions = markup.mapping(facts["versions"])
        given = {
            "semjax": str(facts.get("semjax") or versions.get("semjax", "")),
            "border": facts["border"],
            "bootstrap samples": str(facts["bootstrap"]),
            "seed": str(facts["seed"]),
            "particles.csv, SHA-256": sample.measured.sha256,
            **{
                f"model {markup.format_name(k)}": markup.format_setting(v) for k, v in model.items()
            },
        }
        title = f"<h3>{escape(sample.name)}</h3>" if len(samples) > 1 else ""
        parts.append(title + markup.facts(given, style="words"))
        for summary, values in (
            ("Versions", versions),
            ("Settings", markup.mapping(facts["settings"])),
        ):
            shown = {k: markup.format_setting(v) for k, v in markup.flatten(values).items()}
            if shown:
                listed = markup.facts(shown, style="settings")
                parts.append(f"<details><summary>{summary}</summary>{listed}</details>")
        if sample.measured.edits:
            edits = sample.measured.edits
            rows = [[e["image"], e["label"], "kept" if e["keep"] else "dropped"] for e in edits]
            listed = markup.table(["image", "label", "by hand"], rows)
            parts.append(
                f"<details open><summary>{len(edits)} changed by hand</summary>{listed}</details>"
            )
        if sample.measured.notes:
            items = "".join(f"<li>{escape(note)}</li>" for note in sample.measured.notes)
            parts.append(f'<p class="warn">Missing in the measured folder:</p><ul>{items}</ul>')
    return cells.section("provenance", "Settings, versions and hashes", *parts)


def _smallest(described: Mapping) -> str:
    found = described["smallest_countable"]
    return "–" if found["size"] is None else f"{cells.value(found['size'])} {described['unit']}"
