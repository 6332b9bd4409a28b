"""The size report's results: distribution, fitted laws, agglomerates, uncertainty, nano share."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from semjax.report import cells, markup, plots

STATISTICS = {
    "mean": "mean",
    "median": "median (D50)",
    "sd": "standard deviation",
    "d10": "D10",
    "d90": "D90",
    "geometric_mean": "geometric mean",
    "geometric_sd": "geometric standard deviation",
    "skewness": "skewness",
}
LAWS = {"lognormal": "log-normal", "weibull": "Weibull"}
# What `semjax.analysis.nano.statement` says, where it is not a sentence already.
STATED = {
    "meets": "meets the size criterion",
    "does not meet": "does not meet the size criterion",
}


def distribution(samples: Sequence[cells.Sample]) -> str:
    """The distribution of every measurand: drawings, statistics, weighted ones, moments."""
    parts = []
    if len(samples) > 1:
        sizes = {sample.name: sample.sizes() for sample in samples}
        unit = samples[0].described["unit"]
        picture = plots.compare(sizes, xlabel=cells.NAMES["min_feret"], unit=unit)
        parts.append(_draw(cells.drawing(picture, "samples", "The samples, by number")))
    parts += [_diagrams(sample, samples) for sample in samples]
    tables = [_quantity(samples, key, name) for key, name in cells.NAMES.items()]
    parts.append(f'<div class="quantities">{"".join(tables)}</div>')
    return cells.section(
        "distribution",
        "Size distribution",
        *parts,
        *map(cells.note, _explain_intervals(samples)),
        cells.note(samples[0].described["weighting"]),
    )


def _diagrams(sample: cells.Sample, samples: Sequence[cells.Sample]) -> str:
    """Histogram and cumulative distribution of one sample's minimum Feret diameters."""
    values, weights = sample.sizes()
    options = {"xlabel": cells.NAMES["min_feret"], "unit": sample.described["unit"]}
    fits = sample.described["measurands"]["min_feret"]["fits"] or {}
    nano_nm = sample.measured.facts["nano_nm"]
    of = f" of {sample.name}" if len(samples) > 1 else ""
    tail = cells.tail(sample, samples)
    bars = plots.histogram(values, weights, fits, nano_nm=nano_nm, **options)
    steps = plots.cumulative(values, weights, **options)
    return _draw(
        cells.drawing(bars, f"by_number{tail}", f"By number, with the fitted laws{of}"),
        cells.drawing(steps, f"cumulative{tail}", f"Up to each size, by three weightings{of}"),
    )


def _draw(*drawings: str) -> str:
    return f'<div class="drawings">{"".join(drawings)}</div>'


def _quantity(samples: Sequence[cells.Sample], key: str, name: str) -> str:
    """All statistics of one measurand; those asked for less often folded away."""

    def three(weighting: str) -> Callable[[Mapping], str]:
        def read(d: Mapping) -> str:
            found = d["measurands"][key][weighting]
            return " / ".join(cells.value(found[place]) for place in ("d10", "d50", "d90"))

        return read

    first = samples[0].described["measurands"][key]
    rows: list[tuple[str, Callable]] = [
        (words, lambda d, k=k: cells.with_interval(d["measurands"][key]["number"], k, ""))
        for k, words in STATISTICS.items()
    ]
    for weighting in ("area_weighted", "volume_weighted") if first["area_weighted"] else ():
        words = weighting.replace("_", "-")
        rows += [
            (f"{words} mean", lambda d, w=weighting: d["measurands"][key][w]["mean"]),
            (f"{words} D10 / D50 / D90", three(weighting)),
        ]
    if first["moments"]:
        rows += [
            (moment, lambda d, m=moment: d["measurands"][key]["moments"][m])
            for moment in first["moments"]
        ]
    heading = f"{name[0].upper()}{name[1:]}{cells.in_unit(first['unit'])}"
    table = cells.table(samples, rows)
    if key in ("min_feret", "max_feret"):
        return f"<div><h3>{heading}</h3>{table}</div>"
    return f"<details><summary>{heading}</summary>{table}</details>"


def _explain_intervals(samples: Sequence[cells.Sample]) -> list[str]:
    drawn = samples[0].described["intervals"]
    notes = cells.remarks(samples, lambda d: d["intervals"]["note"])
    if not drawn["samples"]:
        return notes
    words = f"In brackets: {100 * drawn['confidence']:g} % bootstrap intervals of "
    words += f"{drawn['samples']:,} samples"
    if all(sample.described["intervals"]["drawn"] == "images" for sample in samples):
        words += ", in which whole images are drawn, since particles of one image are more alike "
        words += "than those of different ones"
    return [f"{words}.", *notes]


def fits(samples: Sequence[cells.Sample]) -> str:
    """Log-normal and Weibull fits of the minimum Feret diameter."""
    parts, meaning = [], {}
    for sample in samples:
        fits = sample.described["measurands"]["min_feret"]["fits"] or {}
        picture = plots.quantiles(fits, unit=sample.described["unit"])
        if picture is not None:
            of = f" of {sample.name}" if len(samples) > 1 else ""
            caption = f"Measured over fitted minimum Feret diameters at equal shares{of}"
            parts.append(cells.drawing(picture, f"q-q{cells.tail(sample, samples)}", caption))
        for law in LAWS:
            meaning |= (fits.get(law) or {}).get("meaning", {})
    if not parts:
        return cells.section(
            "fits", "Fitted laws", cells.note("Too few different sizes to fit anything.")
        )

    def get(law: str, key: str, inside: str = "") -> Callable[[Mapping], object]:
        def read(d: Mapping) -> object:
            fit = (d["measurands"]["min_feret"]["fits"] or {}).get(law) or {}
            return (fit.get(inside, {}) if inside else fit).get(key)

        return read

    rows: list[tuple[str, Callable]] = []
    keys = {
        "lognormal": ("mu", "sigma", "geometric_mean", "geometric_sd"),
        "weibull": ("shape", "scale"),
    }
    goodness = {"ks_distance": "Kolmogorov-Smirnov distance", "p_value": "p value", "aic": "AIC"}
    for law, label in LAWS.items():
        rows += [
            (f"{label}: {markup.format_name(key)}", get(law, key, "parameters"))
            for key in keys[law]
        ]
        rows += [(f"{label}: {words}", get(law, key)) for key, words in goodness.items()]
    words = "; ".join(f"{markup.format_name(key)}: {text}" for key, text in meaning.items())
    notes = [
        "Fitted by maximum likelihood to the minimum Feret diameters, by number. "
        + samples[0].described["goodness"],
        f"{words}.",
    ]
    table = cells.table(samples, rows)
    return cells.section("fits", "Fitted laws", _draw(*parts), table, *map(cells.note, notes))


