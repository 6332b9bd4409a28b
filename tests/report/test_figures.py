import io
import json

import numpy as np
import pytest
from PIL import Image

from semjax.report import figures


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.size


def luminance(color) -> float:
    linear = (np.array(color) / 255) ** 2.2
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_to_uint8_maps_the_range_and_clips():
    levels = figures.to_uint8(np.array([[-1, 0, 1], [-3, 3, np.nan]]))
    np.testing.assert_array_equal(levels, [[0, 128, 255], [0, 255, 0]])
    assert levels.dtype == np.uint8


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.int32), np.zeros((2, 4, 4, 3), np.uint8)])
def test_to_rgb_refuses_what_is_no_picture(picture):
    with pytest.raises(ValueError, match="a picture must be"):
        figures.to_rgb(picture)


def test_sheet_places_pictures_in_rows():
    pictures = [np.full((10, 20), 10 * (i + 1), np.uint8) for i in range(5)]
    page = figures.sheet(pictures, columns=3, gap=2)
    assert page.shape == (2 * 12 + 2, 3 * 22 + 2, 3)
    assert (page[2:12, 2:22] == 10).all()
    assert (page[14:24, 24:44] == 50).all()
    assert (page[14:24, 46:] == 255).all(), "the empty cell is white"
    assert (page[:2] == 255).all()


def test_sheet_takes_mixed_sizes_colours_and_fewer_pictures_than_columns():
    page = figures.sheet([np.zeros((6, 4)), np.zeros((3, 8, 3), np.uint8)], columns=9, gap=0)
    assert page.shape == (6, 16, 3)
    assert (page[:6, :4] == 128).all()
    assert (page[:3, 8:] == 0).all()


def test_sheet_captions_add_text_below_each_picture():
    pictures = [np.zeros((20, 60), np.uint8)] * 2
    page = figures.sheet(pictures, columns=2, gap=4, captions=["first", "a name too long to fit"])
    assert page.shape == (20 + 18 + 8, 2 * 64 + 4, 3)
    assert (page[24:42, 4:64] < 128).any()
    assert (page[24:42, 128:] == 255).all(), "a long caption stays in its cell"


@pytest.mark.parametrize(
    "images, options, message",
    [
        ([], {}, "at least one image"),
        ([np.zeros((2, 2))], {"captions": ["a", "b"]}, "1 images need as many captions"),
        ([np.zeros((2, 2))], {"columns": 0}, "columns must be 1 or more"),
    ],
)
def test_sheet_errors(images, options, message):
    with pytest.raises(ValueError, match=message):
        figures.sheet(images, **options)


def test_color_labels_are_distinct_and_stable():
    labels = np.arange(300).reshape(15, 20)
    colors = figures.color_labels(labels)
    assert (colors[0, 0] == 0).all()
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) > 290
    np.testing.assert_array_equal(figures.color_labels(labels[:2]), colors[:2])
    steps = np.abs(np.diff(colors.reshape(-1, 3)[1:].astype(int), axis=0)).max(axis=1)
    assert steps.min() > 60, "numbers near each other look different"
    assert figures.color_labels(np.zeros((3, 3), int)).max() == 0


def test_overlay_marks_exactly_the_rims():
    labels = np.zeros((12, 16), int)
    labels[2:8, 2:7] = 1
    labels[2:8, 7:13] = 2  # touches the first
    image = np.full(labels.shape, 100, np.uint8)
    picture = figures.overlay(image, labels, np.array([True, False]))

    rim = np.zeros(labels.shape, bool)
    for top, left, bottom, right in [(2, 2, 8, 7), (2, 7, 8, 13)]:
        rim[top:bottom, left:right] = True
        rim[top + 1 : bottom - 1, left + 1 : right - 1] = False
    assert (picture[rim & (labels == 1)] == figures.KEPT).all()
    assert (picture[rim & (labels == 2)] == figures.REMOVED).all()
    assert (picture[~rim] == 100).all()
    assert (image == 100).all(), "the image given is left alone"


