"""`semjax export`: a trained model for other programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from semjax.commands import UsageError

USAGE = """\
Writes a trained model in the formats of other programs.

  semjax export MODEL --out=DIR [--onnx] [--jax] [--bioimageio --name=… --author=… --license=…]

  MODEL                 a model folder, or the work folder of a finished run
  --out=DIR             where the files go
  --onnx                segmenter.onnx and classifier.onnx, for ONNX Runtime: images in [-1, 1] as
                        (batch, channels, rows, columns), probabilities of the same size
  --jax                 segmenter.stablehlo and classifier.stablehlo: the same for jax.export, as
                        (batch, rows, columns, channels), rows and columns multiples of 16 from 64
  --bioimageio          segmenter.bioimageio.zip, for Fiji (deepImageJ), ilastik, napari and others:
                        raw micrographs without information bar, contrast stretched inside
  --name="My particles" the model's name, in the package
  --author="A. Person"  who made the model; may be given several times
  --license=CC-BY-4.0   that the package is given out under: its SPDX identifier
  --sample=IMAGE        micrograph of yours whose middle is shown and given out with the package;
                        one is simulated if left away
  --overwrite           replace files of an earlier export
  --verbosity=1         also where an error arose
  --help

Every file is checked before it takes its place: ONNX Runtime must give what semjax gives within
1e-4, and the package must pass bioimage.io's own test.
"""

CHANNELS = {"segmenter": 1, "classifier": 2}  # that the networks take


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the flags of `semjax export`; `model` is the argument without a name.

    Raises:
        UsageError: a flag is wrong or missing.
    """
    values = flags.FlagValues()
    for name in ("model", "out", "name", "license", "sample"):
        flags.DEFINE_string(name, "", "", flag_values=values)
    flags.DEFINE_multi_string("author", [], "", flag_values=values)
    for name in ("onnx", "jax", "bioimageio", "overwrite"):
        flags.DEFINE_bool(name, False, "", flag_values=values)
    flags.DEFINE_integer("verbosity", 0, "", flag_values=values)
    try:
        given = values(["semjax", *argv])[1:]
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from error
    given += [values.model] if values.model else []
    if len(given) != 1:
        wrong = "expected one model, got " + " and ".join(given)
        raise UsageError(f"{wrong if given else 'MODEL is missing'}\n\n{USAGE}")
    values.model = given[0]
    if not values.out:
        raise UsageError(f"--out=DIR is missing\n\n{USAGE}")
    if not (values.onnx or values.jax or values.bioimageio):
        raise UsageError(f"nothing to write: give --onnx, --jax or --bioimageio\n\n{USAGE}")
    described = [name for name in ("name", "author", "license", "sample") if values[name].value]
    if described and not values.bioimageio:
        raise UsageError(f"--{described[0]} belongs to --bioimageio, which is missing")
    missing = [name for name in ("name", "author", "license") if not values[name].value]
    if missing and values.bioimageio:
        raise UsageError(f"--bioimageio needs --{' and --'.join(missing)}\n\n{USAGE}")
    return values


def act(values: flags.FlagValues) -> int:
    """Does what the flags of `semjax export` say."""
    out = Path(values.out).expanduser()
    graphs = [out / f"{part}.onnx" for part in CHANNELS if values.onnx]
    functions = [out / f"{part}.stablehlo" for part in CHANNELS if values.jax]
    packages = [out / "segmenter.bioimageio.zip"] if values.bioimageio else []
    there = [str(file) for file in graphs + functions + packages if file.exists()]
    if there and not values.overwrite:
        raise FileExistsError(
            f"{', '.join(there)} would be replaced; give --overwrite, or --out another folder"
        )

    from semjax import models

    model = models.load(values.model)
    sample = _read_sample(values.sample, model) if values.sample else None
    out.mkdir(parents=True, exist_ok=True)
    for file in graphs:
        from semjax.exports import onnx

        difference = onnx.write(file, getattr(model, file.stem))
        print(f"{file}: differs from semjax by at most {difference:.0e}")
    for file in functions:
        from semjax.exports import jax_export

        jax_export.write(file, getattr(model, file.stem), channels=CHANNELS[file.stem])
        print(file)
    for file in packages:
        from semjax.exports import bioimageio

        bioimageio.write(
            file,
            model,
            name=values.name,
            authors=values.author,
            license=values.license,
            sample=sample,
        )
        print(f"{file}: passed bioimage.io's test")
    return 0


def _read_sample(path: str, model: Any) -> Any:
    """The raw micrograph that is given out with a package, without its information bar."""
    from semjax.data.images import read_micrograph

    return read_micrograph(path, info_bar_px=model.recipe["info_bar_px"]).raw
