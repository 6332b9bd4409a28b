"""Measured folders, edits of the report's page, answers of the audit's page, reviews."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from semjax import audit
from semjax.analysis import regions
from semjax.report import measured, sample
from semjax.reviewing import Review
from semjax.workdir import Work, write_json
from tests.fuzz import damage

CELLS = ("", "nan", "inf", "-1", "1e400", "x", "True", "0.5", "../../a", "/etc/a", '"', "9" * 400)


def write_measured(rng: np.random.Generator, folder: Path) -> dict:
    """A small measured folder; returns what its measured.json says."""
    labels = np.zeros((40, 60), np.uint16)
    for number in range(int(rng.integers(0, 9))):
        labels[4 + 9 * (number // 3) :, 5 + 18 * (number % 3) :][:6, :12] = number + 1
    (folder / "labels").mkdir(parents=True)
    tifffile.imwrite(folder / "labels" / "a.tif", labels)
    table = regions.measure(labels, labels, pixel_size_nm=2.0).assign(class_score=0.5)
    table["kept"], table["reason"] = ~table["border"], np.where(table["border"], "border", "")
    table.insert(0, "image", "a")
    table.to_csv(folder / "particles.csv", index=False)
    row = {"image": "a", "pixel_size_nm": 2.0, "pixel_size_from": "given", "info_bar_px": 0}
    row |= {"particles": len(table), "kept": int(table["kept"].sum()), "file": "a.tif"}
    row |= {"foreground_fraction": 0.2, "height_px": 40, "width_px": 60}
    pd.DataFrame([row]).to_csv(folder / "images.csv", index=False)
    facts = {"format": 1, "unit": "nm", "border": "drop", "nano_nm": 100.0, "bootstrap": 20}
    facts |= {"seed": 0, "versions": {}, "settings": {}, "model": {"hash": "1", "scores": {}}}
    facts |= {"images": {"a": {"file": "a.tif", "sha256": "0", "scale": 1.0, "instrument": {}}}}
    write_json(folder / "measured.json", facts)
    return facts


def spoil_table(rng: np.random.Generator, path: Path) -> None:
    """Changes cells, columns or rows of a CSV file, or its bytes."""
    lines = [line.split(",") for line in path.read_text(errors="replace").splitlines()] or [[]]
    for _ in range(rng.integers(1, 4)):
        kind, row = rng.integers(7), int(rng.integers(len(lines)))
        col = int(rng.integers(max(len(lines[row]), 1)))
        if kind < 3 and lines[row]:
            lines[row][col % len(lines[row])] = damage.pick(rng, CELLS)
        elif kind == 3:
            lines = [line[:col] + line[col + 1 :] for line in lines]
        elif kind == 4:
            lines.append(lines[row])
        elif kind == 5:
            del lines[row]
            lines = lines or [[]]
        else:
            lines[row] = lines[row][:col]
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    if rng.random() < 0.1:
        damage.spoil_file(rng, path)


def make(rng: np.random.Generator, folder: Path) -> None:
    """A work folder with a measured folder, edits and answers; one or two of the files spoilt."""
    work = Work(folder)
    facts = write_measured(rng, work.measure)
    write_json(work.measure / "done.json", {"id": "m1", "upstream": {}})
    sha256 = hashlib.sha256((work.measure / "particles.csv").read_bytes()).hexdigest()
    edits = [{"sample": "s", "image": "a", "label": 1, "keep": bool(rng.integers(2))}]
    good = {"format": 1, "samples": {"s": sha256}, "edits": edits}
    (folder / "edits.json").write_text(json.dumps(good))
    answers = "image,label,verdict,run,seed\na,1,accept,m1,0\na,2,reject,m1,0\n"
    (folder / "answers.csv").write_text(answers)
    review = {"format": 1, "particles": sha256, "at": "a", "choices": {"a": {"1": False}}}
    write_json(work.measure / "reviewed" / "review.json", review)
    for _ in range(rng.integers(1, 3)):
        kind = rng.integers(7)
        if kind == 0:
            damage.write_json(rng, folder / "edits.json", good)
        elif kind == 1:
            spoil_table(rng, folder / "answers.csv")
        elif kind == 2:
            damage.write_json(rng, work.measure / "reviewed" / "review.json", review)
        elif kind == 3:
            damage.write_json(rng, work.measure / "measured.json", facts)
        elif kind == 4:
            spoil_table(rng, work.measure / "images.csv")
        elif kind == 5:
            damage.spoil_file(rng, work.measure / "labels" / "a.tif")
        else:
            spoil_table(rng, work.measure / "particles.csv")


def report(folder: Path) -> None:
    """As `semjax report` reads it."""
    measured.read(Work(folder).measure, "s")


def write_report(folder: Path) -> None:
    """The whole report, of every twentieth case: it takes a second."""
    if int(folder.name.rpartition("-")[2] or 0) % 20 == 0:
        sample.write([folder], folder / "size_report.html")


def edit(folder: Path) -> None:
    """As `semjax report --edits` reads it."""
    found = measured.read(Work(folder).measure, "s")
    measured.apply([found], folder / "edits.json")


def judge(folder: Path) -> None:
    """As `semjax audit --answers` reads it."""
    audit.judge(Work(folder), folder / "answers.csv")


def review(folder: Path) -> None:
    """As `semjax review` opens it; all it writes lies in the folder."""
    Review(Work(folder).measure).new_number()


READERS = (report, write_report, edit, judge, review)
