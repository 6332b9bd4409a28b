import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from semjax.analysis import scores
from semjax.analysis.classical import classical


def test_classical_segments_separate_discs():
    row, column = np.mgrid[:96, :96]
    truth = np.zeros((96, 96), np.int32)
    for i, (r, c) in enumerate([(0, 20), (30, 30), (30, 51), (70, 60)], 1):
        truth[(row - r) ** 2 + (column - c) ** 2 < 121] = i
    image = ndimage.gaussian_filter(np.where(truth > 0, 0.5, -0.7), 1.0)
    image += np.random.default_rng(0).normal(0, 0.05, image.shape)
    labels, foreground = classical(image.astype(np.float32))
    assert np.array_equal(labels > 0, foreground)
    assert scores.score(scores.drop_specks(labels), truth)["f1_75"] == 1


def test_classical_finds_nothing_in_a_constant_image():
    labels, foreground = classical(np.zeros((20, 20), np.float32))
    assert not labels.any() and not foreground.any()


@pytest.mark.skipif("SEMJAX_TIO2" not in os.environ, reason="needs the TiO2 data in SEMJAX_TIO2")
def test_classical_floor_on_a_dense_micrograph():
    root = Path(os.environ["SEMJAX_TIO2"])
    masks = "Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected"
    images = list(root.rglob("Electron Microscopy Images/SEM/1908292.tif"))
    truths = list(root.rglob(f"{masks}/1908292_m.tif"))
    if not (images and truths):
        pytest.skip("image 1908292 or its mask is not there")
    image = tifffile.imread(images[0])[:712].astype(np.float32)
    truth = scores.drop_specks(scores.label_truth(tifffile.imread(truths[0])[:712]))
    labels, foreground = classical(image)
    result = scores.score(scores.drop_specks(labels), truth, foreground)
    assert 0.8 < result["image_iou"] < 0.92 and 0.4 < result["f1_50"] < 0.65
