"""Simulated micrographs: their truth, their sizes, their contrast and their files."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.io import imread

from semjax.phantom import simulate, write_inputs
from semjax.phantom.bodies import (
    draw_body,
    draw_outline,
    make_ellipsoid,
    measure_silhouette,
    project,
)

SMALL = {"n_images": 2, "n_outlines": 3, "image_px": (96, 128), "pixel_size_nm": 7.5}


@pytest.fixture(scope="module")
def phantom():
    return simulate(3, image_px=(192, 256), foreground=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "inputs"
    write_inputs(folder, seed=5, **SMALL)
    return folder


@pytest.mark.parametrize("radius", [6.0, 13.3, 20.0])
def test_ball_has_its_analytic_sizes(radius):
    sizes = measure_silhouette(make_ellipsoid((radius, radius, radius)))
    for name in ("diameter_px", "min_feret_px", "max_feret_px"):
        assert sizes[name] == pytest.approx(2 * radius, rel=1e-3)
    assert sizes["area_px"] == pytest.approx(np.pi * radius**2, rel=1e-3)
    assert sizes["perimeter_px"] == pytest.approx(2 * np.pi * radius, rel=1e-3)


def test_tilted_ellipsoid_has_its_analytic_sizes():
    a, b, c, tilt = 20.0, 11.0, 7.0, 0.6
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])  # about the column's axis
    upright = make_ellipsoid((a, b, c))
    sizes = measure_silhouette(upright._replace(planes=upright.planes @ turn.T))
    assert sizes["max_feret_px"] == pytest.approx(2 * np.hypot(a * cos, c * sin), rel=1e-3)
    assert sizes["min_feret_px"] == pytest.approx(2 * b, rel=1e-3)


def test_smooth_and_pixelled_silhouettes_agree():
    rng = np.random.default_rng(2)
    bodies = [draw_body(rng) for _ in range(30)]
    smooth = np.array([measure_silhouette(body)["area_px"] for body in bodies])
    counted = np.array([project(body).inside.sum() for body in bodies])
    np.testing.assert_allclose(counted / smooth, 1, atol=0.04)
    assert np.mean(counted / smooth) == pytest.approx(1, abs=0.003)


def test_surfaces_of_an_ellipsoid_are_analytic():
    a, b, c = 18.0, 12.0, 9.0
    seen = project(make_ellipsoid((a, b, c)))
    half = seen.inside.shape[0] // 2
    rows, cols = np.mgrid[-half : half + 1, -half : half + 1]
    rest = 1 - (rows / a) ** 2 - (cols / b) ** 2
    well_inside = rest > 0.05
    height = c * np.sqrt(np.maximum(rest, 0))
    assert seen.inside[well_inside].all() and not seen.inside[rest < -0.01].any()
    np.testing.assert_allclose(seen.upper[well_inside], height[well_inside], atol=0.02)
    np.testing.assert_allclose(seen.lower[well_inside], -height[well_inside], atol=0.02)
    gradient = np.stack([rows / a**2, cols / b**2, height / c**2])
    expected = gradient / np.linalg.norm(gradient, axis=0)
    np.testing.assert_allclose(seen.normal[:, well_inside], expected[:, well_inside], atol=0.01)


def test_bodies_are_closed_and_of_the_wanted_size():
    rng = np.random.default_rng(0)
    sizes = [measure_silhouette(draw_body(rng)) for _ in range(60)]
    assert 26 < np.median([s["diameter_px"] for s in sizes]) < 34
    assert max(s["max_feret_px"] for s in sizes) < 62


def test_same_seed_same_micrograph(phantom):
    again = simulate(3, image_px=(192, 256), foreground=0.2)
    np.testing.assert_array_equal(again.image, phantom.image)
    np.testing.assert_array_equal(again.labels, phantom.labels)
    pd.testing.assert_frame_equal(again.table, phantom.table)
    assert not np.array_equal(simulate(4, image_px=(192, 256)).image, phantom.image)


def test_labels_and_table_agree(phantom):
    labels, table = phantom.labels, phantom.table
    assert phantom.image.dtype == np.uint8 and labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(len(table) + 1))
    np.testing.assert_array_equal(table.label, np.arange(1, len(table) + 1))
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], table.visible_area_px)
    assert (table.visible_area_px <= table.whole_area_px).all()
    np.testing.assert_allclose(table.visible_fraction * table.whole_area_px, table.visible_area_px)
    assert (table.min_feret_nm <= table.max_feret_nm).all()
    np.testing.assert_allclose(table.min_feret_nm, 7.5 * table.min_feret_px)


def test_particles_hide_one_another_but_not_wholly(phantom):
    inner = phantom.table[~phantom.table.touches_border]
    assert (inner.visible_fraction >= 0.2).all()
    assert (inner.visible_fraction < 0.9).any() and (inner.visible_fraction > 0.99).any()


@pytest.mark.parametrize("share", [0.03, 0.1, 0.27])
def test_foreground_is_the_wanted_one(share):
    labels = simulate(0, foreground=share).labels
    assert (labels > 0).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_particles_are_brighter_than_the_film_and_brightest_at_their_edges(seed):
    phantom = simulate(seed, image_px=(192, 192), foreground=0.15)
    image, particle = phantom.image.astype(float), phantom.labels > 0
    film = image[~particle]
    assert np.median(image[particle]) > np.median(film) + 3 * film.std()
    # A threshold halfway finds about the true share of foreground.
    halfway = (np.median(image[particle]) + np.median(film)) / 2
    assert (image > halfway).mean() == pytest.approx(particle.mean(), rel=0.35)
    assert (image == 255).mean() < 0.05


def test_edges_of_a_particle_are_bright():
    image, labels, table = simulate(0, foreground=0.1)
    table = table[(table.visible_fraction == 1) & (table.diameter_px > 25)]
    inside = labels == table.label.iloc[0]
    rows, cols = np.nonzero(inside)
    distance = np.hypot(rows - rows.mean(), cols - cols.mean())
    grey = image[inside].astype(float)
    near, far = np.quantile(distance, [0.3, 0.75])
    assert grey[distance > far].mean() > grey[distance < near].mean()


@pytest.mark.parametrize(
    "wrong", [{"image_px": (0, 4)}, {"pixel_size_nm": 0.0}, {"foreground": 0.9}]
)
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected a picture"):
        simulate(0, **wrong)


def test_outlines_are_centred_and_whole():
    rng = np.random.default_rng(1)
    for _ in range(10):
        outline = draw_outline(rng, side_px=64)
        assert outline.shape == (64, 64) and set(np.unique(outline)) == {0, 255}
        rows, cols = np.nonzero(outline)
        for where in (rows, cols):
            assert abs(where.min() - (63 - where.max())) <= 1
    with pytest.raises(ValueError, match="larger than the picture's side"):
        draw_outline(rng, side_px=4)


def test_files_read_back(folder):
    names = ["phantom_000", "phantom_001"]
    assert sorted(p.stem for p in (folder / "images").iterdir()) == names
    assert sorted(p.name for p in (folder / "outlines").iterdir()) == [
        "000.png",
        "001.png",
        "002.png",
    ]
    assert imread(folder / "outlines" / "001.png").shape == (64, 64)
    table = pd.read_csv(folder / "truth.csv")
    assert sorted(table.image.unique()) == names
    for name in names:
        labels = tifffile.imread(folder / "truth" / f"{name}.tif")
        mine = table[table.image == name]
        assert labels.dtype == np.uint16 and labels.shape == (96, 128)
        np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], mine.visible_area_px)
        with tifffile.TiffFile(folder / "images" / f"{name}.tif") as tif:
            assert tif.pages[0].dtype == np.uint8 and tif.pages[0].shape == (96, 128)
            n, per = tif.pages[0].tags["XResolution"].value
            assert per / n == pytest.approx(7.5, rel=1e-6)
            assert tif.imagej_metadata["unit"] == "nm"


def test_same_seed_same_bytes(folder, tmp_path):
    write_inputs(tmp_path / "again", seed=5, **SMALL)
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    again = tmp_path / "again"
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for file in files:
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file


def test_inputs_appear_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match="not empty"):
        write_inputs(folder, seed=5, **SMALL)

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("semjax.phantom.inputs.imsave", fail)
    with pytest.raises(OSError, match="disk full"):
        write_inputs(tmp_path / "inputs", seed=5, **SMALL)
    assert list(tmp_path.iterdir()) == []
