"""What the windows' keys and tools do, on viewers without a screen."""

import re

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax.analysis import regions
from semjax.commands import outline
from semjax.commands import review as review_command
from semjax.outlining import Outlining
from semjax.reviewing import Review

pytest.importorskip("napari", reason="the windows need the extra: pip install 'semjax[napari]'")

from napari.components import ViewerModel  # noqa: E402

from semjax.windows.outline import OutlineWindow  # noqa: E402
from semjax.windows.review import ReviewWindow  # noqa: E402

SQUARE = np.array([[10, 10], [10, 30], [30, 30], [30, 10]])


class Heard:
    """Remembers what a window has told last."""

    def __call__(self, message, text, picture):
        self.message, self.text, self.picture = message, text, picture


def press(window, key):
    """Presses a key as napari would find it for the active layer."""
    active = window.viewer.layers.selection.active
    found = {str(binding): function for binding, function in active.keymap.items()}
    found[key](active)


@pytest.fixture
def outlines(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in "ab":
        grey = rng.integers(60, 200, (80, 100)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "images" / f"{name}.png")
    session = Outlining(tmp_path / "images", tmp_path / "out")
    window = OutlineWindow(ViewerModel(), session)
    window.tell = Heard()
    window.refresh()
    return window


@pytest.fixture
def review(tmp_path):
    rows, cols = np.indices((60, 90))
    labels = np.zeros((60, 90), np.uint16)
    labels[np.hypot(rows - 20, cols - 20) <= 9] = 1
    labels[np.hypot(rows - 20, cols - 37) <= 8] = 2
    labels[np.hypot(rows - 45, cols - 60) <= 9] = 3
    tables = []
    (tmp_path / "labels").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", labels)
        table = regions.measure(labels, pixel_size_nm=2.0).assign(image=name, class_score=0.5)
        tables.append(table.assign(kept=True, reason=""))
    pd.concat(tables).to_csv(tmp_path / "particles.csv", index=False)
    images = {"image": ["a", "b"], "pixel_size_nm": 2.0, "particles": 3, "kept": 3}
    pd.DataFrame(images).to_csv(tmp_path / "images.csv", index=False)
    window = ReviewWindow(ViewerModel(), Review(tmp_path))
    window.tell = Heard()
    window.refresh()
    return window


def test_outlines_are_counted_saved_and_shown(outlines):
    assert "a (1 of 2)\n0 of about 40" in outlines.tell.text and outlines.tell.picture is None
    outlines.shapes.add(SQUARE, shape_type="polygon")
    assert "1 of about 40" in outlines.tell.text and outlines.tell.message == ""
    assert outlines.tell.picture.shape[2] == 3 and outlines.tell.picture.max() == 255
    assert (outlines.session.out / "a.json").is_file()
    press(outlines, "N")
    assert "b (2 of 2)" in outlines.tell.text and outlines.shapes.nshapes == 0
    outlines.shapes.add([SQUARE, SQUARE + 35], shape_type="polygon")
    assert "3 of about 40" in outlines.tell.text
    press(outlines, "B")
    assert outlines.shapes.nshapes == 1
    assert np.array_equal(outlines.shapes.data[0], SQUARE)
    assert str(outlines.shapes.mode) == "add_polygon"


def test_refused_outlines_are_red_and_say_why(outlines):
    outlines.shapes.add([SQUARE, SQUARE[[0, 2, 1, 3]]], shape_type="polygon")
    assert outlines.tell.message.startswith("This outline crosses itself")
    assert outlines.viewer.status == outlines.tell.message
    assert "1 of about 40" in outlines.tell.text
    good, bad = outlines.shapes.edge_color
    assert good[1] > good[0] and bad[0] > bad[1]
    assert len(outlines.session.drawn) == 2
    press(outlines, "U")
    assert outlines.tell.message == "" and outlines.shapes.nshapes == 1
    outlines.shapes.selected_data = {0}
    press(outlines, "Backspace")
    assert "0 of about 40" in outlines.tell.text
    press(outlines, "U")  # nothing is left
    assert outlines.shapes.nshapes == 0


def test_an_ellipse_is_no_outline(outlines):
    outlines.shapes.add(SQUARE, shape_type="polygon")
    outlines.shapes.add(SQUARE + 30, shape_type="ellipse")
    assert outlines.tell.message.startswith("Only polygons")
    assert outlines.shapes.nshapes == 1 and outlines.session.count() == 1


def test_corners_of_files_lie_half_a_pixel_off_those_on_screen(outlines):
    # What is drawn round the centre of pixel (20, 20) on screen covers that pixel in the file.
    on_screen = np.array([[16.5, 16.5], [16.5, 23.5], [23.5, 23.5], [23.5, 16.5]])
    outlines.shapes.add([outlines.shapes.world_to_data(c) for c in on_screen], shape_type="polygon")
    (drawn,) = outlines.session.drawn
    assert drawn.min() == 17 and drawn.max() == 24
    assert outlines.session.gallery().sum() == 49


def test_enough(outlines, monkeypatch):
    monkeypatch.setattr("semjax.outlining.WANTED", 2)
    outlines.shapes.add([SQUARE, SQUARE + 35], shape_type="polygon")
    assert "enough" in outlines.tell.message


def point(window, row, col):
    window.viewer.cursor.position = (row, col)


def test_keys_mean_the_particle_under_the_mouse(review):
    assert "a (1 of 2): 3 particles, 3 kept" in review.tell.text
    point(review, 45.3, 59.6)
    press(review, "K")
    assert review.tell.message == "Particle 3 is dropped"
    assert "3 particles, 2 kept" in review.tell.text
    color = review.labels.colormap.map
    assert color(np.array([3]))[0][0] > 0.8 > 0.1 > color(np.array([1]))[0][0]
    point(review, 20, 37)
    press(review, "D")
    assert np.unique(review.labels.data).tolist() == [0, 1, 3]
    press(review, "D")
    assert review.tell.message == "There is no particle here; point at one"
    point(review, -4, 300)
    press(review, "K")
    assert "no particle here" in review.tell.message
    press(review, "U")
    press(review, "Ctrl+Z")
    assert "3 particles, 3 kept" in review.tell.text
    assert np.unique(review.labels.data).tolist() == [0, 1, 2, 3]
    press(review, "U")
    assert review.tell.message == "There is nothing to take back here"


def test_lines_split_and_merge(review):
    press(review, "S")
    assert "right across" in review.tell.message
    assert review.viewer.layers.selection.active is review.lines
    review.lines.add(np.array([[5, 20], [35, 20]]), shape_type="line")
    assert "4 particles" in review.tell.text and review.lines.nshapes == 0
    assert np.array_equal(review.labels.data, review.review.labels)
    review.lines.add(np.array([[50, 5], [55, 5]]), shape_type="line")
    assert "meets no particle" in review.tell.message
    press(review, "M")
    review.lines.add(np.array([[20, 12], [20, 40]]), shape_type="line")
    assert "2 particles" in review.tell.text
    review.lines.add(np.array([[20, 20], [45, 60]]), shape_type="line")
    assert "do not touch" in review.tell.message


def test_particles_are_drawn(review):
    point(review, 45, 60)
    press(review, "R")
    polygon = SQUARE + [25, 45]
    review.lines.add(polygon, shape_type="polygon")
    assert (review.review.labels == 3).sum() == 400
    assert review.viewer.layers.selection.active is review.labels
    press(review, "A")
    review.lines.add(SQUARE[[0, 2, 3]] + [29, 0], shape_type="polygon")
    assert set(np.unique(review.labels.data)) == {0, 1, 2, 3, 4}
    point(review, 2, 2)
    press(review, "R")
    assert "press A to add one" in review.tell.message


def test_painting_is_taken_over_when_the_button_is_let_go(review):
    point(review, 45, 60)
    press(review, "P")
    assert review.labels.selected_label == 3 and str(review.labels.mode) == "paint"
    review.labels.paint((45, 72), 3)
    event = type("Event", (), {"type": "mouse_move"})()
    stroke = review._stroke(review.labels, event)
    next(stroke)
    next(stroke)
    assert review.review.counts()["edited"] == 0
    event.type = "mouse_release"
    assert list(stroke) == []
    assert review.review.counts()["edited"] == 1
    assert np.array_equal(review.labels.data, review.review.labels)
    press(review, "E")
    assert str(review.labels.mode) == "erase"
    press(review, "Z")
    assert str(review.labels.mode) == "pan_zoom"


def test_other_images_and_the_way_back(review):
    press(review, "N")
    assert "b (2 of 2)" in review.tell.text
    assert not review.review.out.exists()
    point(review, 45, 60)
    press(review, "D")
    press(review, "B")
    assert "a (1 of 2): 3 particles" in review.tell.text
    assert "all images: 5 particles" in review.tell.text
    assert (review.review.out / "overlays" / "b.png").is_file()
    assert Review(review.review.folder).name == "a"


@pytest.mark.parametrize(
    ("window", "usage"), [("outlines", outline.USAGE), ("review", review_command.USAGE)]
)
def test_every_key_is_documented_and_works_in_every_layer(window, usage, request):
    made = request.getfixturevalue(window)
    for key in made.keys:
        assert re.search(rf"^  .*\b{key}\b.*  ", usage, re.MULTILINE), key
    for layer in made.viewer.layers:
        bound = {str(binding) for binding in layer.keymap}
        assert set(made.keys) <= bound
