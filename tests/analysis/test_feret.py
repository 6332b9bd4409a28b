import feret as reference
import numpy as np
import pytest
from scipy.spatial import ConvexHull

from semjax.analysis import feret
from semjax.phantom.bodies import draw_body, measure_silhouette, project


def paint(inside, size=64, angle=0.0, centre=(0.0, 0.0)):
    """Labels of one shape given by a function of coordinates turned by an angle."""
    row, column = np.mgrid[:size, :size] - size / 2
    row, column = row - centre[0], column - centre[1]
    u = column * np.cos(angle) + row * np.sin(angle)
    v = row * np.cos(angle) - column * np.sin(angle)
    return inside(u, v).astype(np.int32)


def random_labels(seed, n=12, size=60):
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    for i in range(1, n + 1):
        a, b = rng.uniform(1, 9, 2)
        shape = paint(
            lambda u, v, a=a, b=b: (u / a) ** 2 + (v / b) ** 2 < 1,
            size,
            rng.uniform(0, np.pi),
            rng.uniform(-28, 28, 2),
        )
        labels[shape > 0] = i
    return labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("contour", feret.CONTOURS)
def test_measure_agrees_with_brute_force(seed, contour):
    labels = random_labels(seed)
    found = feret.measure(labels, contour=contour)
    third = 1 / 3
    offsets = {
        "corners": [(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)],
        "inner": [(-third, 0), (third, 0), (0, -third), (0, third)],
    }[contour]
    for i in np.unique(labels[labels > 0]):
        points = (np.argwhere(labels == i)[:, None] + np.array(offsets)).reshape(-1, 2)
        hull = ConvexHull(points)
        outer = points[hull.vertices]
        # Each row of `equations` is a unit normal and the offset of one edge.
        widths = -(hull.equations[:, :2] @ outer.T + hull.equations[:, 2:]).min(axis=1)
        distances = np.linalg.norm(outer[:, None] - outer, axis=-1)
        assert found.min_feret[i - 1] == pytest.approx(widths.min())
        assert found.max_feret[i - 1] == pytest.approx(distances.max())
        assert found.hull_area[i - 1] == pytest.approx(hull.volume)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.3])
def test_corners_agree_with_the_feret_package(angle):
    labels = paint(lambda u, v: (np.abs(u) < 20) & (np.abs(v) < 9), angle=angle, centre=(0.2, 0.4))
    found = feret.measure(labels, contour="corners")
    assert found.max_feret[0] == pytest.approx(reference.max(labels, edge=True), abs=1e-6)
    assert found.min_feret[0] == pytest.approx(reference.min(labels, edge=True), abs=0.05)


def test_box_along_the_axes():
    labels = np.zeros((20, 30), np.int32)
    labels[4:10, 5:17] = 1
    found = feret.measure(labels, contour="corners")
    assert found.min_feret[0] == 6 and found.hull_area[0] == 72
    assert found.max_feret[0] == pytest.approx(np.hypot(6, 12))


def shapes(rng, radius):
    ratio = rng.uniform(1, 1.6) ** 0.5
    a, b = radius * ratio, radius / ratio
    yield lambda u, v: (u / a) ** 2 + (v / b) ** 2 < 1, 2 * b, 2 * a
    a, b = 0.886 * a, 0.886 * b
    yield lambda u, v: (np.abs(u) < a) & (np.abs(v) < b), 2 * b, 2 * np.hypot(a, b)


@pytest.mark.parametrize("radius", [6, 12, 25])
def test_inner_contour_has_the_least_bias(radius):
    rng = np.random.default_rng(0)
    errors = {contour: [] for contour in feret.CONTOURS}
    for _ in range(40):
        for inside, shortest, longest in shapes(rng, radius):
            turn, shift = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5, 2)
            labels = paint(inside, 4 * radius + 8, turn, shift)
            for contour, list_ in errors.items():
                found = feret.measure(labels, contour=contour)
                list_.append((found.min_feret[0] - shortest, found.max_feret[0] - longest))
    inner, corners = (np.abs(np.mean(errors[c], axis=0)) for c in ("inner", "corners"))
    assert (inner < 0.35).all()
    assert inner.sum() < corners.sum() / 2


def test_inner_contour_is_unbiased_on_the_phantom():
    rng = np.random.default_rng(1)
    bodies = [draw_body(rng) for _ in range(150)]
    true = [measure_silhouette(body) for body in bodies]
    pictures = [project(body).inside.astype(np.int32) for body in bodies]
    for contour, low, high in (("inner", -0.005, 0.005), ("corners", 0.015, 0.04)):
        found = [feret.measure(picture, contour=contour) for picture in pictures]
        for name in ("min_feret", "max_feret"):
            mean = np.mean([getattr(f, name)[0] for f in found])
            bias = mean / np.mean([t[f"{name}_px"] for t in true]) - 1
            assert low < bias < high, (contour, name, bias)


@pytest.mark.parametrize("radius", [6, 10, 20, 40])
def test_disc_diameters(radius):
    rng = np.random.default_rng(0)
    found = [
        feret.measure(
            paint(
                lambda u, v: u**2 + v**2 < radius**2,
                2 * radius + 8,
                centre=rng.uniform(-0.5, 0.5, 2),
            )
        )
        for _ in range(30)
    ]
    mean = np.mean([(f.min_feret[0] + f.max_feret[0]) / 2 for f in found])
    assert mean == pytest.approx(2 * radius, rel=0.015)
    assert np.mean([f.min_feret[0] for f in found]) == pytest.approx(2 * radius, abs=0.8)
    assert np.mean([f.max_feret[0] for f in found]) == pytest.approx(2 * radius, abs=0.8)


def test_single_pixel():
    labels = np.array([[0, 0], [0, 1]], np.int32)
    found = feret.measure(labels, contour="corners")
    assert found.min_feret[0] == 1 and found.max_feret[0] == pytest.approx(2**0.5)
    assert feret.measure(labels).min_feret[0] == pytest.approx(2**0.5 / 3)


def test_missing_numbers_are_nan_and_no_labels_give_nothing():
    assert np.isnan(feret.measure(np.array([[0, 2]], np.int32)).min_feret).tolist() == [True, False]
    assert feret.measure(np.zeros((4, 4), np.int32)).min_feret.size == 0


def test_small_blocks_change_nothing(monkeypatch):
    labels = random_labels(7)
    whole = feret.measure(labels)
    monkeypatch.setattr(feret, "_BLOCK", 500)
    for a, b in zip(whole, feret.measure(labels), strict=True):
        assert np.array_equal(a, b, equal_nan=True)


def test_unknown_contour():
    with pytest.raises(ValueError, match="inner, corners"):
        feret.hulls(np.ones((2, 2), np.int32), contour="outer")
