"""The table of what was measured, as text, CSV, JSON and pictures."""

import json
import os
import shutil
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks import pieces

MARKS = ("<!-- results -->", "<!-- end of results -->")
SIDES = ("ours", *pieces.PEERS)
PICTURES = ("ratios.png", "curves.png")


def make_rows(found: dict[str, dict], every: dict[str, pieces.Piece]) -> pd.DataFrame:
    """One row a piece; times in s, memory in MiB, rates in 1e9 a second."""
    ceilings = {}
    for name, unit in (("product", "flops"), ("copy", "bytes")):
        ours = found[name]["ours"]
        fastest = min(side["seconds"] for side in found[name].values())
        ceilings[name] = ours[unit] / fastest
    rows = []
    for name, sides in found.items():
        if name not in every:
            continue
        piece, ours = every[name], sides["ours"]
        row: dict = {"piece": name, "what": piece.what, "point": piece.point}
        row |= {f"{side}_s": sides[side]["seconds"] for side in SIDES if side in sides}
        peers = {side: x for side, x in sides.items() if side != "ours"}
        if peers:
            best = min(peers, key=lambda side: peers[side]["seconds"])
            turns = [a / b for a, b in zip(ours["turns"], peers[best]["turns"], strict=True)]
            # Neighbouring turns met the same machine; the processor's time knows no waiting.
            row |= {"better_peer": best, "ratio": median(turns)}
            row |= {"ratio_low": min(turns), "ratio_high": max(turns)}
            row["processor_ratio"] = ours["processor_s"] / min(
                x["processor_s"] for x in peers.values()
            )
        row |= {"must": piece.must, "goal": piece.goal}
        if ours["flops"]:
            row["gflops"] = ours["flops"] / ours["seconds"] / 1e9
            row["share_of_product"] = ours["flops"] / ours["seconds"] / ceilings["product"]
            row["share_of_copy"] = ours["bytes"] / ours["seconds"] / ceilings["copy"]
        for side in SIDES:
            if side in sides:
                row[f"{side}_mib"] = sides[side]["mib"]
                row[f"{side}_compile_s"] = sides[side]["compile_s"]
                row[f"{side}_processor_s"] = sides[side]["processor_s"]
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(row: pd.Series) -> str:
    """Whether the targets are met; of a ratio where there is a peer, else of the time."""
    value = row.get("ratio") if pd.notna(row.get("ratio")) else row["ours_s"]
    for name in ("goal", "must"):
        if pd.notna(row[name]) and value <= row[name]:
            return f"{name} met"
    return "missed" if pd.notna(row["must"]) or pd.notna(row["goal"]) else ""


def table(rows: pd.DataFrame) -> str:
    """The table in Markdown, which also reads well as it stands."""
    head = ["piece", "ours / s", "eager / s", "compiled / s", "ratio", "must", "goal", "verdict"]
    head += ["GFLOP/s", "of product", "of copy", "MiB: ours", "eager", "compiled"]
    head += ["compile / s: ours", "peer"]
    lines = [head]
    rows = rows.reindex(
        columns=list(rows.columns)
        + [
            name
            for name in (
                *(f"{side}_{unit}" for side in SIDES for unit in ("s", "mib", "compile_s")),
                *("ratio", "ratio_low", "ratio_high"),
                *("gflops", "share_of_product", "share_of_copy"),
            )
            if name not in rows
        ]
    )
    for _, row in rows[~rows["point"]].iterrows():
        ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f} to {row.ratio_high:.2f})"
        lines.append(
            [
                row.what,
                *(_say(row[f"{side}_s"], ".3g") for side in SIDES),
                ratio if pd.notna(row.ratio) else "no peer",
                *(_say(row[name], "g") for name in ("must", "goal")),
                verdict(row),
                _say(row.gflops, ".0f"),
                _say(row.share_of_product, ".0%"),
                _say(row.share_of_copy, ".0%"),
                *(_say(row[f"{side}_mib"], ".0f") for side in SIDES),
                *(_say(row[f"{side}_compile_s"], ".1f") for side in ("ours", "compiled")),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(x.ljust(n) for x, n in zip(line, widths, strict=True))} |" for line in lines
    )