def agglomerates(samples: Sequence[cells.Sample]) -> str:
    """Groups of touching particles."""
    unit = samples[0].described["unit"]

    def members(d: Mapping) -> str:
        found = d["agglomerates"]["members"] or {}
        return ", ".join(f"{n} × {size}" for size, n in list(found.items())[:8]) or "–"

    def sizes(key: str, power: str) -> Callable[[Mapping], str]:
        def read(d: Mapping) -> str:
            found = d["agglomerates"][key] or {}
            if found.get("mean") is None:
                return "–"
            ends = f"{cells.value(found['d10'])} to {cells.value(found['d90'])}"
            return f"{cells.value(found['mean'])} ({ends}) {unit}{power}"

        return read

    rows = [
        ("groups of two or more particles", lambda d: d["agglomerates"]["groups"]),
        ("particles in groups", lambda d: cells.percent(d["agglomerates"]["share_in_groups"])),
        ("particles in a group, mean", lambda d: d["agglomerates"]["members_mean"]),
        ("particles in a group, most", lambda d: d["agglomerates"]["members_max"]),
        ("groups × particles in each", members),
        ("maximum Feret diameter of a group, mean (D10 to D90)", sizes("max_feret", "")),
        ("area of a group, mean (D10 to D90)", sizes("area", "²")),
        ("groups cut by the border", lambda d: d["agglomerates"]["at_border"]),
    ]
    notes = [samples[0].described["agglomerates"]["definition"]]
    notes += cells.remarks(samples, lambda d: d["agglomerates"]["note"])
    return cells.section(
        "agglomerates", "Agglomerates", cells.table(samples, rows), *map(cells.note, notes)
    )


def uncertainty(samples: Sequence[cells.Sample]) -> str:
    """The uncertainty budget."""
    parts = []
    for sample in samples:
        found = sample.described["uncertainty"]
        rows = [
            [
                row["source"],
                row["type"],
                cells.percent(row["relative_standard_uncertainty"]),
                row["degrees_of_freedom"],
                row["how"],
            ]
            for row in found["rows"]
        ]
        rows.append(
            [
                "combined, standard",
                "",
                cells.percent(found["combined_relative"]),
                found["effective_degrees_of_freedom"],
                "",
            ]
        )
        rows.append(
            [
                f"expanded, k = {found['coverage_factor']}",
                "",
                cells.percent(found["expanded_relative"]),
                "",
                "",
            ]
        )
        head = ["source", "type", "relative uncertainty", "degrees of freedom", "from"]
        title = f"<h3>{escape(sample.name)}</h3>" if len(samples) > 1 else ""
        parts.append(f'{title}<div class="budget">{markup.table(head, rows)}</div>')
        if found["expanded"] is not None:
            words = f"{cells.mean(sample.described)} (k = {found['coverage_factor']})."
            parts.append(cells.note(f"Mean minimum Feret diameter: {words}"))
    notes = cells.remarks(samples, lambda d: d["uncertainty"]["note"])
    notes.append(samples[0].described["uncertainty"]["reference"] + ".")
    heading = "Uncertainty of the mean minimum Feret diameter"
    return cells.section("uncertainty", heading, *parts, *map(cells.note, notes))


def nano(samples: Sequence[cells.Sample]) -> str:
    """The share of nanoparticles, and what it means."""
    first = samples[0].described["nano"]

    def interval(key: str) -> Callable[[Mapping], str]:
        def read(d: Mapping) -> str:
            ends = d["nano"][key]
            return "–" if ends is None else " to ".join(map(cells.percent, ends))

        return read

    rows = [
        ("particles", lambda d: d["nano"]["n"]),
        (
            f"share of at most {cells.value(first['limit_nm'])} nm, by number",
            lambda d: cells.percent(d["nano"]["share"]),
        ),
        ("95 % interval", interval("interval")),
        ("by bootstrap", interval("bootstrap_interval")),
        ("by Wilson", interval("wilson_interval")),
        ("if all sizes are wrong together", interval("systematic_interval")),
        (
            "by this sample of images, the material",
            lambda d: STATED.get(d["nano"]["statement"], d["nano"]["statement"]),
        ),
    ]
    caveats = "".join(f"<li>{escape(text)}</li>" for text in first["caveats"])
    words = f"{first['criterion']} ({first['reference']})"
    more = f"<h3>What this does not say</h3><ul>{caveats}</ul>"
    return cells.section(
        "nano", "Share of nanoparticles", cells.table(samples, rows), cells.note(words), more
    )


def share(described: Mapping) -> str:
    """The share of nanoparticles with its interval."""
    found = described["nano"]
    text = cells.percent(found["share"])
    return (
        text
        if found["interval"] is None
        else f"{text} ({' to '.join(map(cells.percent, found['interval']))})"
    )
