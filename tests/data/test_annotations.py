"""Tests of outlines from ImageJ, LabelMe and COCO."""

import base64
import io
import json
import struct
import zipfile

import numpy as np
import pytest
import roifile
from PIL import Image
from scipy import ndimage

from semjax.data import annotations
from semjax.exports import fiji


def place(drawn, shape):
    """The particle's pixels in an image of some shape."""
    mask = np.zeros(shape, bool)
    h, w = drawn.mask.shape
    mask[drawn.row : drawn.row + h, drawn.col : drawn.col + w] = drawn.mask
    return mask


def blobs(seed, shape=(60, 80)):
    """Labels of random blobs without holes, each in one piece."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    labels = ndimage.label(noise > 0.3 * noise.std(), np.ones((3, 3)))[0].astype(np.int32)
    for label in range(1, labels.max() + 1):
        labels[ndimage.binary_fill_holes(labels == label)] = label
    return labels


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def labelme(*shapes, **more):
    size = {"imagePath": "..\\images\\field 1.tif", "imageHeight": 60, "imageWidth": 80}
    return {"version": "5.5.0", "shapes": list(shapes), **size, **more}


def coco(*segmentations):
    return {
        "images": [{"id": 7, "file_name": "images/a.b.png", "height": 30, "width": 40}],
        "annotations": [
            {"id": i, "image_id": 7, "segmentation": s} for i, s in enumerate(segmentations, 1)
        ],
    }


def runs(mask):
    """COCO's run lengths of a mask: down the columns, outside first."""
    flat = np.concatenate([[False], mask.T.ravel()])
    change = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], change, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


@pytest.mark.parametrize("seed", range(10))
def test_exported_rois_give_the_labels_back(tmp_path, seed):
    labels = blobs(seed)
    fiji.write_rois(tmp_path / "field_RoiSet.zip", labels)
    found = annotations.read(tmp_path / "field_RoiSet.zip")
    assert len(found) == labels.max()
    for label, drawn in enumerate(found, start=1):
        np.testing.assert_array_equal(place(drawn, labels.shape), labels == label)
        assert drawn.image == "field"
        assert drawn.source.endswith(f"field_RoiSet.zip ({label})")


@pytest.mark.parametrize("seed", range(20))
def test_fill_gives_any_mask_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(2, 12, 2)) < 0.6  # pieces, holes, corners that touch
    mask[rng.integers(len(mask)), rng.integers(mask.shape[1])] = True
    roi = fiji.contours.trace(mask.astype(int))[1]
    filled, row, col = annotations.fill([path[:, ::-1] for path in roi])
    found = np.zeros_like(mask)
    found[row : row + len(filled), col : col + filled.shape[1]] = filled
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("seed", range(10))
def test_fill_takes_centres_inside(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 50, 2) + rng.uniform(3, 30) * rng.random((3, 2))
    filled, top, left = annotations.fill([points])
    rows, cols = np.mgrid[: filled.shape[0], : filled.shape[1]]
    centres = np.stack([cols + left + 0.5, rows + top + 0.5], -1)
    sides = [
        np.cross(np.append(b - a, 0), np.append(centres - a, np.zeros_like(rows)[..., None], -1))
        for a, b in zip(points, np.roll(points, -1, axis=0), strict=True)
    ]
    turn = np.stack([side[..., 2] > 0 for side in sides])
    np.testing.assert_array_equal(filled, turn.all(axis=0) | ~turn.any(axis=0))


def test_largest_piece_without_holes(tmp_path):
    label = np.zeros((20, 30), np.int32)
    label[2:10, 3:12] = 1
    label[5, 6] = 0
    label[12:15, 20:24] = 1
    fiji.write_rois(tmp_path / "a.zip", label)
    (found,) = annotations.read(tmp_path / "a.zip")
    assert (found.row, found.col) == (2, 3)
    assert found.mask.shape == (8, 9)
    assert found.mask.all()


def test_single_roi_and_kinds_without_area(tmp_path, caplog):
    square = [[3, 4], [13, 4], [13, 10], [3, 10]]
    roifile.ImagejRoi.frompoints(square, name="x").tofile(tmp_path / "0004-0008.roi")
    (found,) = annotations.read(tmp_path / "0004-0008.roi")
    assert (found.row, found.col, found.mask.shape) == (4, 3, (6, 10))
    line, point = (roifile.ImagejRoi.frompoints(square, name=name) for name in "lp")
    line.roitype, point.roitype = roifile.ROI_TYPE.POLYLINE, roifile.ROI_TYPE.POINT
    roifile.roiwrite(tmp_path / "a.zip", [line, point], mode="w")
    with pytest.raises(ValueError, match="a.zip holds no outline"):
        annotations.read(tmp_path / "a.zip")
    roifile.roiwrite(tmp_path / "a.zip", roifile.ImagejRoi.frompoints(square, name="area"))
    assert len(annotations.read(tmp_path / "a.zip")) == 1


