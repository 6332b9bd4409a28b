"""`semjax segment` as a user starts it: batches, what goes on, what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from PIL import Image

from semjax import batch, main, measured
from semjax.data import metadata

real_report = batch.sample.write


@pytest.fixture
def folder(discs, write_image, tmp_path):
    """Three images in a folder: as they are, turned, and cut to an odd size."""
    image = discs[0]
    for name, picture in (("b2", image[::-1]), ("b10", image[:77, :101]), ("a", image)):
        write_image(tmp_path / "images" / f"{name}.tif", picture)
    return tmp_path / "images"


@pytest.fixture(autouse=True)
def reports(monkeypatch):
    """Folders whose report is asked for: making it takes seconds, and has tests of its own."""
    folders = []

    def write(given, path):
        folders.extend(given)
        return path

    monkeypatch.setattr(batch.sample, "write", write)
    return folders


@pytest.fixture
def segment(bright, folder, tmp_path, capsys):
    """Starts the command on the folder; returns the exit code and what it says."""

    def start(*flags, model=bright, images=(folder,), out=tmp_path / "out"):
        code = main.console(["segment", str(model), *map(str, images), f"--out={out}", *flags])
        return code, capsys.readouterr().err

    return start


@pytest.fixture
def counted(monkeypatch):
    """Names of the images that are measured."""
    names = []
    real = measured.measure

    def count(folder, model, picture, **options):
        names.append(picture.name)
        return real(folder, model, picture, **options)

    monkeypatch.setattr(measured, "measure", count)
    return names


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("log.txt", ".lock")
    }


def test_a_folder_is_measured(segment, reports, tmp_path):
    code, said = segment("--imagej_table", "--calibration_uncertainty=0.02")
    assert code == 0 and "particles: " in said
    out = tmp_path / "out"
    assert reports == [out]
    images = pd.read_csv(out / "images.csv").set_index("image")
    assert list(images.index) == ["a", "b2", "b10"]
    particles = pd.read_csv(out / "particles.csv")
    for name, (h, w) in {"a": (96, 128), "b2": (96, 128), "b10": (77, 101)}.items():
        labels = tifffile.imread(out / "labels" / f"{name}.tif")
        table = particles[particles["image"] == name]
        size = metadata.pixel_size_nm(out / "labels" / f"{name}.tif")
        assert size == (pytest.approx(images.loc[name, "pixel_size_nm"]), "ImageJ tag")
        assert labels.shape == (h, w) == tuple(images.loc[name, ["height_px", "width_px"]])
        assert np.array_equal(table["area_px"], np.bincount(labels.ravel())[1:])
        rois = roifile.roiread(out / "rois" / f"{name}.zip")
        assert [int(roi.name) for roi in rois] == list(table["label"])
        with Image.open(out / "pictures" / f"{name}.jpg") as picture:
            assert picture.size == (w, h) and picture.mode == "L"
            levels = np.asarray(picture)
        assert levels[labels > 0].mean() > 150 > 50 > levels[labels == 0].mean()
        assert images.loc[name, "file"] == f"{name}.tif"
    facts = json.loads((out / "measured.json").read_text())
    assert facts["unit"] == "nm" and facts["border"] == "drop" and facts["nano_nm"] == 100
    assert facts["calibration_uncertainty"] == 0.02 and facts["format"] == 1
    assert set(facts["images"]) == {"a", "b2", "b10"}
    assert len(facts["images"]["a"]["sha256"]) == len(facts["model"]["hash"]) == 64
    assert len(pd.read_csv(out / "imagej.csv")) == len(particles)
    assert not list(out.rglob("*.part"))


def test_a_second_start_measures_what_is_missing_or_has_changed(
    segment, counted, folder, discs, write_image, tmp_path
):
    assert segment()[0] == 0 and sorted(counted) == ["a", "b10", "b2"]
    before = contents(tmp_path / "out")
    counted.clear()
    code, said = segment()
    assert code == 0 and not counted and "3 of 3 images were there already" in said
    assert contents(tmp_path / "out") == before
    # Moved elsewhere, one image changed, one result lost, one new.
    shutil.move(folder, tmp_path / "moved")
    write_image(tmp_path / "moved" / "new.tif", discs[0][:, ::-1])
    (tmp_path / "out" / "overlays" / "b10.png").unlink()
    code, said = segment(images=[tmp_path / "moved"])
    assert code == 0 and sorted(counted) == ["b10", "new"]
    after = contents(tmp_path / "out")
    for name in ("labels/a.tif", "overlays/b10.png", "rois/b2.zip"):
        assert after[name] == before[name]
    counted.clear()
    write_image(tmp_path / "moved" / "a.tif", discs[0][:50])
    code, said = segment(images=[tmp_path / "moved" / "a.tif"])
    assert code == 0 and sorted(counted) == ["a"] and "a has changed" in said
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["height_px"]) == [50, 96, 77, 96]


def test_an_interrupted_batch_goes_on_to_the_same_bytes(segment, monkeypatch, tmp_path):
    assert segment(out=tmp_path / "whole")[0] == 0
    with monkeypatch.context() as patch:
        names = []

        def stop(path, labels):
            names.append(path.name)
            if len(names) == 2:
                raise KeyboardInterrupt
            return real(path, labels)

        real = measured.fiji.write_rois
        patch.setattr(measured.fiji, "write_rois", stop)
        code, said = segment()
    assert code == 130 and "goes on" in said
    assert len(list((tmp_path / "out" / "done").iterdir())) < 3
    assert segment()[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_results_do_not_depend_on_how_many_images_are_in_hand(segment, monkeypatch, tmp_path):
    for n in (1, 3):
        monkeypatch.setattr(measured, "WORKERS", n)
        assert segment(out=tmp_path / str(n))[0] == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


@pytest.mark.parametrize(
    "flag, named",
    [
        ("--border=weights", "border: drop -> weights"),
        ("--info_bar_px=10", "info_bar_px: -1 -> 10"),
        ("--dark_particles", "dark_particles: False -> True"),
        ("--pixel_size_nm=4", "pixel_size_nm: None -> 4.0"),
        ("--rescale", "rescale: False -> True"),
    ],
)
def test_other_settings_are_refused(segment, tmp_path, flag, named):
    assert segment()[0] == 0
    before = contents(tmp_path / "out")
    code, said = segment(flag)
    assert code == 1 and named in said and "new folder" in said and "Traceback" not in said
    assert contents(tmp_path / "out") == before


def test_another_model_or_foreign_files_are_refused(segment, bright, tmp_path):
    assert segment()[0] == 0
    described = json.loads((bright / "model.json").read_text())
    described["recipe"]["min_area_px"] = 10
    (bright / "model.json").write_text(json.dumps(described))
    code, said = segment()
    assert code == 1 and "min_area_px: 9 -> 10" in said and "model: " in said
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, said = segment(out=tmp_path / "mine")
    assert code == 1 and "thesis.txt" in said
    (bright / "segmenter" / "variables.npz").write_bytes(b"")
    code, said = segment(out=tmp_path / "new")
    assert code == 1 and "SHA-256" in said and not (tmp_path / "new").exists()


def test_a_bad_image_does_not_stop_the_others(segment, folder, tmp_path, write_image, discs):
    (folder / "b1.tif").write_bytes((folder / "a.tif").read_bytes()[:300])
    (folder / "b3.png").write_text("no picture")
    write_image(folder / "c.tif", discs[0], pixel_size_nm=None)
    code, said = segment()
    assert code == 1 and "Traceback" not in said
    assert "3 image(s) could not be measured" in said
    listed = said[said.index("could not be measured") :]
    assert "b1: cannot read" in listed and "b3: cannot read" in listed
    assert "c: no pixel size is known" in listed
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["image"]) == ["a", "b2", "b10"]
    # An image that was good once does not stay in the tables when its file is damaged.
    (folder / "a.tif").write_bytes(b"")
    assert segment()[0] == 1
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["image"]) == ["b2", "b10"]
    for path in folder.iterdir():
        path.write_bytes(b"")
    code, said = segment(out=tmp_path / "none")
    assert code == 1 and "6 image(s) could not be measured" in said
    assert not (tmp_path / "none" / "images.csv").exists()


def test_names_that_meet_are_refused(segment, folder, tmp_path, write_image, discs):
    other = write_image(tmp_path / "other" / "a.tif", discs[0][:60])
    code, said = segment(images=[folder, other])
    assert code == 1 and "have the same name" in said and not (tmp_path / "out").exists()
    assert segment()[0] == 0
    before = contents(tmp_path / "out")
    code, said = segment(images=[other])
    assert code == 1 and "another image of this name" in said
    after = contents(tmp_path / "out")
    assert after == before


def test_other_pixel_sizes_are_told_and_rescaled(segment, folder, tmp_path, write_image, discs):
    for path in folder.iterdir():
        path.unlink()
    fine = discs[0].repeat(2, 0).repeat(2, 1)
    write_image(folder / "fine.tif", fine, pixel_size_nm=2.5)
    code, said = segment()
    assert code == 0 and "fine: pixels of 2.5 nm" in said and "larger than 40 px" in said
    code, said = segment("--rescale", out=tmp_path / "rescaled")
    assert code == 0 and "trained" not in said
    facts = json.loads((tmp_path / "rescaled" / "measured.json").read_text())
    assert facts["images"]["fine"]["scale"] == 0.5
    labels = tifffile.imread(tmp_path / "rescaled" / "labels" / "fine.tif")
    assert labels.shape == fine.shape
    particles = pd.read_csv(tmp_path / "rescaled" / "particles.csv")
    assert particles["kept"].sum() == 5
    radii = np.sqrt(particles[particles["kept"]]["area_nm2"] / np.pi) / 5.0
    np.testing.assert_allclose(sorted(radii), [8, 9, 10, 12, 14], rtol=0.05)


def test_the_calibration_of_the_training_is_told_where_none_is_given(segment, bright, tmp_path):
    described = json.loads((bright / "model.json").read_text())
    described["trained"]["calibration"] = 1.05
    (bright / "model.json").write_text(json.dumps(described))
    code, said = segment()
    assert code == 0 and "were calibrated by a factor of 1.05, these are not" in said
    for i, known in enumerate(("--calibration=1", "--pixel_size_nm=5")):
        code, said = segment(known, out=tmp_path / f"none {i}")
        assert code == 0 and "were calibrated" not in said
    described["trained"]["calibration"] = "1.05"
    (bright / "model.json").write_text(json.dumps(described))
    code, said = segment(out=tmp_path / "damaged")
    assert code == 1 and "trained is not what semjax writes" in said


def test_without_pixel_sizes_results_are_in_pixels(segment, folder, tmp_path, write_image, discs):
    for path in folder.iterdir():
        path.unlink()
    write_image(folder / "a.tif", discs[0], pixel_size_nm=None)
    write_image(folder / "nothing.tif", np.full((9, 9), -1.0), pixel_size_nm=None)
    code, said = segment("--verbosity=1")
    assert code == 0 and "results are in pixels" in said
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    assert "min_feret_px" in particles and set(particles["image"]) == {"a"}
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["particles"]) == [6, 0]
    code, said = segment("--pixel_size_nm=2", out=tmp_path / "given")
    given = pd.read_csv(tmp_path / "given" / "particles.csv")
    np.testing.assert_allclose(given["min_feret_nm"], 2 * particles["min_feret_px"])


def test_images_without_any_particle(segment, folder, tmp_path, write_image):
    write_image(tmp_path / "empty" / "a.tif", np.full((40, 70), -1.0))
    write_image(tmp_path / "empty" / "b.tif", np.full((1, 1), -1.0))
    code, _ = segment("--imagej_table", images=[tmp_path / "empty"])
    assert code == 0
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["particles"]) == [0, 0]
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    assert len(particles) == 0 and "min_feret_nm" in particles


@pytest.mark.parametrize(
    "argv, named",
    [
        ([], "MODEL is missing"),
        (["model"], "IMAGES is missing"),
        (["model", "images"], "--out=DIR is missing"),
        (["model", "images", "--out=x", "--borders=y"], "borders"),
        (["model", "images", "--out=x", "--border=y"], "drop"),
        (["model", "images", "--out=x", "--pixel_size_nm=-1"], "above 0"),
        (["model", "images", "--out=x", "--calibration_uncertainty=2"], "calibration_uncertainty"),
    ],
)
def test_mistakes_in_the_command(argv, named, capsys):
    assert main.console(["segment", *argv]) == 2
    said = capsys.readouterr().err
    assert named in said and "Traceback" not in said


def test_missing_inputs(segment, bright, tmp_path):
    code, said = segment(model=tmp_path / "nowhere")
    assert code == 1 and "no model in" in said
    code, said = segment(images=[tmp_path / "nowhere"])
    assert code == 1 and "no folder or file" in said
    code, said = segment(images=[bright])
    assert code == 1 and "no images in" in said
    assert not (tmp_path / "out").exists()


def test_files_of_a_shells_star_that_are_no_images_are_passed_over(segment, folder, tmp_path):
    (folder / "notes.txt").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_bytes(b"")  # a file browser has been here
    code, said = segment(images=sorted(folder.iterdir()))
    assert code == 0 and "passed over, no images: " in said and "notes.txt" in said
    code, said = segment(images=[folder / "notes.txt"], out=tmp_path / "none")
    assert code == 1 and "no images among" in said and not (tmp_path / "none").exists()


def test_the_report_tells_of_the_batch(segment, monkeypatch, tmp_path):
    monkeypatch.setattr(batch.sample, "write", real_report)
    code, said = segment("--calibration_uncertainty=0.02")
    assert code == 0 and "report.html" in said and "no report" not in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(name in page for name in ("b2", "b10", "sha256"))
    assert segment()[0] == 0  # goes on with what was given before
    facts = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert facts["calibration_uncertainty"] == 0.02


def test_one_file_under_two_names_is_told_of(segment, folder, tmp_path):
    assert segment("--imagej_table")[0] == 0
    (folder / "a.tif").rename(folder / "sample1.tif")
    code, said = segment()
    assert code == 0 and "a and sample1 are the same file" in said
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    assert len(pd.read_csv(tmp_path / "out" / "imagej.csv")) == len(particles)


def test_without_a_report_the_results_stay(segment, monkeypatch, tmp_path):
    def fail(folders, path):
        raise ValueError("too many particles for one file")

    monkeypatch.setattr(batch.sample, "write", fail)
    code, said = segment()
    assert code == 0 and "there is no report" in said and "too many particles" in said
    assert (tmp_path / "out" / "particles.csv").is_file()
