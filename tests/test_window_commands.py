"""`semjax outline` and `semjax review` before any window: help, mistakes, missing napari."""

import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax import main
from semjax.analysis import regions


@pytest.fixture
def folders(tmp_path):
    """A folder of images and a measured folder."""
    (tmp_path / "images").mkdir()
    (tmp_path / "measured" / "labels").mkdir(parents=True)
    grey = np.random.default_rng(0).integers(60, 200, (40, 40)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "images" / "a.png")
    labels = np.zeros((40, 40), np.uint16)
    labels[10:20, 10:20] = 1
    tifffile.imwrite(tmp_path / "measured" / "labels" / "a.tif", labels)
    table = regions.measure(labels).assign(image="a", class_score=0.5, kept=True, reason="")
    table.to_csv(tmp_path / "measured" / "particles.csv", index=False)
    pd.DataFrame({"image": ["a"], "pixel_size_nm": [None]}).to_csv(
        tmp_path / "measured" / "images.csv", index=False
    )
    return tmp_path


def command(verb, folders):
    given = folders / ("images" if verb == "outline" else "measured")
    more = [f"--out={folders / 'out'}"] if verb == "outline" else []
    return [verb, str(given), *more]


@pytest.mark.parametrize("verb", ["outline", "review"])
def test_without_napari_one_sentence_names_the_extra(capsys, monkeypatch, folders, verb):
    monkeypatch.setitem(sys.modules, "napari", None)
    assert main.console(command(verb, folders)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'semjax[napari]'" in error
    assert not (folders / "out").exists() and not (folders / "measured" / "reviewed").exists()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["outline"], 2, "the folder of images is missing"),
        (["outline", "a", "b"], 2, "expected one folder of images, got a and b"),
        (["outline", "a", "--uot=x"], 2, "uot"),
        (["outline", "nowhere"], 1, "no folder nowhere"),
        (["review"], 2, "the measured folder is missing"),
        (["review", "a", "b"], 2, "expected one folder, got a and b"),
        (["review", "nowhere"], 1, "nowhere is no folder"),
        (["review", "gs://bucket/x"], 1, "is an address"),
    ],
)
def test_a_wrong_command_is_one_message(capsys, argv, code, words):
    assert main.console(argv) == code
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