def test_overlay_wider_lines_grow_inwards():
    labels = np.zeros((12, 12), int)
    labels[1:11, 1:11] = 1
    marked = (figures.overlay(np.zeros((12, 12)), labels, width_px=2) == figures.KEPT).all(-1)
    assert marked.sum() == 100 - 36
    assert not marked[labels == 0].any()


def test_overlay_colours_differ_in_lightness_too():
    assert luminance(figures.KEPT) / luminance(figures.REMOVED) > 2


def test_overlay_errors_and_no_particles():
    image = np.zeros((4, 5), np.float32)
    assert (figures.overlay(image, np.zeros((4, 5), int)) == 128).all()
    with pytest.raises(ValueError, match=r"image's shape \(4, 5\)"):
        figures.overlay(image, np.zeros((5, 4), int))
    with pytest.raises(ValueError, match="each of the 3 labels, but has 1"):
        figures.overlay(image, np.full((4, 5), 3), np.array([True]))


@pytest.mark.parametrize(
    "values", [[], [40.0], [40.0] * 5, [1e-3, 2e5], [np.nan, -1, 50, 60], np.arange(1, 400)]
)
def test_histogram_draws_any_values(values):
    png = figures.histogram(np.array(values), xlabel="minimum Feret diameter", title="A & B")
    assert size_of(png) == (1008, 560)


def test_histogram_is_the_same_for_the_same_values():
    values = np.random.default_rng(0).lognormal(4, 0.4, 200)
    first, second = (figures.histogram(values, xlabel="x") for _ in range(2))
    assert first == second


def test_histogram_weighs_its_values():
    values = np.array([np.nan, 40.0, 50.0, 50.0, 90.0])
    plain, once, more = (
        figures.histogram(values, weights, xlabel="x")
        for weights in (None, np.ones(5), np.array([1, 1.0, 1.5, 2.0, 4.0]))
    )
    assert size_of(more) == size_of(plain)
    assert len({plain, once, more}) == 3  # `once` differs by its label alone


@pytest.mark.parametrize("scale", [0.01, 1.0, 37.0, 1e4])
def test_bins_are_round_start_at_zero_and_hold_all(scale):
    values = scale * np.random.default_rng(1).lognormal(0, 0.5, 1000)
    edges = figures.round_edges(values)
    mantissa = edges[1] / 10 ** np.floor(np.log10(edges[1]) + 1e-9)
    assert np.isclose(mantissa, [1, 2, 2.5, 5]).any()
    assert edges[0] == 0 and edges[-1] > values.max() and 10 < len(edges) <= 82


def test_curves_reads_leniently(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": s, "loss": 1 / s, "note": "x"}) for s in (50, 100, 150)]
    lines += [json.dumps({"step": 150, "held_out_iou": 0.5}), '{"step": 200, "loss": NaN}']
    path.write_text("\n".join([*lines, "[]", '{"loss": 3}', '{"step": 250, "lo']))
    series = figures.read_metrics(path)
    assert list(series) == ["loss", "held_out_iou"]
    np.testing.assert_array_equal(series["loss"][0], [50, 100, 150, 200])
    assert size_of(figures.curves(path))[0] > 600


def test_curves_names_the_file_without_numbers(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("")
    with pytest.raises(ValueError, match="metrics.jsonl holds no line"):
        figures.curves(path)


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (12345.6, "12,346"),
        (83.234, "83.2"),
        (4.566, "4.57"),
        (0.03123, "0.0312"),
        (2e-4, "0.0002"),
        (-7.0, "-7"),
        (float("nan"), "nan"),
    ],
)
def test_format_number(value, text):
    assert figures.format_number(value) == text


def test_write_png_takes_arrays_and_bytes_and_replaces(tmp_path):
    path = tmp_path / "new" / "a.png"
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    figures.write_png(path, picture)
    with Image.open(path) as read:
        assert read.mode == "L"
        np.testing.assert_array_equal(np.array(read), picture)
    figures.write_png(path, figures.encode_png(np.stack([picture] * 3, -1)))
    with Image.open(path) as read:
        assert read.mode == "RGB"
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