def test_other_entries_of_a_zip_are_passed_over(tmp_path):
    fiji.write_rois(tmp_path / "a.zip", np.ones((3, 3), int))
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("__MACOSX/._1.roi", b"resource fork")
        archive.writestr(".DS_Store", b"more of it")
    assert len(annotations.read(tmp_path / "a.zip")) == 1


def test_labelme(tmp_path):
    disc = np.hypot(*np.mgrid[-9:10, -9:10]) < 9
    picture = io.BytesIO()
    Image.fromarray(disc).save(picture, "PNG")
    shapes = [
        {"label": "a", "points": [[10, 10], [30, 10], [30, 20.2], [10, 20.2]]},
        {"label": "a", "shape_type": "rectangle", "points": [[60, 40], [50, 30]]},
        {"label": "a", "shape_type": "circle", "points": [[40, 40], [44, 43]]},
        {
            "label": "a",
            "shape_type": "mask",
            "points": [[2, 33], [21, 52]],
            "mask": base64.b64encode(picture.getvalue()).decode(),
        },
        {"label": "a", "group_id": 1, "points": [[70, 5], [74, 5], [74, 9], [70, 9]]},
        {"label": "a", "group_id": 1, "points": [[74, 5], [78, 5], [78, 9], [74, 9]]},
        {"label": "a", "shape_type": "point", "points": [[5, 5]]},
    ]
    found = annotations.read(write_json(tmp_path / "a.json", labelme(*shapes)))
    assert [(d.row, d.col, *d.mask.shape) for d in found] == [
        (10, 10, 10, 20),
        (30, 50, 10, 10),
        (35, 35, 10, 10),
        (34, 3, 17, 17),
        (5, 70, 4, 8),
    ]
    assert abs(found[2].mask.sum() - np.pi * 25) < 4
    assert found[3].mask.sum() == disc.sum()
    assert {(d.image, d.shape) for d in found} == {("field 1", (60, 80))}
    assert not any(d.touches_border for d in found)


def test_coco(tmp_path):
    mask = np.zeros((30, 40), bool)
    mask[3:9, 30:40] = mask[2, 33] = True
    content = coco([[1, 2, 11, 2, 11, 8, 1, 8]], runs(mask), [], [[5, 20, 9, 20, 9, 30, 5, 30]] * 2)
    found = annotations.read(write_json(tmp_path / "a.json", content))
    assert [(d.row, d.col, *d.mask.shape) for d in found] == [
        (2, 1, 6, 10),
        (2, 30, 7, 10),
        (20, 5, 10, 4),
    ]
    np.testing.assert_array_equal(place(found[1], mask.shape), mask)
    assert found[2].mask.all()  # two equal rings are one area, not none
    assert [d.touches_border for d in found] == [False, True, True]
    assert {d.image for d in found} == {"a.b"}


def broken_roi():
    roi = roifile.ImagejRoi.frompoints(np.array([[0, 0], [9, 0], [9, 9]]), name="a").tobytes()
    return roi[:16] + struct.pack(">H", 60000) + roi[18:]  # more points than there are


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.zip", b"no archive"),
        ("a.roi", b"no ROI"),
        ("a.roi", broken_roi()),
        ("a.json", b"{"),
        ("a.json", b"\xff\xfe\x00"),
        ("a.json", b"[]"),
        ("a.json", b'{"shapes": [{}]}'),
        ("a.json", b'{"shapes": []}'),
        ("a.json", json.dumps(labelme({"points": [[0, 0], [1e30, 0], [0, 9]]})).encode()),
        ("a.json", json.dumps(labelme({"points": [[0, 0], [float("nan"), 0], [0, 9]]})).encode()),
        ("a.json", json.dumps(labelme({"shape_type": "mask", "points": [], "mask": ""})).encode()),
        ("a.json", b'{"annotations": []}'),
        ("a.json", json.dumps(coco({"size": [30, 40], "counts": "abc"})).encode()),
        ("a.json", json.dumps(coco({"size": [30, 40], "counts": [1, 2]})).encode()),
        ("a.json", json.dumps(coco({"size": [10**9, 10**9], "counts": [10**18]})).encode()),
        ("a.json", json.dumps(coco([[1, 2, 3]])).encode()),
        ("a.json", json.dumps({**coco([[1, 2, 9, 2, 9, 9]]), "images": []}).encode()),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        annotations.read(tmp_path / name)


@pytest.mark.parametrize("entry", ["../up.roi", "/etc/root.roi", "a/../../b.roi", "..\\c.roi"])
def test_entries_that_climb_are_refused(tmp_path, entry):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, b"")
    with pytest.raises(ValueError, match=r"a\.zip.*points out of the archive"):
        annotations.read(tmp_path / "a.zip")


def test_truncated_zip_is_named(tmp_path):
    fiji.write_rois(tmp_path / "a.zip", blobs(0))
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.zip"):
        annotations.read(tmp_path / "a.zip")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="b.roi"):
        annotations.read(tmp_path / "b.roi")
