"""Diagrams of a size report as SVG: sharp at every size, and open to any drawing program."""

import math
from collections.abc import Mapping
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from semjax.report import figures

# Apart for all common kinds of colour blindness; as many as fit in one diagram.
SAMPLES = ("#1f6a93", "#b3420e", "#0b7a4b", "#8a4f9e", "#8a6a00", "#c2437e", "#4d5a66", "#3f9fb5")
_LAWS = {"lognormal": ("log-normal", figures.CURVE), "weibull": ("Weibull", "#0b7a4b")}


def histogram(
    values: np.ndarray,
    weights: np.ndarray | None,
    fits: Mapping,
    *,
    xlabel: str,
    unit: str,
    nano_nm: float,
) -> bytes:
    """The number-based distribution with its fitted laws, binned as all histograms here.

    Args:
        values: (n,) positive lengths in `unit`.
        weights: (n,), or None for once each.
        fits: `fits` of `semjax.analysis.summary.describe`; laws without a fit are left out.
        xlabel: the quantity, without unit.
        unit: nm or px.
        nano_nm: a line there, in nm only.

    Returns:
        An SVG file as bytes; so do all others here.
    """
    figure, axes = _start(xlabel, unit)
    axes.set_ylabel("particles" if weights is None else "particles, weighted", color=figures.INK)
    if not values.size:
        return _say_none(figure, axes)
    edges = figures.round_edges(values)
    axes.hist(values, edges.tolist(), weights=weights, color=figures.BAR, ec="white", lw=0.6)
    x = np.linspace(edges[-1] / 400, edges[-1], 400)
    total = values.size if weights is None else weights.sum()
    for law, (name, color) in _LAWS.items():
        if fits.get(law):
            density = _density(law, fits[law]["parameters"], x)
            axes.plot(x, total * edges[1] * density, color=color, lw=1.6, label=name)
    if any(fits.get(law) for law in _LAWS):
        axes.legend(frameon=False, fontsize=9, labelcolor=figures.INK)
    if unit == "nm" and nano_nm < edges[-1]:
        axes.axvline(nano_nm, color=figures.QUIET, lw=0.9, ls=(0, (3, 4)))
    axes.set_xlim(0, edges[-1])
    return _svg(figure)


def cumulative(values: np.ndarray, weights: np.ndarray | None, *, xlabel: str, unit: str) -> bytes:
    """Shares up to each size, by number, by area and by volume; arguments as of `histogram`."""
    figure, axes = _start(xlabel, unit)
    axes.set_ylabel("share up to this size (%)", color=figures.INK)
    if not values.size:
        return _say_none(figure, axes)
    order = np.argsort(values)
    sizes = values[order]
    counts = np.ones(values.size) if weights is None else weights[order]
    for power, name, color in (
        (0, "number", SAMPLES[0]),
        (2, "area", SAMPLES[2]),
        (3, "volume", SAMPLES[1]),
    ):
        share = np.cumsum(counts * (sizes / sizes[-1]) ** power)
        axes.step(
            sizes, 100 * share / share[-1], where="post", color=color, lw=1.6, label=f"by {name}"
        )
    axes.set(xlim=(0, sizes[-1] * 1.03), ylim=(0, 102))
    axes.legend(frameon=False, fontsize=9, labelcolor=figures.INK, loc="upper left")
    return _svg(figure)


def compare(
    sizes: Mapping[str, tuple[np.ndarray, np.ndarray | None]], *, xlabel: str, unit: str
) -> bytes:
    """Cumulative number-based distributions of several samples, values and weights by name."""
    figure, axes = _start(xlabel, unit)
    axes.set_ylabel("share of particles up to this size (%)", color=figures.INK)
    for i, (name, (values, weights)) in enumerate(sizes.items()):
        if values.size:
            order = np.argsort(values)
            share = np.cumsum(np.ones(values.size) if weights is None else weights[order])
            color = SAMPLES[i % len(SAMPLES)]
            # A name may hold a $, which matplotlib takes for mathematics, or begin with a _.
            label = " " + name.replace("$", r"\$")
            axes.step(
                values[order], 100 * share / share[-1], where="post", color=color, label=label
            )
    axes.set(xlim=(0, None), ylim=(0, 102))
    if axes.has_data():
        axes.legend(frameon=False, fontsize=9, labelcolor=figures.INK, loc="lower right")
    return _svg(figure)


def quantiles(fits: Mapping, *, unit: str) -> bytes | None:
    """Q-Q plots: measured sizes over those of the fitted laws at equal shares; None without a fit.

    Points on the line say that the law fits; away from it at the upper end, that there are more or
    fewer large particles than it has.
    """
    laws = [law for law in _LAWS if fits.get(law)]
    if not laws:
        return None
    figure = Figure(figsize=(3.6 * len(laws), 3.7), layout="constrained")
    for axes, law in zip(figure.subplots(1, len(laws), squeeze=False)[0], laws, strict=True):
        figures.calm(axes)
        fitted, measured = np.transpose(fits[law]["qq"])
        most = 1.04 * max(fitted.max(), measured.max())
        axes.plot([0, most], [0, most], color=figures.QUIET, lw=0.9)
        axes.plot(fitted, measured, ".", ms=4, color=_LAWS[law][1], alpha=0.7, mew=0)
        axes.set(xlim=(0, most), ylim=(0, most), aspect="equal")
        axes.set_title(_LAWS[law][0], loc="left", fontsize=10, color=figures.INK)
        axes.set_xlabel(f"fitted ({unit})", color=figures.INK, fontsize=9)
        axes.set_ylabel(f"measured ({unit})", color=figures.INK, fontsize=9)
    return _svg(figure)


def _density(law: str, parameters: Mapping, x: np.ndarray) -> np.ndarray:
    if law == "lognormal":
        mu, sigma = parameters["mu"], parameters["sigma"]
        bell = np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2))
        return bell / (x * sigma * math.sqrt(2 * math.pi))
    # Beyond the limit the density is 0, and of a steep law the power would be infinite.
    shape = parameters["shape"]
    z = np.minimum(x / parameters["scale"], 700 ** (1 / shape))
    return shape / parameters["scale"] * z ** (shape - 1) * np.exp(-(z**shape))


def _start(xlabel: str, unit: str):
    figure = Figure(figsize=(6.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    figures.calm(axes)
    axes.set_xlabel(f"{xlabel} ({unit})", color=figures.INK)
    return figure, axes


def _say_none(figure: Figure, axes) -> bytes:
    axes.text(0.5, 0.5, "no particles", ha="center", color=figures.QUIET, transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])
    return _svg(figure)


def _svg(figure: Figure) -> bytes:
    file = BytesIO()
    # Texts stay texts. Without a date and with a fixed salt the same numbers give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "semjax"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
