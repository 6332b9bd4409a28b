"""Small measured folders, drawn and measured here."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax.analysis import regions

NAMES = ("plain", "<b>&amp; \"q\" 'é µ' 100 %")


def draw_labels(rng, height, width):
    """Ellipses on a grid, some cut by the border."""
    rows, cols = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for number, place in enumerate(np.ndindex(height // 30, width // 30), start=1):
        centre = 30 * np.array(place) + 15 + rng.uniform(-6, 6, 2)
        a, b = rng.uniform(4, 11, 2)
        turn = rng.uniform(0, np.pi)
        x, y = cols - centre[1], rows - centre[0]
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        labels[(u / a) ** 2 + (v / b) ** 2 <= 1] = number
    return labels


def write_folder(
    folder, *, names=NAMES, seed=0, unit="nm", border="drop", shape=(150, 180), **facts
):
    """A complete measured folder; `facts` go to measured.json."""
    rng = np.random.default_rng(seed)
    for name in ("labels", "pictures", "overlays"):
        (folder / name).mkdir(parents=True)
    size = 2.5 if unit == "nm" else None
    tables, rows, known = [], [], {}
    for name in names:
        labels = draw_labels(rng, *shape)
        image = np.where(labels > 0, 170, 40) + rng.integers(-20, 20, shape)
        table = regions.measure(labels, image, pixel_size_nm=size)
        table.insert(0, "image", name)
        table["class_score"] = rng.uniform(0, 1, len(table)).round(4)
        low = table["class_score"] < 0.15
        table["kept"] = ~(table["border"] | low)
        reason = np.where(low, "class score", "")
        table["reason"] = np.where(table["border"], "touches the border", reason)
        tables.append(table)
        tifffile.imwrite(folder / "labels" / f"{name}.tif", labels.astype(np.uint16))
        grey = Image.fromarray(image.astype(np.uint8))
        grey.save(folder / "pictures" / f"{name}.jpg", quality=90)
        grey.convert("RGB").save(folder / "overlays" / f"{name}.png")
        rows.append({"image": name, "file": f"{name}.tif", "pixel_size_nm": size})
        rows[-1] |= {"height_px": shape[0], "width_px": shape[1], "pixel_size_from": "ImageJ tag"}
        digest = hashlib.sha256(name.encode()).hexdigest()
        known[name] = {"file": f"{name}.tif", "sha256": digest, "instrument": {"maker": "A & <B>"}}
    pd.concat(tables).to_csv(folder / "particles.csv", index=False)
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    noted = {"format": 1, "semjax": "1.2.3", "versions": {"python": "3"}, "unit": unit}
    noted |= {"border": border, "nano_nm": 40.0, "bootstrap": 20, "seed": 0}
    noted |= {"calibration_uncertainty": 0.01, "model": {"path": "m", "hash": "0" * 64}}
    noted |= {"settings": {"min_area_px": 9}, "images": known} | facts
    (folder / "measured.json").write_text(json.dumps(noted), encoding="utf-8")
    return folder


@pytest.fixture
def make_folder():
    """Writes a measured folder: `make_folder(path, names=…, unit=…)`."""
    return write_folder
