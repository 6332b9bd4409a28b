"""Review of a measured folder by hand: labels corrected, particles kept or dropped, tables after.

Everything goes into the folder `reviewed` inside the measured folder, which is a measured folder
itself; the originals are only read.
"""

import hashlib
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from semjax import measured, models, tables
from semjax.analysis import edited, editing
from semjax.data import annotations, contrast, images
from semjax.exports import fiji
from semjax.report import figures
from semjax.workdir import read_json, whole, write_json, write_text

UNDO_STEPS = 50


class Review:
    """The state of a review; every edit is saved at once, and a later one goes on from there.

    Attributes:
        folder: the measured folder, never written to but for `reviewed` in it.
        out: `folder/reviewed`; made by the first edit.
        names: the images.
        at: number of the open image in `names`.
        original: int32 (h, w), labels of the open image as measured.
        labels: the same as they are now.
        tables: particles of each image as they are now, with the column `edited`.
        unit: "nm" or "px".
        measured: all particles as measured.
        border: "drop" or "weights": whether whole particles stand for those that the border cuts.
    """

    def __init__(self, path: str | Path):
        """Opens a measured folder, or goes on with its review.

        Raises:
            FileNotFoundError: no measured folder, or files of it are missing.
            ValueError: damaged, or measured again since the review.
        """
        self.folder = tables.find(path)
        self.out = self.folder / "reviewed"
        self.measured = self._read_particles(self.folder)
        self._images = tables.read_table(self.folder / "images.csv", "image", "pixel_size_nm")
        self.unit = "nm" if "min_feret_nm" in self.measured else "px"
        self.names: list[str] = list(self._images["image"])
        if not self.names:
            raise ValueError(f"{self.folder / 'images.csv'} lists no image; measure some first")
        self._facts = {"border": "drop", "bootstrap": 1000, "seed": 0, "nano_nm": 100.0}
        for name in ("distribution.json", "measured.json"):  # the first is all that old runs have
            if (self.folder / name).is_file():
                self._facts |= tables.read_facts(self.folder / name)
        self.border: str = self._facts["border"]
        self._choices: dict[str, dict[int, bool]] = {}
        particles, rows, start = self.measured, self._images, self.names[0]
        if self.out.exists():
            start = self._read_state()
            rows = tables.read_table(self.out / "images.csv", *self._images)
            # Images may have joined since, and a kill may have kept them from being written.
            new = set(self.names) - set(rows["image"])
            parts = self._read_particles(self.out), self.measured.assign(edited=False)
            here = [part["image"].isin(new) == is_new for is_new, part in enumerate(parts)]
            particles = pd.concat([part[at] for part, at in zip(parts, here, strict=True)])
            rows = pd.concat([rows, self._images]).drop_duplicates("image")
            rows = rows.set_index("image").loc[self.names].reset_index()
        marked = particles if "edited" in particles else particles.assign(edited=False)
        self.tables = {name: marked[marked["image"] == name] for name in self.names}
        self._image_rows = rows.to_dict("records")
        self._touched = False
        self.open(self.names.index(start))
        # A crash may have kept both from being written.
        self._touched = self._stale = self.out.exists()

    def _read_particles(self, folder: Path) -> pd.DataFrame:
        needed = ("image", "label", "border", "kept", "reason", "class_score")
        table = tables.read_table(folder / "particles.csv", *needed)
        return table.astype({"border": bool, "kept": bool})

    def _read_state(self) -> str:
        """Takes over choices, and returns the image where one stopped."""
        path = self.out / "review.json"
        if not path.is_file():
            raise ValueError(f"{self.out} holds no review (no review.json); rename that folder")
        state = read_json(path)
        try:
            if state.get("particles") == models.checksum(self.folder / "particles.csv"):
                state["images"] = self._fingerprints  # begun by a version that saw all as one
            known, start = dict(state["images"]), str(state["at"])
            self._choices = {
                name: {int(number): bool(keep) for number, keep in choices.items()}
                for name, choices in state["choices"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged; rename {self.out} and begin again") from error
        changed = [name for name in known if known[name] != self._fingerprints.get(name)]
        if changed or start not in known:
            raise ValueError(
                f"{self.folder} was measured again after its review ({', '.join(changed[:3])}); "
                f"rename {self.out}, which belongs to the measurement before, and begin again"
            )
        self._complete()
        return start

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        """What tells by image whether it was measured again; other images may join them."""
        numbers = self.measured.select_dtypes("number").columns
        found = {}
        for name in self.names:
            rows = self.measured[self.measured["image"] == name]
            rows = rows.astype(dict.fromkeys(numbers, float))  # other images may make them so
            labels = self.folder / "labels" / f"{name}.tif"
            made = hashlib.sha256(rows.to_csv(index=False, float_format="%.6g").encode())
            made.update(labels.read_bytes() if labels.is_file() else b"")
            found[name] = made.hexdigest()
        return found

    @property
    def name(self) -> str:
        return self.names[self.at]

    @property
    def table(self) -> pd.DataFrame:
        """Particles of the open image."""
        return self.tables[self.name]

    def open(self, at: int) -> None:
        """Opens the image of this number; steps beyond the ends stay at the end.

        Raises:
            FileNotFoundError: its labels are missing.
            ValueError: they do not fit the table.
        """
        self._show_edits()
        self.at = min(max(at, 0), len(self.names) - 1)
        self.original = images.read_labels(self._labels(self.folder))
        reviewed = self._labels(self.out)
        self.labels = images.read_labels(reviewed) if reviewed.exists() else self.original.copy()
        self._rows = self.measured[self.measured["image"] == self.name]
        numbers = np.unique(self.original)
        if self.labels.shape != self.original.shape or not np.array_equal(
            numbers[numbers > 0], np.sort(self._rows["label"])
        ):
            raise ValueError(
                f"{self._labels(self.folder)} and particles.csv do not hold the same particles; "
                "measure again"
            )
        self._past: list[tuple[np.ndarray, dict[int, bool]]] = []
        self._raw = self._read_raw()
        self._follow()
        if self.out.exists():
            self._write_state()

    def _labels(self, folder: Path) -> Path:
        return folder / "labels" / f"{self.name}.tif"

    def _read_raw(self) -> np.ndarray | None:
        """The micrograph as it was measured, without its bar; None if it is not there any more."""
        path, (h, w) = measured.micrograph(self.folder, self.name), self.original.shape
        raw = images.read_image(path, levels=True) if path else None
        bar = int(self._images.iloc[self.at].get("info_bar_px", 0))
        # Not if its pixels were made square.
        return raw[:h] if raw is not None and raw.shape == (h + bar, w) else None

    def picture(self) -> np.ndarray:
        """What to show under the labels, uint8 (h, w); black if there is nothing.

        The contrast-stretched picture if there is one, else the micrograph, else the overlay, in
        which the old outlines are black.
        """
        picture, shape = self.folder / "pictures" / f"{self.name}.jpg", self.original.shape
        step = contrast.shown_step(self.original)
        if not picture.is_file() and self._raw is not None:
            return figures.to_uint8(images.stretch_contrast(self._raw))
        for path in (picture, self.folder / "overlays" / f"{self.name}.png"):
            if path.is_file():
                shown = images.read_colors(path)
                shown = shown if shown.ndim == 2 else shown.min(axis=2)
                if step > 1 or shown.shape == shape:
                    places = zip(shape, shown.shape, strict=True)
                    return shown[
                        np.ix_(*(np.minimum(np.arange(n) // step, m - 1) for n, m in places))
                    ]
        return np.zeros(shape, np.uint8)

    def split(self, line: np.ndarray) -> None:
        """Splits a particle along a line (see `editing.split`).

        Raises:
            ValueError: as there.
        """
        self._change(editing.split(self.labels, line, above=self._highest()))

    def merge(self, line: np.ndarray) -> None:
        """Merges the particles under a line (see `editing.merge`).

        Raises:
            ValueError: as there.
        """
        self._change(editing.merge(self.labels, line))

    def delete(self, number: int) -> None:
        """Takes a particle away.

        Raises:
            ValueError: there is none.
        """
        self._change(editing.delete(self.labels, number))

    def draw(self, number: int, polygon: np.ndarray) -> None:
        """Draws a particle anew, or a new one; pixels of other particles stay theirs.

        Args:
            number: of the particle; see `new_number`.
            polygon: (n, 2) row and column of its corners, whole numbers at the pixels' centres.

        Raises:
            ValueError: too little is left for it.
        """
        filled, row, col = annotations.fill([np.asarray(polygon, float)[:, ::-1] + 0.5])
        rows, cols = np.nonzero(filled)
        rows, cols = rows + row, cols + col
        (h, w), mask = self.labels.shape, np.zeros(self.labels.shape, bool)
        inside = (rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)
        mask[rows[inside], cols[inside]] = True
        self.paint(editing.redraw(self.labels, number, mask))

    def paint(self, painted: np.ndarray) -> None:
        """Takes over labels that were painted; pieces become particles (see `editing.tidy`)."""
        painted = np.asarray(painted, np.int32)
        self._change(editing.tidy(painted, self.labels, above=self._highest()))

    def new_number(self) -> int:
        """A number that no particle of the open image has or had."""
        return max(self._highest(), int(self.labels.max(initial=0))) + 1

    def _highest(self) -> int:
        return int(self.original.max(initial=0))

    def toggle(self, number: int) -> bool:
        """Keeps a particle that was left out, or drops one that was kept; returns what it is now.

        Raises:
            ValueError: there is none, or it touches the border.
        """
        row = self.table[self.table["label"] == number]
        if row.empty:
            raise ValueError("there is no particle here; point at one")
        if row["border"].item():
            raise ValueError(
                f"particle {number} touches the border, so its sizes are lower bounds; it cannot "
                "be kept"
            )
        keep = not row["kept"].item()
        choices = dict(self._choices.get(self.name, {}))
        if number in choices:
            del choices[number]  # back to what was found without a hand
        else:
            choices[number] = keep
        self._remember()
        self._choices[self.name] = choices
        self._save()
        return keep

    def undo(self) -> bool:
        """Takes back the open image's last edit; False if there is none since it was opened."""
        if not self._past:
            return False
        self.labels, self._choices[self.name] = self._past.pop()
        self._save()
        return True

    def _remember(self) -> None:
        self._past.append((self.labels, self._choices.get(self.name, {})))
        del self._past[:-UNDO_STEPS]

    def _change(self, labels: np.ndarray) -> None:
        if np.array_equal(labels, self.labels):
            return
        self._remember()
        # A choice was made for a particle as it looked then.
        present = set(np.unique(labels)) - set(editing.changed(labels, self.labels))
        old = self._choices.get(self.name, {})
        self._choices[self.name] = {n: keep for n, keep in old.items() if n in present}
        self.labels = labels.astype(np.int32)
        self._save()

    def _follow(self) -> None:
        """Makes the open image's rows of both tables from its labels and choices."""
        size = self._images["pixel_size_nm"].iloc[self.at]
        rows = edited.particles(
            self._rows,
            self.original,
            self.labels,
            self._choices.get(self.name, {}),
            image=self._raw,
            pixel_size_nm=None if self.unit == "px" else float(size),
        ).assign(image=self.name)
        self.tables[self.name] = rows
        mean = edited.mean_size(rows, unit=self.unit, border=self.border)
        found = {"particles": len(rows), "kept": int(rows["kept"].sum())}
        found["foreground_fraction"] = round(float((self.labels > 0).mean()), 5)
        found[f"mean_min_feret_{self.unit}"] = round(mean, 3)
        # What was said of the labels before them does not hold for edited ones.
        redrawn = bool((self.labels != self.original).any())
        for column in ("agreement", "ghost_share"):
            if column in self._images:
                found[column] = np.nan if redrawn else self._images[column].iloc[self.at]
        self._image_rows[self.at] |= found

    def _save(self) -> None:
        """Writes the open image's labels, the state and all tables."""
        self._touched = self._stale = True
        self._complete()
        size = None if self.unit == "px" else float(self._images["pixel_size_nm"].iloc[self.at])
        measured.write_labels(self._labels(self.out), self.labels, pixel_size_nm=size)
        self._write_state()
        self._follow()
        self._write_tables()

    def _write_tables(self) -> None:
        write_text(self.out / "particles.csv", self.particles().to_csv(index=False))
        write_text(self.out / "images.csv", self.images().to_csv(index=False))

    def particles(self) -> pd.DataFrame:
        """All particles as they are now."""
        filled = [table for table in self.tables.values() if len(table)]
        return pd.concat(filled, ignore_index=True) if filled else self.table

    def images(self) -> pd.DataFrame:
        """All images' rows of images.csv as they are now."""
        return pd.DataFrame(self._image_rows)

    def _write_state(self) -> None:
        state = {"format": 2, "images": self._fingerprints, "at": self.name}
        write_json(self.out / "review.json", state | {"choices": self._choices})

    def _complete(self) -> None:
        """Copies what is not reviewed yet; the state goes first and says that a review began."""
        if not self.out.exists():
            self._write_state()
        for part in ("labels", "overlays", "probability", "pictures", "rois"):
            for path in sorted((self.folder / part).glob("*.*")):
                copy = self.out / part / path.name
                if not copy.exists() and path.suffix != ".part":
                    with whole(copy) as partial:
                        shutil.copyfile(path, partial)
        for name, table in (("particles", self.measured), ("images", self._images)):
            if not (self.out / f"{name}.csv").exists():
                write_text(self.out / f"{name}.csv", table.to_csv(index=False))

    def finish(self) -> None:
        """Brings overlays, ROIs, `distribution.json` and `measured.json` up to date.

        They take too long for every edit: a window calls this when it is closed. Without any edit
        since then nothing is written.
        """
        self._show_edits()
        if self._stale:
            self._write_tables()
            self._write_summary()
            self._stale = False

    def _show_edits(self) -> None:
        """Writes the open image's overlay and ROIs, if it has been edited."""
        if not self._touched:
            return
        kept = np.zeros(int(self.labels.max(initial=0)), bool)
        kept[self.table.loc[self.table["kept"], "label"] - 1] = True
        step, (h, w) = contrast.shown_step(self.labels), self.labels.shape
        part = slice(0, h - h % step, step), slice(0, w - w % step, step)
        overlay = figures.overlay(self.picture()[part], self.labels[part], kept)
        figures.write_png(self.out / "overlays" / f"{self.name}.png", overlay)
        if (self.folder / "rois").is_dir():
            fiji.write_rois(self.out / "rois" / f"{self.name}.zip", self.labels)
        self._touched = False

    def _write_summary(self) -> None:
        how = {key: self._facts[key] for key in ("border", "bootstrap", "seed", "nano_nm")}
        summary = edited.summarize(self.particles(), unit=self.unit, **how)
        write_json(self.out / "distribution.json", summary)
        if (self.folder / "measured.json").is_file():
            noted = read_json(self.folder / "measured.json")
            write_json(self.out / "measured.json", noted | {"reviewed": self.counts()})

    def counts(self) -> dict[str, int]:
        """How many particles were drawn or changed, taken away, and kept or dropped by hand."""
        particles = self.particles()
        marks = ["image", "label"]
        gone = self.measured[marks].merge(particles[marks], how="left", indicator=True)["_merge"]
        found = {"edited": particles["edited"].sum(), "gone": (gone == "left_only").sum()}
        found |= {words: (particles["reason"] == words).sum() for words in edited.BY_HAND.values()}
        return {what: int(n) for what, n in found.items()}
