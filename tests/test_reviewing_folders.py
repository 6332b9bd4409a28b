"""Reviews of folders that grow, of large images, and of micrographs that are somewhere else."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semjax import models
from semjax.data import contrast
from semjax.reviewing import Review
from semjax.workdir import read_json, write_json
from tests.reviewed import ACROSS, edits, read, write


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path)


def take_away(folder, name):
    """An image that is not measured yet; returns what brings it in."""
    kept = {file: (folder / file).read_bytes() for file in ("particles.csv", "images.csv")}
    labels = folder / "labels" / f"{name}.tif"
    kept["labels"] = labels.read_bytes()
    for file in ("particles.csv", "images.csv"):
        table = read(folder / file)
        table[table["image"] != name].to_csv(folder / file, index=False)
    labels.unlink()

    def bring():
        labels.write_bytes(kept.pop("labels"))
        for file, content in kept.items():
            (folder / file).write_bytes(content)

    return bring


def test_images_may_join_a_review(folder):
    bring = take_away(folder, "b")
    review = Review(folder)
    edits(review)
    review.finish()
    bring()
    again = Review(folder)
    assert again.names == ["0012", "b", "empty"] and again.name == "0012"
    assert again.counts() == review.counts() and len(again.tables["b"]) == 1
    again.open(1)
    again.delete(1)
    again.finish()
    assert read(again.out / "images.csv")["image"].tolist() == again.names
    assert read(again.out / "images.csv")["particles"].tolist()[1:] == [0, 0]
    Review(folder)
    kept = read(folder / "particles.csv")
    kept.loc[kept["image"] == "b", "kept"] = False  # measured again with another threshold
    kept.to_csv(folder / "particles.csv", index=False)
    with pytest.raises(ValueError, match=r"measured again after its review \(b\)"):
        Review(folder)


def test_a_review_by_the_version_before_goes_on(folder):
    review = Review(folder)
    edits(review)
    path = review.out / "review.json"
    state = read_json(path)
    del state["images"]
    sha256 = models.checksum(folder / "particles.csv")
    write_json(path, state | {"format": 1, "particles": sha256})
    assert Review(folder).counts() == review.counts()
    write_json(path, state | {"format": 1, "particles": "0" * 64})
    with pytest.raises(ValueError, match=r"review.json is damaged"):
        Review(folder)


def test_brightness_is_that_of_the_micrograph_that_was_measured(folder, monkeypatch):
    review = Review(folder)
    review.split(ACROSS)
    assert review.table.set_index("label").loc[[1, 5], "mean_intensity"].notna().all()
    other = folder.parent / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    for place in (other, folder.parent):  # another image of this name, here and where it was
        Image.fromarray(np.full((70, 90), 7, np.uint8)).save(place / "0012.png")
    again = Review(folder)
    again.split(np.array([[11, 37], [29, 37]]))
    assert again.table["mean_intensity"].isna().sum() == 4


def test_edited_labels_keep_their_pixel_size(folder):
    review = Review(folder)
    review.delete(1)
    with tifffile.TiffFile(review.out / "labels" / "0012.tif") as file:
        assert file.imagej_metadata["unit"] == "nm"
        assert file.pages[0].tags["XResolution"].value == (1, 2)


def test_large_images_are_shown_and_drawn_smaller(folder, monkeypatch):
    monkeypatch.setattr(contrast, "LARGE_PX", 1000)
    monkeypatch.setattr(contrast, "SHOWN_PX", 30)
    for path in (folder / "pictures").iterdir():
        picture = Image.open(path)
        picture.resize((30, 20), Image.Resampling.BOX).save(path)
    review = Review(folder)
    shown = review.picture()
    assert shown.shape == (60, 90) and (np.diff(shown[:, 1::3].mean(axis=0)) > 0).all()
    review.delete(1)
    review.finish()
    overlay = np.asarray(Image.open(review.out / "overlays" / "0012.png"))
    assert overlay.shape[:2] == (20, 30) and np.unique(overlay).size > 20