def _say(value: float | None, form: str) -> str:
    return format(value, form) if pd.notna(value) else ""


def write_json(path: Path, content: dict) -> None:
    """All that was found, the turns one by one included."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, path)


def write_all(out: Path, rows: pd.DataFrame, found: dict, every: dict[str, pieces.Piece]) -> None:
    """`benchmarks.csv`, `ratios.png` and `curves.png`."""
    rows.to_csv(out / "benchmarks.csv", index=False, float_format="%.5g")
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    if "ratio" in rows and (rows["ratio"].notna() & ~rows["point"]).any():
        shown = rows[rows["ratio"].notna() & ~rows["point"]].iloc[::-1]
        figure, axes = plt.subplots(figsize=(8, 1 + 0.35 * len(shown)), layout="constrained")
        axes.barh(shown["what"], shown["ratio"], color="tab:blue", height=0.6)
        spread = [shown["ratio"] - shown["ratio_low"], shown["ratio_high"] - shown["ratio"]]
        axes.errorbar(shown["ratio"], shown["what"], xerr=spread, fmt="none", color="black")
        axes.axvline(1.0, color="black", linewidth=1)
        axes.axvline(0.8, color="black", linewidth=1, linestyle=":")
        axes.set_xlabel("our time / the better PyTorch time (dotted: goal); lines: all turns")
        figure.savefig(out / "ratios.png", dpi=100)
        plt.close(figure)
    curves = {
        title: (unit, {x: found[name] for x, name in points.items() if name in found})
        for title, (unit, points) in pieces.CURVES.items()
    }
    curves = {title: curve for title, curve in curves.items() if len(curve[1]) > 1}
    if curves:
        figure, all_axes = plt.subplots(
            1, len(curves), figsize=(4 * len(curves), 3.2), layout="constrained", squeeze=False
        )
        for axes, (title, (unit, points)) in zip(all_axes[0], curves.items(), strict=True):
            for side in ("ours", "eager"):
                known = {x: sides[side]["seconds"] for x, sides in points.items() if side in sides}
                if known:
                    axes.plot(list(known), list(known.values()), "o-", label=side)
            axes.set(title=title, xlabel=unit, ylabel="s", xscale="log", yscale="log")
            axes.set_xticks(list(points), [f"{x:g}" for x in points], minor=False)
            axes.set_xticks([], minor=True)
            axes.legend()
        figure.savefig(out / "curves.png", dpi=100)
        plt.close(figure)


def write_readme(folder: Path, out: Path, machine: dict, found: dict, rows: pd.DataFrame) -> None:
    """Puts the results between the marks of README.md, and the pictures beside it."""
    path = folder / "README.md"
    before, rest = path.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    about: dict = {}
    for side in found["product"].values():
        about |= {key: side[key] for key in ("device", "jax", "torch", "python") if key in side}
    said = ", ".join(f"{name} {value}" for name, value in (machine | about).items())
    rates = {
        "product": found["product"]["ours"]["flops"],
        "copy": found["copy"]["ours"]["bytes"],
    }
    for name, amount in rates.items():
        rates[name] = amount / min(side["seconds"] for side in found[name].values()) / 1e9
    lines = [
        MARKS[0],
        "",
        f"{said}. Measured ceilings: {rates['product']:.0f} GFLOP/s in a matrix product, "
        f"{rates['copy']:.0f} GB/s in a copy.",
        "",
        table(rows),
        "",
    ]
    for name in PICTURES:
        if (out / name).exists():
            shutil.copy(out / name, folder / name)
            lines += [f"![{name}]({name})", ""]
    path.write_text(before + "\n".join([*lines, MARKS[1]]) + after)
