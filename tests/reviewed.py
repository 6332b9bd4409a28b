"""A measured folder of three small images, and edits of it, for tests of reviews."""

import json

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from semjax import models
from semjax.analysis import regions
from semjax.exports import fiji
from semjax.report import figures
from semjax.workdir import write_json


def discs(centres, shape=(60, 90)):
    """Discs of 9 px radius, numbered from 1, the later ones on top."""
    rows, cols = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(centres, start=1):
        labels[np.hypot(rows - row, cols - col) <= 9] = number
    return labels


IMAGES = {
    # 1 and 2 touch each other, 3 the border, 4 is alone and left out by its score.
    "0012": discs([(20, 20), (20, 37), (50, 3), (45, 60)]),
    "b": discs([(30, 30)]),
    "empty": discs([]),
}


def tables(nm=2.0):
    rows = []
    for name, labels in IMAGES.items():
        raw = np.indices(labels.shape).sum(0)
        table = regions.measure(labels, raw, pixel_size_nm=nm)
        table.insert(0, "image", name)
        score = np.linspace(0.9, 0.3, len(table)).round(4)
        table["class_score"], table["kept"] = score, ~table["border"] & (score > 0.4)
        low = np.where(score > 0.4, "", "class score")
        table["reason"] = np.where(table["border"], "touches the border", low)
        rows.append(table)
    return pd.concat(rows, ignore_index=True)


def write(tmp_path):
    """A measured folder of three images as the measure stage leaves it, with their micrographs."""
    made = tmp_path / "measured"
    for part in ("done", "labels", "overlays", "pictures", "probability", "rois"):
        (made / part).mkdir(parents=True)
    particles = tables()
    rows = []
    for name, labels in IMAGES.items():
        raw = np.indices((70, 90)).sum(0).astype(np.uint8)  # ten rows of information bar
        Image.fromarray(raw).save(tmp_path / f"{name}.png")
        Image.fromarray(raw[:60]).save(made / "pictures" / f"{name}.jpg")
        fiji.write_tiff(made / "labels" / f"{name}.tif", labels, pixel_size_nm=2.0)
        tifffile.imwrite(made / "probability" / f"{name}.tif", (labels > 0) * np.uint8(255))
        figures.write_png(made / "overlays" / f"{name}.png", figures.overlay(raw[:60], labels))
        fiji.write_rois(made / "rois" / f"{name}.zip", labels)
        own = particles[particles["image"] == name]
        row = {"image": name, "pixel_size_nm": 2.0, "pixel_size_from": "given", "info_bar_px": 10}
        row |= {"particles": len(own), "kept": own["kept"].sum()}
        row |= {"foreground_fraction": round((labels > 0).mean(), 5), "agreement": 0.9}
        row |= {"ghost_share": 0.1, "file": f"{name}.png"}
        path = tmp_path / f"{name}.png"
        write_json(
            made / "done" / f"{name}.json", {"path": str(path), "sha256": models.checksum(path)}
        )
        mean = own.loc[own["kept"], "min_feret_nm"].mean()
        rows.append(row | {"mean_min_feret_nm": round(mean, 3)})
    particles.to_csv(made / "particles.csv", index=False)
    pd.DataFrame(rows).to_csv(made / "images.csv", index=False)
    facts = {"format": 1, "unit": "nm", "border": "drop", "bootstrap": 50, "seed": 3}
    (made / "measured.json").write_text(json.dumps(facts | {"nano_nm": 100.0}))
    return made


def read(path):
    return pd.read_csv(path, dtype={"image": str}, keep_default_na=False, na_values=[""])


ACROSS = np.array([[5, 20], [35, 20]])  # through disc 1
THROUGH = np.array([[20, 25], [20, 37]])  # from the right half of disc 1 into disc 2


def edits(review):
    """One of each kind; leaves the first image open."""
    review.split(ACROSS)
    review.merge(THROUGH)
    review.toggle(4)
    review.delete(3)
    review.draw(review.new_number(), np.array([[2, 70], [2, 80], [12, 80], [12, 70]]))
    painted = review.labels.copy()
    painted[50:55, 80:85] = 77
    review.paint(painted)
