"""Segmenters as bioimage.io models, which deepImageJ, ilastik, napari and others can read.

Source: https://bioimage.io, model description 0.5.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from semjax import __version__, phantom, predict
from semjax.data.images import stretch_contrast
from semjax.exports import onnx
from semjax.models import Model
from semjax.workdir import write_text

LEAST_PX = 128  # rows and columns of an input
SAMPLE_PX = 256  # sides of the test image
CHANNELS = {
    "particle": "the pixel belongs to a particle",
    "interior": "it lies inside a particle, away from its neighbours: a marker of single particles",
    "distance": "its distance from the particle's edge, as a share of the largest",
}
PAPER = (
    "Rühle, B., Krumrey, J. F. and Hodoroaba, V.-D.: Workflow towards automated segmentation of "
    "agglomerated, non-spherical particles from electron microscopy images using artificial neural "
    f"networks (the method). This model was made with semjax {__version__}."
)
DOI = "10.1038/s41598-021-84287-6"


def write(
    path: Path,
    model: Model,
    *,
    name: str,
    authors: Sequence[str],
    license: str,
    sample: np.ndarray | None = None,
) -> None:
    """Writes a model's segmenter as a bioimage.io package, and has it tested there.

    Args:
        path: of the zip file; one that is there is replaced.
        model: with segmenter, recipe and scores.
        name: of the model, for people.
        authors: who made it.
        license: SPDX identifier of the licence that it is given out under, such as CC-BY-4.0.
        sample: raw micrograph (h, w) of at least 256 x 256 px, bar cut, whose middle becomes test
            image and cover; it is given out with the model. None simulates one.

    Raises:
        ValueError: a value is not allowed by the specification, the sample is too small, the
            model's test fails, or the extra is not installed; the message names it.
    """
    try:
        from bioimageio.core import test_model
        from bioimageio.spec import save_bioimageio_package
        from pydantic import ValidationError
    except ModuleNotFoundError as error:
        raise ValueError(
            "a bioimage.io package needs the extra: pip install 'semjax[bioimageio]'"
        ) from error

    if sample is not None and min(sample.shape) < SAMPLE_PX:
        h, w = sample.shape
        raise ValueError(
            f"the sample has {h} x {w} px, expected at least {SAMPLE_PX} x {SAMPLE_PX}; give a "
            "larger picture, or none to have one simulated"
        )
    sample = _simulate(model) if sample is None else _middle(sample)
    # On the same disk, so that the finished package can be moved in one step.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="bioimageio-") as folder:
        folder = Path(folder)
        try:
            description = _describe(folder, model, sample, name, authors, license)
        except ValidationError as error:
            raise ValueError(_plain(error)) from error
        package = save_bioimageio_package(description, output_path=folder / "package.zip")
        summary = test_model(package)
        if summary.status != "passed":
            raise ValueError(f"the package fails bioimage.io's own test:\n{summary.format()}")
        os.replace(package, path)


def _simulate(model: Model) -> np.ndarray:
    """A raw micrograph, with particles of the size that the model was trained for."""
    sizes = model.trained["min_feret_px"]
    diameter_px = max(sizes["p50"], 4.0) if sizes else 31.0
    return phantom.simulate(
        0, image_px=(SAMPLE_PX, SAMPLE_PX), foreground=0.3, diameter_px=diameter_px
    ).image


def _middle(image: np.ndarray) -> np.ndarray:
    rows, cols = ((size - SAMPLE_PX) // 2 for size in image.shape)
    return image[rows : rows + SAMPLE_PX, cols : cols + SAMPLE_PX]


def _run(model: Model, raw: np.ndarray) -> np.ndarray:
    """Probabilities (h, w, k) of a raw micrograph (h, w) by semjax, in one tile."""
    recipe = model.recipe
    dark_particles, flips = recipe["dark_particles"], recipe["flips"]
    image = stretch_contrast(raw, **recipe["contrast"], dark_particles=dark_particles)
    segmenter = onnx.in_float32(model.segmenter)
    return predict.probabilities(segmenter, image, tile_px=raw.shape, flips=flips)


def _draw_cover(path: Path, raw: np.ndarray, outputs: np.ndarray, threshold: float) -> None:
    """Half the micrograph, half the same with found particles in colour: twice as wide as high."""
    grey = np.repeat(stretch_contrast(raw)[..., None] / 2 + 0.5, 3, axis=-1)
    found = outputs[..., :1] >= threshold
    tinted = np.where(found, 0.55 * grey + 0.45 * np.array([0.1, 0.65, 0.9]), grey)
    both = np.concatenate([grey, tinted], axis=1)
    Image.fromarray(np.rint(255 * both).astype(np.uint8)).save(path)


def _write_documentation(path: Path, model: Model, name: str) -> None:
    settings, recipe = model.segmenter.settings, model.recipe
    known = list(CHANNELS.items())[: model.segmenter.network.outputs]
    channels = [f"{i}. `{channel}`: {what}" for i, (channel, what) in enumerate(known, start=1)]
    pixel, sizes = model.trained["pixel_size_nm"], model.trained["min_feret_px"]
    trained = []
    if pixel:
        trained.append(f"It was trained on pixels of {pixel[0]:.4g} to {pixel[1]:.4g} nm.")
    if sizes:
        trained.append(
            f"98 in 100 particles there had minimum Feret diameters of {sizes['p1']:.3g} to "
            f"{sizes['p99']:.3g} px; resample images in which they differ."
        )
    single = (
        "Single particles: watershed on the third channel, from markers where the second is high."
        if len(known) == 3
        else "Single particles: watershed on the distance from the edge."
    )
    tone = "Particles are darker" if recipe["dark_particles"] else "Particles are brighter"
    flips = (
        "As in semjax, the output is the mean over the image and its three flips."
        if recipe["flips"]
        else "As in semjax for this model, the network sees the image once."
    )
    scores = [f"    {of}: {json.dumps(found)}" for of, found in model.scores.items()]
    template = resources.files("semjax.exports").joinpath("bioimageio.md")
    text = template.read_text(encoding="utf-8").format(
        name=name,
        version=__version__,
        tone=f"{tone} than the ground.",
        low=recipe["contrast"]["low"],
        high=recipe["contrast"]["high"],
        trained=" ".join(trained),
        channels="\n".join(channels),
        threshold=settings["threshold"],
        split=single,
        flips=flips,
        scores="\n".join(scores) or "nothing yet.",
    )
    write_text(path, text)


def _describe(
    folder: Path,
    model: Model,
    sample: np.ndarray,
    name: str,
    authors: Sequence[str],
    license: str,
) -> Any:
    """The model description (`ModelDescr`) of files that are written to `folder`."""
    from bioimageio.spec.model import v0_5 as spec

    dark_particles = model.recipe["dark_particles"]
    contrast = onnx.Contrast(**model.recipe["contrast"], dark_particles=dark_particles)
    outputs = _run(model, sample)
    planes = outputs.transpose(2, 0, 1)
    graph = onnx.build(model.segmenter, contrast=contrast, flips=model.recipe["flips"])
    (folder / "segmenter.onnx").write_bytes(graph.SerializeToString())
    np.save(folder / "test_input.npy", sample.astype(np.float32)[None, None])
    np.save(folder / "test_output.npy", planes[None])
    Image.fromarray(sample).save(folder / "sample_input.png")
    tifffile.imwrite(
        folder / "sample_output.tif", outputs.transpose(2, 0, 1), photometric="minisblack"
    )
    _draw_cover(folder / "cover.png", sample, outputs, model.segmenter.settings["threshold"])
    _write_documentation(folder / "README.md", model, name)

    def file(name):
        return spec.FileDescr(source=folder / name)

    def same(axis):
        size = spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(axis))
        return spec.SpaceOutputAxis(id=spec.AxisId(axis), size=size)

    size = spec.ParameterizedSize(min=LEAST_PX, step=1)  # the graph pads to multiples of 16
    low, high = contrast.percentiles
    scale = spec.ScaleRangeKwargs(
        axes=[spec.AxisId(axis) for axis in ("channel", "y", "x")],
        min_percentile=low,
        max_percentile=high,
    )
    image = spec.InputTensorDescr(
        id=spec.TensorId("image"),
        description="raw micrograph without information bar",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=[spec.Identifier("electrons")]),
            spec.SpaceInputAxis(id=spec.AxisId("y"), size=size),
            spec.SpaceInputAxis(id=spec.AxisId("x"), size=size),
        ],
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[spec.ScaleRangeDescr(kwargs=scale)],
        test_tensor=file("test_input.npy"),
        sample_tensor=file("sample_input.png"),
    )
    names = list(CHANNELS)[: outputs.shape[-1]]
    probabilities = spec.OutputTensorDescr(
        # Without a halo: programs that know one continue the raw image by it before they take its
        # percentiles, which changes the contrast.
        id=spec.TensorId("probabilities"),
        description="of the pixel's being part of a particle, and of what the documentation names",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=[spec.Identifier(name) for name in names]),
            same("y"),
            same("x"),
        ],
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=file("test_output.npy"),
        sample_tensor=file("sample_output.tif"),
    )
    tolerance = spec.ReproducibilityTolerance(
        absolute_tolerance=onnx.TOLERANCE, relative_tolerance=0.0, mismatched_elements_per_million=0
    )
    return spec.ModelDescr(
        name=name,
        description="Particles in scanning electron micrographs, learnt without manual masks",
        authors=[spec.Author(name=author) for author in authors],
        license=license,
        cite=[spec.CiteEntry(text=PAPER, doi=spec.Doi(DOI))],
        tags=["electron-microscopy", "nanoparticles", "semantic-segmentation", "unet", "2d"],
        documentation=file("README.md"),
        covers=[file("cover.png")],
        version=spec.Version("1"),
        inputs=[image],
        outputs=[probabilities],
        weights=spec.WeightsDescr(
            onnx=spec.OnnxWeightsDescr(source=folder / "segmenter.onnx", opset_version=onnx.OPSET)
        ),
        config=spec.Config(bioimageio=spec.BioimageioConfig(reproducibility_tolerance=[tolerance])),
    )


def _plain(error: Any) -> str:
    """The errors of a model description in a sentence each."""
    said = {}
    for each in error.errors():
        field = str(each["loc"][0]) if each["loc"] else "model"
        said[field] = f"{field}: {each['msg']}"
        if field == "license":  # the message lists all that there are, which are hundreds
            given = each["input"]
            said[field] = f"license: expected an SPDX identifier such as CC-BY-4.0, got {given!r}"
    return "bioimage.io does not take this description: " + "; ".join(said.values())
