"""LabelMe's and COCO's JSON, with and without the image beside it."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from semjax.outlining import Outlining
from tests.fuzz import damage
from tests.fuzz.rois import read_outlines, read_particles


def labelme(rng: np.random.Generator) -> dict:
    """A file as LabelMe writes it."""
    kinds = ("polygon", "polygon", "rectangle", "circle", "mask", "line", "point", "", None)
    shapes = []
    for _ in range(rng.integers(0, 6)):
        kind = damage.pick(rng, kinds)
        n = 2 if kind in ("rectangle", "circle", "mask", "line") else int(rng.integers(1, 12))
        points = rng.uniform(-10, damage.pick(rng, (60,) * 20 + (20_000,)), (n, 2)).round(3)
        shape = {"label": "particle", "points": points.tolist(), "shape_type": kind}
        shape["group_id"] = damage.pick(rng, (None, None, 1, 2, "a"))
        if kind == "mask":
            file = io.BytesIO()
            mask = rng.random((int(rng.integers(1, 30)), 9)) < 0.5
            Image.fromarray(mask).save(file, "PNG")
            content = file.getvalue()
            content = damage.some_bytes(rng, content) if rng.random() < 0.3 else content
            shape["mask"] = base64.b64encode(content).decode()
        shapes.append(shape)
    found = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "case.png"}
    return found | {"imageData": None, "imageHeight": 80, "imageWidth": 60}


def coco(rng: np.random.Generator) -> dict:
    """A file as COCO's exporters write it."""
    annotations = []
    for number in range(rng.integers(0, 6)):
        if rng.random() < 0.3:
            inside = rng.integers(1, 60 * 80 - 1, 2)
            counts = np.diff([0, *np.sort(inside), 60 * 80]).tolist()
            segmentation = {"size": [80, 60], "counts": counts}
        else:
            top = damage.pick(rng, (60,) * 20 + (20_000,))
            rings = [rng.uniform(0, top, 2 * int(rng.integers(1, 9))) for _ in range(2)]
            segmentation = [ring.round(2).tolist() for ring in rings]
        annotations.append({"id": number, "image_id": 1, "segmentation": segmentation})
    image = {"id": 1, "file_name": "case.png", "height": 80, "width": 60}
    return {"images": [image], "annotations": annotations, "categories": []}


def make(rng: np.random.Generator, folder: Path) -> None:
    """A JSON file, and maybe its image."""
    good = labelme(rng) if rng.random() < 0.5 else coco(rng)
    damage.write_json(rng, folder / "case.json", good)
    if rng.random() < 0.3:
        Image.fromarray(rng.integers(0, 255, (80, 60), np.uint8)).save(folder / "case.png")
        if rng.random() < 0.2:
            damage.spoil_file(rng, folder / "case.png")


def go_on_outlining(folder: Path) -> None:
    """As `semjax outline` goes on with it."""
    if (folder / "case.png").is_file():
        Outlining(folder, folder)


READERS = (read_particles, read_outlines, go_on_outlining)
