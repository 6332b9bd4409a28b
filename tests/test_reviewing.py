"""Review by hand: originals stay, tables follow the labels, and a review goes on where it ended."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from semjax.analysis import distribution, regions
from semjax.exports import fiji
from semjax.reviewing import Review
from tests.reviewed import ACROSS, IMAGES, edits, read, tables, write


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path)


def fingerprint(folder):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "reviewed" not in p.parts]
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_looking_leaves_no_trace(folder):
    before = fingerprint(folder)
    review = Review(folder)
    for at in (1, 2, 5, 0, -1):
        review.open(at)
        review.finish()
    assert not review.undo()
    assert not review.out.exists() and fingerprint(folder) == before
    assert review.name == "0012"


def test_originals_stay_and_the_review_is_a_measured_folder(folder):
    before = fingerprint(folder)
    review = Review(folder)
    edits(review)
    review.finish()
    assert fingerprint(folder) == before
    copied = {path for path in before if path.parts[0] != "done"}
    copied |= {type(folder)("distribution.json"), type(folder)("review.json")}
    assert set(fingerprint_of(review.out)) == copied
    untouched = [p for p in before if p.stem in ("b", "empty")]
    assert all(fingerprint_of(review.out)[p] == before[p] for p in untouched if p in copied)
    again = Review(review.out)  # the folder of a review means the review
    assert again.folder == folder
    assert again.counts() == review.counts()


def fingerprint_of(out):
    files = [p for p in sorted(out.rglob("*")) if p.is_file()]
    return {p.relative_to(out): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_tables_hold_what_measuring_the_labels_gives(folder):
    review = Review(folder)
    edits(review)
    review.finish()
    table, originals = read(review.out / "particles.csv"), read(folder / "particles.csv")
    labels = tifffile.imread(review.out / "labels" / "0012.tif")
    raw = np.indices(labels.shape).sum(0)
    fresh = regions.measure(labels, raw, pixel_size_nm=2.0)
    own = table[table["image"] == "0012"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own[fresh.columns], fresh, check_dtype=False)
    for number, edited in zip(own["label"], own["edited"], strict=True):
        assert edited == ((labels == number) != (IMAGES["0012"] == number)).any()
    # Disc 1's halves, one of them with disc 2, the polygon and the painted square, and disc 4.
    assert len(own) == 5 and own["edited"].sum() == 4
    row = own[own["label"] == 4].iloc[0]
    assert row["kept"] and row["reason"] == "kept by hand"
    same = originals.merge(table, on=[c for c in originals if c not in ("kept", "reason")])
    assert set(zip(same["image"], same["label"], strict=True)) == {("0012", 4), ("b", 1)}
    rois = folder.parent / "expected.zip"
    assert fiji.write_rois(rois, labels) == 5
    assert rois.read_bytes() == (review.out / "rois" / "0012.zip").read_bytes()


def test_images_and_summary_follow(folder):
    review = Review(folder)
    review.delete(1)
    review.finish()
    before, after = read(folder / "images.csv"), read(review.out / "images.csv")
    assert list(after) == list(before)
    pd.testing.assert_frame_equal(before[1:], after[1:])
    row, particles = after.iloc[0], read(review.out / "particles.csv")
    assert (row["particles"], row["kept"]) == (3, 1)
    assert row["foreground_fraction"] == round((review.labels > 0).mean(), 5)
    assert np.isnan(row["agreement"]) and np.isnan(row["ghost_share"])
    kept = particles[particles["kept"]]
    sizes = kept.loc[kept["image"] == "0012", "min_feret_nm"]
    assert row["mean_min_feret_nm"] == pytest.approx(sizes.mean(), abs=1e-3)
    summary = json.loads((review.out / "distribution.json").read_text())
    expected = distribution.summarize(
        kept["min_feret_nm"].to_numpy(), bootstrap=50, seed=3, nano_nm=100.0
    )
    assert summary["min_feret"] == json.loads(json.dumps(expected))
    facts = json.loads((review.out / "measured.json").read_text())
    assert facts["reviewed"] == {
        "edited": 0,
        "gone": 1,
        "kept by hand": 0,
        "dropped by hand": 0,
    }
    review.undo()
    restored = read(review.out / "images.csv")
    pd.testing.assert_frame_equal(before, restored)


def test_an_edit_taken_back_leaves_the_tables_as_they_were(folder):
    review = Review(folder)
    originals = read(folder / "particles.csv")
    edits(review)
    for _ in range(6):
        assert review.undo()
    assert not review.undo()
    after = read(review.out / "particles.csv")
    assert not after.pop("edited").any()
    pd.testing.assert_frame_equal(after, originals)
    # Merging again what was split is no edit either.
    review.split(ACROSS)
    review.merge(np.array([[20, 12], [20, 26]]))
    assert review.counts() == dict.fromkeys(review.counts(), 0)


def test_going_on_where_one_stopped(folder):
    review = Review(folder)
    edits(review)
    review.open(1)
    again = Review(folder)
    assert again.name == "b"
    pd.testing.assert_frame_equal(again.particles(), review.particles(), check_dtype=False)
    again.open(0)
    assert again.counts() == review.counts()
    assert (again.labels == tifffile.imread(again.out / "labels" / "0012.tif")).all()
    assert again.toggle(4) is False  # the choice was remembered: now as measured again
    assert again.table.set_index("label").loc[4, "reason"] == "class score"


def test_a_kill_between_labels_and_tables_is_repaired(folder, monkeypatch):
    review = Review(folder)
    review.split(ACROSS)
    monkeypatch.setattr("semjax.reviewing.Review._follow", None)
    with pytest.raises(TypeError):  # as if ended here
        review.delete(4)
    monkeypatch.undo()
    assert 4 in set(read(folder / "reviewed" / "particles.csv").query("image == '0012'")["label"])
    again = Review(folder)
    assert again.table["label"].tolist() == [1, 2, 3, 5]
    again.finish()
    assert len(read(folder / "reviewed" / "particles.csv")) == 5


def test_dropping_and_keeping(folder):
    review = Review(folder)
    assert review.toggle(1) is False
    row = review.table.set_index("label").loc[1]
    assert (row["kept"], row["reason"]) == (False, "dropped by hand")
    assert review.toggle(1) is True and review.table.set_index("label").loc[1, "reason"] == ""
    for number, words in ((3, "touches the border"), (0, "no particle"), (99, "no particle")):
        with pytest.raises(ValueError, match=words):
            review.toggle(number)
    review.toggle(1)
    review.split(ACROSS)  # what was dropped looks different now
    assert review.table.set_index("label").loc[1, "kept"]
    assert review.counts()["dropped by hand"] == 0
    review.undo()
    assert review.counts()["dropped by hand"] == 1


def test_drawing_keeps_within_the_image_and_off_others(folder):
    review = Review(folder)
    others = review.labels == 2
    number = review.new_number()
    review.draw(number, np.array([[-5, 30], [-5, 200], [25, 200], [25, 30]]))
    assert (review.labels[others] == 2).all()
    assert review.labels[0, 89] == number and (review.labels == number).sum() > 1000
    row = review.table.set_index("label").loc[number]
    assert row["border"] and not row["kept"] and row["reason"] == "touches the border"
    # Corners at pixels' centres: a square of 10 x 10 px between, and half of its rim.
    review.draw(4, np.array([[40, 55], [40, 65], [50, 65], [50, 55]]))
    assert (review.labels == 4).sum() == 100
    with pytest.raises(ValueError, match="fewer than 9 px"):
        review.draw(review.new_number(), np.array([[18, 35], [18, 40], [22, 40]]))


def test_without_micrographs_edited_particles_have_no_brightness(folder):
    for path in folder.parent.glob("*.png"):
        path.unlink()
    review = Review(folder)
    review.split(ACROSS)
    table = review.table.set_index("label")
    assert table.loc[[1, 5], "mean_intensity"].isna().all()
    assert table.loc[[2, 4], "mean_intensity"].notna().all()
    assert review.picture().shape == (60, 90)  # from pictures/
    shutil.rmtree(folder / "pictures")
    assert review.picture().max() > 100  # from overlays/
    shutil.rmtree(folder / "overlays")
    assert not review.picture().any()


def test_weights_of_the_border_count_in_means(folder):
    facts = json.loads((folder / "measured.json").read_text())
    (folder / "measured.json").write_text(json.dumps(facts | {"border": "weights"}))
    review = Review(folder)
    review.draw(review.new_number(), np.array([[4, 50], [4, 80], [12, 80], [12, 50]]))
    kept = review.table[review.table["kept"]]
    mean = np.average(kept["min_feret_nm"], weights=kept["border_weight"])
    assert mean != pytest.approx(kept["min_feret_nm"].mean(), abs=1e-3)
    assert review.images()["mean_min_feret_nm"][0] == pytest.approx(mean, abs=1e-3)


def test_pixels_without_a_size(folder):
    particles = tables(None)
    particles.to_csv(folder / "particles.csv", index=False)
    images = read(folder / "images.csv").rename(columns={"mean_min_feret_nm": "mean_min_feret_px"})
    images.assign(pixel_size_nm=np.nan).to_csv(folder / "images.csv", index=False)
    review = Review(folder)
    review.split(ACROSS)
    review.finish()
    assert review.unit == "px"
    assert read(review.out / "particles.csv")["min_feret_px"].notna().all()
    summary = json.loads((review.out / "distribution.json").read_text())
    assert summary["unit"] == "px" and summary["min_feret"]["share_below_nano"] is None


def test_work_folders_are_measured_folders_too(folder):
    work = folder.parent / "work"
    work.mkdir()
    folder.rename(work / "7_measure")
    assert Review(work).folder == work / "7_measure"


def test_errors_name_the_file_and_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match="is no folder; give the --out folder"):
        Review(folder / "nowhere")
    with pytest.raises(FileNotFoundError, match="has not both"):
        Review(folder / "labels")
    (folder / "reviewed").mkdir()
    with pytest.raises(ValueError, match="holds no review"):
        Review(folder)
    (folder / "reviewed" / "review.json").write_text('{"particles": "x"}')
    with pytest.raises(ValueError, match="review.json is damaged"):
        Review(folder)
    shutil.rmtree(folder / "reviewed")
    Review(folder).delete(1)
    table = read(folder / "particles.csv")
    table.assign(class_score=0.5).to_csv(folder / "particles.csv", index=False)
    with pytest.raises(ValueError, match="was measured again"):
        Review(folder)
    shutil.rmtree(folder / "reviewed")
    table[table["label"] != 2].to_csv(folder / "particles.csv", index=False)
    with pytest.raises(ValueError, match="do not hold the same particles"):
        Review(folder)
    table.drop(columns="kept").to_csv(folder / "particles.csv", index=False)
    with pytest.raises(ValueError, match="lacks the columns kept"):
        Review(folder)
    (folder / "particles.csv").write_text("")
    with pytest.raises(ValueError, match="cannot be read as a table"):
        Review(folder)
