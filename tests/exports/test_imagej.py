"""ImageJ itself opens what we write, measures what we measure, and fills ROIs as we do."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from semjax.analysis import regions
from semjax.data import annotations
from semjax.exports import fiji

JAR = Path("/usr/share/java/ij.jar")
MISSING = [tool for tool in ("java", "xvfb-run") if shutil.which(tool) is None]
MISSING += [] if JAR.exists() else [str(JAR)]

pytestmark = [
    pytest.mark.imagej,
    pytest.mark.skipif(
        bool(MISSING), reason=f"no {', '.join(MISSING)}: apt-get install imagej xvfb default-jre"
    ),
]

MEASURE = """
arg = split(getArgument(), "\\n");
open(arg[0]);
roiManager("open", arg[1]);
run("Set Measurements...",
    "area mean centroid perimeter fit shape feret's display redirect=None decimal=9");
roiManager("deselect");
roiManager("measure");
getPixelSize(unit, width, height);
for (i = 0; i < nResults; i++) {
  setResult("PixelWidth", i, width);
  setResult("Unit", i, unit);
}
saveAs("Results", arg[2]);
run("Quit");
"""

# Areas of every kind, also between pixels and with lines through pixels' centres.
DRAW = """
arg = split(getArgument(), "\\n");
open(arg[0]);
setTool("rectangle");
makeRectangle(5, 7, 20, 11); roiManager("add");
makeOval(30, 6, 25, 18); roiManager("add");
makeOval(60, 6, 14, 14); roiManager("add");
makePolygon(10, 40, 33, 45, 28, 70, 12, 66); roiManager("add");
makeSelection("freehand", newArray(40.25, 66.5, 70.5, 51.3, 38.75),
              newArray(40.5, 38.5, 61.7, 72.5, 55.1)); roiManager("add");
makeSelection("polygon", newArray(80.5, 95.5, 95.5, 80.5),
              newArray(40.5, 40.5, 52.5, 52.5)); roiManager("add");
makeSelection("polygon", newArray(79.5, 100.5, 90.5),
              newArray(60.5, 60.5, 81.5)); roiManager("add");
makeEllipse(12, 85, 50, 98, 0.6); roiManager("add");
makeRotatedRectangle(60, 90, 90, 110, 15); roiManager("add");
doWand(105, 20); roiManager("add");
makeOval(100, 60, 24, 24); setKeyDown("alt"); makeRectangle(108, 66, 6, 6); roiManager("add");
makeRectangle(4, 104, 9, 9); setKeyDown("shift"); makeRectangle(20, 100, 12, 15);
roiManager("add");
count = roiManager("count");
for (i = 0; i < count; i++) {
  selectImage(1);
  roiManager("select", i);
  run("Create Mask");
  saveAs("PNG", arg[2] + "/" + i + ".png");
  close();
}
roiManager("deselect");
roiManager("save", arg[1]);
run("Quit");
"""


def drive(tmp_path, macro, *arguments):
    script = tmp_path / "macro.ijm"
    script.write_text(macro, encoding="ascii")
    java = ["java", f"-Duser.home={tmp_path}", "-cp", str(JAR), "ij.ImageJ", "-macro", str(script)]
    command = ["xvfb-run", "-a", *java, "\n".join(map(str, arguments))]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


def blobs(shape, seed):
    """Labels of random blobs, some with holes, in pieces, at the border or of one pixel."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 4)
    labels = ndimage.label(noise > 0.5 * noise.std())[0].astype(np.int32)
    labels[rng.random(shape) < 0.002] = 0
    labels[labels == 2] = 1
    labels[0, 0] = labels.max() + 5
    return labels


@pytest.mark.parametrize("size", [2.4801, None])
def test_imagej_measures_what_we_measure(tmp_path, size):
    labels = blobs((160, 200), 0)
    image = np.random.default_rng(1).integers(0, 255, labels.shape).astype(np.uint8)
    unit = "px" if size is None else "nm"
    fiji.write_tiff(tmp_path / "image.tif", image, pixel_size_nm=size)
    assert fiji.write_rois(tmp_path / "RoiSet.zip", labels) > 15
    drive(tmp_path, MEASURE, *(tmp_path / f for f in ("image.tif", "RoiSet.zip", "Results.csv")))
    theirs = pd.read_csv(tmp_path / "Results.csv")
    ours = regions.measure(labels, image, pixel_size_nm=size)
    ours.insert(0, "image", "image.tif")
    ours = fiji.results_table(ours, unit=unit)
    assert theirs["Label"].tolist() == ours["Label"].tolist()
    assert set(theirs["Unit"]) == {"pixels" if size is None else "nm"}
    np.testing.assert_allclose(theirs["PixelWidth"], size or 1, rtol=1e-6)
    for column in ("Area", "Mean", "X", "Y", "Feret", "MinFeret", "Solidity"):
        np.testing.assert_allclose(theirs[column], ours[column], rtol=2e-6, atol=1e-8)
    for column in ("Major", "Minor", "AR", "Round"):
        assert (abs(theirs[column] / ours[column] - 1) < 1e-4).mean() > 0.9
    assert (abs(theirs["Perim."] / ours["Perim."] - 1) < 0.2).all()


def test_outlines_drawn_in_imagej_have_its_pixels(tmp_path):
    picture = np.zeros((120, 130), np.uint8)
    rows, cols = np.mgrid[:120, :130]
    picture[(rows - 20) ** 2 + 2 * (cols - 105) ** 2 < 200] = 200
    fiji.write_tiff(tmp_path / "image.tif", picture, pixel_size_nm=None)
    drive(tmp_path, DRAW, tmp_path / "image.tif", tmp_path / "image.zip", tmp_path)
    drawn = annotations.read(tmp_path / "image.zip")
    assert len(drawn) == 12
    for number, particle in enumerate(drawn):
        mask = np.asarray(Image.open(tmp_path / f"{number}.png").convert("L")) > 0
        found = np.zeros_like(mask)
        h, w = particle.mask.shape
        found[particle.row : particle.row + h, particle.col : particle.col + w] = particle.mask
        piece, row, col = annotations.one_piece(mask)
        assert (row, col) == (particle.row, particle.col), particle.source
        np.testing.assert_array_equal(piece, particle.mask, err_msg=particle.source)
