"""Outlines drawn by hand: what is refused, what is saved, and that the workflow reads it back."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from semjax import outlining
from semjax.data import annotations, outlines
from semjax.outlining import Outlining

SHAPE = (80, 100)
SQUARE = np.array([[10, 10], [10, 30], [30, 30], [30, 10]])


def ragged(seed, centre=(40, 50), radius=25, n=12):
    """A polygon round a centre, which cannot cross itself."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * (np.arange(n) + rng.uniform(0, 0.9, n)) / n
    radii = radius * rng.uniform(0.5, 1, n)
    return np.array(centre) + radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], -1)


@pytest.fixture
def folder(tmp_path):
    """Three images of noise; the second has an information bar of 20 rows."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name, rows in (("a", 80), ("b", 100), ("c10", 80)):
        grey = rng.integers(60, 200, (rows, 100)).astype(np.uint8)
        if name == "b":
            grey[80:] = 0
            grey[86:94, 10:60:2] = 255
        Image.fromarray(grey).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def start(folder):
    return Outlining(folder / "images", folder / "out")


@pytest.mark.parametrize("seed", range(20))
def test_a_ragged_outline_is_good_and_a_swapped_corner_crosses(seed):
    polygon = ragged(seed)
    assert outlining.problem(polygon, SHAPE) == ""
    assert outlining.problem(polygon[::-1], SHAPE) == ""
    polygon[[3, 8]] = polygon[[8, 3]]
    assert "crosses itself" in outlining.problem(polygon, SHAPE)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        (SQUARE, ""),
        (np.repeat(SQUARE, 3, axis=0), ""),  # corners clicked several times
        (SQUARE[[0, 1, 2, 3, 0]], ""),  # closed
        (SQUARE + 0.4999, ""),
        (SQUARE[:2], "fewer than three corners"),
        (np.repeat(SQUARE[:2], 3, axis=0), "fewer than three corners"),
        (np.zeros((0, 2)), "fewer than three corners"),
        (np.array([[np.nan, 1], [2, 3], [4, 9]]), "fewer than three corners"),
        (SQUARE[[0, 2, 1, 3]], "crosses itself"),
        (np.array([[5, 5], [5, 25], [5, 15]]), "crosses itself"),  # a line
        (np.array([[5, 5], [20, 20], [20, 5], [5, 5], [9, 2], [5, 1]]), "crosses itself"),
        (SQUARE / 10, "0 px, fewer than 9|4 px, fewer than 9"),
        (np.array([[10, 10], [10.3, 60], [10.4, 10]]), "fewer than 9"),
        (SQUARE - 10, "reaches the image's border"),
        (SQUARE - 9.6, "reaches the image's border"),
        (SQUARE - 9, ""),
        (SQUARE + [49, 0], ""),
        (SQUARE + [50, 0], "reaches the image's border"),
        (SQUARE + [0, 70], "reaches the image's border"),
        (SQUARE + [0, 200], "reaches the image's border"),
        (SQUARE - 20, "reaches the image's border"),
    ],
)
def test_what_is_refused(polygon, words):
    found = outlining.problem(polygon, SHAPE)
    assert bool(found) == bool(words)
    assert any(part in found for part in words.split("|"))


def test_the_workflow_reads_what_was_drawn(folder):
    session = start(folder)
    drawn = {"a": [ragged(1), SQUARE], "b": [ragged(2)], "c10": [SQUARE + 30.25]}
    for at, polygons in enumerate(drawn.values()):
        session.open(at)
        assert session.draw(polygons) == [""] * len(polygons)
    for name, polygons in drawn.items():
        found = annotations.read(folder / "out" / f"{name}.json")
        assert len(found) == len(polygons)
        for one, polygon in zip(found, polygons, strict=True):
            rounded = polygon.astype(float).round(2)
            mask, row, col = annotations.fill([rounded[:, ::-1]])
            mask, down, right = annotations.one_piece(mask)
            assert (one.row, one.col) == (row + down, col + right)
            assert np.array_equal(one.mask, mask)
            assert one.image == name and one.shape == ((100 if name == "b" else 80), 100)
    squares = outlines.read_outlines(folder / "out")
    assert np.array_equal(squares, session.gallery())
    assert len(squares) == session.count() == 4
    assert squares.sum(axis=(1, 2))[1] == 400


def test_going_on_where_one_stopped(folder):
    session = start(folder)
    assert session.at == 0 and session.count() == 0 and session.drawn == []
    assert not (folder / "out").exists()
    session.open(1)
    session.draw([ragged(1), SQUARE])
    again = start(folder)
    assert again.name == "b" and again.count() == 2
    assert np.array_equal(again.drawn[0], ragged(1).round(2))
    before = (folder / "out" / "b.json").read_text()
    # Single precision is all that a window may give back.
    assert again.draw([p.astype(np.float32) for p in again.drawn]) == ["", ""]
    assert (folder / "out" / "b.json").read_text() == before
    again.draw([])
    assert again.count() == 0 and list((folder / "out").iterdir()) == []


def test_the_information_bar_is_beyond_the_border(folder):
    session = start(folder)
    session.open(1)
    assert session.micrograph.info_bar_px == 20
    (problem,) = session.draw([SQUARE + [55, 0]])
    assert "border" in problem and session.count() == 0
    assert len(session.drawn) == 1  # it is still there to be corrected
    session.open(2)
    session.open(1)
    assert len(session.drawn) == 1


def test_opening_beyond_the_ends(folder):
    session = start(folder)
    session.open(-1)
    assert session.name == "a"
    session.open(7)
    assert session.name == "c10"


def write(folder, name, shapes, **more):
    """A LabelMe file as another program writes it on Windows."""
    content = {"version": "4.5.6", "flags": {"seen": True}, "shapes": shapes}
    content |= {"imagePath": f"..\\images\\{name}.png", "imageData": None} | more
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / f"{name}.json").write_text(json.dumps(content))


def test_what_others_noted_stays(folder):
    shapes = [
        {"label": "scratch", "points": [[1, 2], [3, 4]], "shape_type": "line", "note": 7},
        {"label": "rod", "points": [[10.12345, 20], [40, 20], [40, 41]], "group_id": 3},
        {"label": "cut", "points": [[0, 0], [9, 0], [9, 9]], "shape_type": "polygon"},
    ]
    write(folder, "a", shapes, imageHeight=80, imageWidth=100)
    session = start(folder)
    before = (folder / "out" / "a.json").read_text()
    assert session.count() == 1
    assert [bool(wrong) for wrong in session.draw(session.drawn)] == [False, True]
    assert (folder / "out" / "a.json").read_text() == before
    session.draw([*session.drawn, SQUARE])
    found = json.loads((folder / "out" / "a.json").read_text())
    assert found["shapes"][:3] == shapes and len(found["shapes"]) == 4
    assert (found["version"], found["flags"]) == ("4.5.6", {"seen": True})
    assert (found["imageHeight"], found["imageWidth"]) == (80, 100)
    assert (folder / "out" / found["imagePath"]).resolve() == folder / "images" / "a.png"
    session.draw([])
    assert json.loads((folder / "out" / "a.json").read_text())["shapes"] == shapes[:1]
    assert start(folder).count() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "a.json is damaged"),
        ("[]", "a.json is no LabelMe file"),
        ('{"shapes": []}', "a.json is no LabelMe file"),
        ('{"shapes": [{"points": "x"}], "imagePath": "a.png"}', "a.json is no LabelMe file"),
        ('{"shapes": [], "imagePath": "z.png"}', "outlines of z.png, not of a.png"),
    ],
)
def test_a_file_that_is_not_ours_stays(folder, content, words):
    (folder / "out").mkdir()
    (folder / "out" / "a.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        start(folder)
    assert (folder / "out" / "a.json").read_text() == content


def test_no_images_and_no_folder(folder):
    with pytest.raises(FileNotFoundError, match="no folder"):
        Outlining(folder / "nowhere", folder / "out")
    with pytest.raises(ValueError, match="is a file; give --out a folder"):
        Outlining(folder / "images", folder / "images" / "a.png")


@pytest.mark.parametrize("shapes", [["a"], [1], "a", {"a": 1}, [[]], None])
def test_shapes_that_are_none_are_refused(tmp_path, shapes):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 11), np.uint8))
    (tmp_path / "a.json").write_text(json.dumps({"imagePath": "a.tif", "shapes": shapes}))
    with pytest.raises(ValueError, match=r"a.json is no LabelMe file"):
        Outlining(tmp_path, tmp_path)


def test_a_message_stays_short_whatever_the_file_holds(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 11), np.uint8))
    drawing = {"imagePath": "x" * 10_000, "shapes": []}
    (tmp_path / "a.json").write_text(json.dumps(drawing))
    with pytest.raises(ValueError, match=r"a.json holds outlines of x{100}, not of a.tif"):
        Outlining(tmp_path, tmp_path)
